"""The plugin: options, the way of the usual questions, and who answers the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Annotated, ClassVar

from pycoredns.answer import Answer, then
from pycoredns.corefile.kinds import Fallthrough, Ignored
from pycoredns.corefile.kinds import Zone as ZoneName
from pycoredns.corefile.numbers import TimeToLive
from pycoredns.corefile.options import Arguments, BadValueError, Option, Repetition, zones_of_block
from pycoredns.direct import LONGEST_NAME, MOST_RECORDS, Direct, Found, response_of, shape_of
from pycoredns.errors import ServerFailure
from pycoredns.frozen import changeable
from pycoredns.meaning import Meaning
from pycoredns.plugin import Plugin
from pycoredns.plugins.etcd import several
from pycoredns.plugins.etcd.answers import MOST_KEYS, Inquiry, NoSuchKey, follow
from pycoredns.plugins.etcd.gathered import Gathered
from pycoredns.plugins.etcd.keys import WILDCARDS, before_wildcard, is_plain_label, name_below, plain_key, root_of
from pycoredns.plugins.etcd.options import TLS, Credentials, SkyDNS
from pycoredns.plugins.etcd.packed import BARE_SERVICE, NUMBERS, RECORDS, STARTS, STRIP, TTLS
from pycoredns.plugins.etcd.parted import LAST
from pycoredns.plugins.etcd.settings import DEFAULT_ENDPOINT, Settings
from pycoredns.plugins.etcd.source import Identity, Source, following
from pycoredns.plugins.etcd.zone import COREDNS, SKYDNS, Zone
from pycoredns.query import Tail
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types

if TYPE_CHECKING:
    from pycoredns.service import Service

FIRST_SYNC_WITHIN = 2.0
"""Seconds after the start that questions wait for the first listing of etcd; later they get SERVFAIL at once."""
MOST_PLACES = 16384
SHORTEST_LEASE_TTL, LONGEST_LEASE_TTL = TimeToLive(30), TimeToLive(86400)
NOBODY = Credentials()
NOT_READ = "etcd has not been read yet"
LOCAL = b"\x05local\x03dns"
REVERSE = (names.from_text("in-addr.arpa"), names.from_text("ip6.arpa"))
_ONE_ADDRESS, _SERVICE = shape_of(Meaning.ANSWER, answers=1), shape_of(Meaning.ANSWER, answers=1, additionals=1)
_ADDRESS_TYPES = frozenset({types.A, types.AAAA})
_MOST_ADDRESSES = 11
"""Records of a name that are found directly: more would hardly keep to MOST_RECORDS."""
_LONGEST_TARGET = (MOST_RECORDS - LONGEST_NAME - 64) // 2
"""Octets of an SRV record's target that is found directly: it stands there twice, with an address."""
_ABOUT_ZONES = frozenset({types.SOA, types.NS})
"""Types for which a zone may say more than that a name is not there."""
_BY_EXACT_KEY = frozenset({types.CNAME, types.PTR, types.SOA})
"""Types for which it does not matter what lies below a name."""


@changeable
class Etcd(Plugin):
    """Answer from SkyDNS records in etcd, which are kept in memory and up to date, so that no question waits for etcd."""

    repeated: ClassVar[Repetition] = "first"

    zones: Annotated[tuple[ZoneName, ...], Arguments("zones to answer for", otherwise=zones_of_block)] = ()
    path: Annotated[str, Option("what all keys begin with", placeholder="PATH")] = "/skydns"
    endpoint: Annotated[tuple[str, ...], Option("members of the etcd cluster, as http://HOST:PORT", placeholder="ENDPOINT")] = (
        DEFAULT_ENDPOINT,
    )
    credentials: Annotated[Credentials, Option("a user of etcd")] = NOBODY
    tls: Annotated[TLS | None, Option("certificate, key and authorities for https endpoints")] = None
    through: Annotated[Fallthrough, Option("zones whose missing names are passed on", name="fallthrough")] = Fallthrough()
    min_lease_ttl: Annotated[TimeToLive, Option("shortest TTL that a lease gives", name="min-lease-ttl")] = SHORTEST_LEASE_TTL
    max_lease_ttl: Annotated[TimeToLive, Option("longest TTL that a lease gives", name="max-lease-ttl")] = LONGEST_LEASE_TTL
    skydns: Annotated[SkyDNS | None, Option("answer as SkyDNS did; NAME is what local.dns.ZONE stands for")] = None
    stubzones: Annotated[bool, Option("has no meaning any more")] = False
    debug: Annotated[bool, Option("has no meaning any more")] = False
    upstream: Annotated[Ignored | None, Option("has no meaning any more")] = None

    def __post_init__(self) -> None:
        """Prepares what questions need."""
        self._manners = COREDNS if self.skydns is None else SKYDNS
        self._local = self.skydns.local if self.skydns else b""
        self._zones = {bytes(name): Zone(bytes(name), self._manners) for name in sorted(self.zones, key=len, reverse=True)}
        self._special = {*self._zones, *(LOCAL + zone for zone in self._zones)}
        self._falls_through = bool(self.through.zones)
        self._beside_special = set(map(names.parent, self._special))
        self._places: dict[bytes, tuple[Zone, bytes]] = {}
        """Of the parents of names: their zone, their key and a slash."""
        self._parents_outside: set[bytes] = set()
        """Names right below these are in no zone, unless they are one."""
        self._gathered = Gathered()
        root = root_of(self.path)
        self._keys = {name: plain_key(root, name) for name in self._zones}
        self._names_from_keys = root.count(b"/") == 1
        """Is the name made from a key the name it belongs to?"""
        self._identity = Identity(self._settings(), self.path, self._manners.default_ttl)
        self._deadline = 0.0

    def _settings(self) -> Settings:
        """How to reach etcd; raises BadValueError where an endpoint is none."""
        settings = Settings(self.endpoint, self.credentials.username, self.credentials.password, self.tls)
        try:
            settings.parsed()
        except ValueError as error:
            remedy = "write it as http://HOST:2379 or http://[::1]:2379"
            raise BadValueError(f"bad endpoint: {error}", remedy, "endpoint") from None
        return settings

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follows etcd, wherever it may be just now; after a reload with the same settings, what has been read is there."""
        async with following(self._identity, self.changed) as source:
            self._follow(source)
            self._deadline = monotonic() + FIRST_SYNC_WITHIN
            yield

    def _follow(self, source: Source) -> None:
        self._source = source
        self._below, self._records = source.tree.below.parts, source.tree.records.parts

    def changed(self) -> None:
        """What was gathered or remembered holds no longer."""
        self._gathered.forget()
        super().changed()

    def ready(self) -> bool:
        """Has etcd been read?"""
        return self._source.mirror.synced

    # --- the usual questions

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Answers usual questions in its zones directly; for names outside of them those behind have their say."""
        if following is None:
            return Direct(self.look_up)
        own, behind, outside, zones = self.look_up, following.look_up, self._parents_outside, self._zones

        def look_up(asked: bytes, name: bytes, tail: Tail) -> Found | tuple[()] | None:
            found = own(asked, name, tail)
            if found is None and name[name[0] + 1 :] in outside and name not in zones:
                return behind(asked, name, tail)
            return found

        return following._replace(look_up=look_up, keeps=False)

    def handle(self, request: Request) -> Answer:
        """Usual records, and what is not there, at once; everything else by an Inquiry."""
        found = self.look_up(request.asked, request.name, request.tail)
        return self._handle_unusual(request) if found is None else response_of(found)

    def look_up(self, asked: bytes, name: bytes, tail: Tail) -> Found | None:
        """A usual record that is alone below a name, or that there is none; None for all that takes a closer look."""
        cut = name[0] + 1
        place = self._places.get(name[cut:])
        if place is None:
            return None
        zone, parent = place
        key = parent + name[1:cut]
        part = hash(key) & LAST
        only = self._below[part].get(key, key)
        record = self._records[part if only is key else hash(only) & LAST].get(only)
        qtype = tail.qtype
        if record is None:  # as of SEVERAL
            if only is not key:
                return self._addresses(asked, tail, zone, key) if qtype in _ADDRESS_TYPES else None
            if qtype in _ABOUT_ZONES or (self._falls_through and self.through.covers(name)):
                return None
            if is_plain_label(name[1:cut]):
                return zone.no_name()
        elif start := STARTS[first := record[0]]:
            if first & 127 == qtype:
                return _ONE_ADDRESS, record[TTLS[first]], inf, asked + record[RECORDS[first]], b"", b""
            if qtype == types.SRV:
                return self._service(asked, name, only[len(key) :], record, start)
            if qtype not in _BY_EXACT_KEY:
                return zone.no_data()
        return None

    def _addresses(self, asked: bytes, tail: Tail, zone: Zone, key: bytes) -> Found | None:
        """All that is below a name, where that are usual records and few."""
        keys = self._source.tree.first_below(key + b"/", _MOST_ADDRESSES + 1)
        records = several.usual_records(keys, self._records) if 0 < len(keys) <= _MOST_ADDRESSES else None
        if records is None:
            return None
        found = several.addresses(asked, tail.qtype, records) or zone.no_data()
        return found if found is None or len(found[3]) <= MOST_RECORDS else None

    def _service(self, asked: bytes, name: bytes, below: bytes, record: bytes, start: int) -> Found | None:
        """An address as a service; its key is that of the name, then ``below``. None where its own name takes a closer look."""
        numbers, strip = (record[NUMBERS], record[STRIP]) if start > 1 else BARE_SERVICE  # a call takes 1,200 instructions
        target = name_below(name, below, strip) if self._names_from_keys and b"/" not in name else None
        if target is None or len(target) > _LONGEST_TARGET:
            return None
        ttl = record[start + 4 : start + 8]
        answer = b"%b\0\x21\0\1%b\0%c%b%b" % (asked, ttl, len(numbers) + len(target), numbers, target)
        return _SERVICE, ttl, inf, answer, b"", target + record[start:]

    def _handle_unusual(self, request: Request) -> Answer:
        name = request.name
        if (gathered := self._gathered.find(name, request.qtype)) is not None:
            return gathered
        cut = name[0] + 1
        place = self._places.get(name[cut:])
        if place is None:
            return self._handle_special(request)
        zone, parent = place
        label = name[1:cut]
        key = parent + label
        only = self._source.tree.below.get(key, key)
        if only not in self._source.tree.records:
            if only is not key:
                return self._several(request, zone, name, key + b"/")
            if is_plain_label(label):
                return self._missing(request, zone)
            if label in WILDCARDS:
                return self._several(request, zone, name[cut:], parent)
        return self._inquire(request, zone, name)

    def _several(self, request: Request, zone: Zone, name: bytes, stem: bytes) -> Answer:
        """What is below ``name``, whose key and a slash are ``stem``; it is asked for by that name, or by a wildcard below it."""
        keys = self._source.tree.first_below(stem, MOST_KEYS + 1)
        return self._usual(request, zone, name, stem, keys) or self._inquire(request, zone, request.name)

    def _matching(self, request: Request, zone: Zone, name: bytes) -> Response | None:
        """What a name with a wildcard stands for, wherever that is; None where that takes a closer look."""
        above = before_wildcard(name)
        if above is None:
            return None
        tree = self._source.tree
        stem = tree.place_of(above) + b"/"
        keys = tree.first_below(stem, MOST_KEYS + 1)
        return self._usual(request, zone, above, stem, tree.matching(name, keys) if len(keys) <= MOST_KEYS else [])

    def _usual(self, request: Request, zone: Zone, name: bytes, stem: bytes, keys: list[bytes]) -> Response | None:
        """The answer from the records at these keys, all below ``name``; None where that takes a closer look."""
        qtype = request.tail.qtype
        records = several.usual_records(keys, self._records) if 0 < len(keys) <= MOST_KEYS else None
        if records is None or qtype in _BY_EXACT_KEY:
            return None
        response: Response | None = None
        if qtype != types.SRV:
            found = several.addresses(request.asked, qtype, records)
            response = response_of(found) if found else zone.empty()
        elif self._names_from_keys and b"/" not in name:
            response = several.services(request.asked, name, len(stem), keys, records)
        if response is not None:
            self._gathered.keep(request.name, qtype, response, len(keys))
        return response

    def _missing(self, request: Request, zone: Zone) -> Answer:
        qtype = request.tail.qtype
        if qtype == types.SOA and self._manners.any_soa:
            return zone.soa()
        if self._falls_through and self.through.covers(request.name):
            return self.next(request)
        return zone.empty() if qtype == types.NS and not self._manners.may_deny_ns else zone.missing()

    # --- all others

    def _handle_special(self, request: Request) -> Answer:
        """Questions about a zone itself, with a parent that is not known yet, before etcd has been read, or for others."""
        name = request.name
        for zone in self._zones.values():
            if names.within(name, zone.name):
                break
        else:
            return self._handle_outside(request)
        if request.qtype == types.SOA and (self._manners.any_soa or name == zone.name):
            return zone.soa()
        if not self._source.mirror.synced:
            return self._handle_early(request, zone)
        if self._local and name == LOCAL + zone.name:
            return self._inquire(request, zone, self._local)
        if self._note_place(name, zone):
            return self.handle(request)
        return self._matching(request, zone, name) or self._inquire(request, zone, name)

    def _note_place(self, name: bytes, zone: Zone) -> bool:
        """Remembers zone and key of all names that stand beside this one; False where they take a closer look."""
        parent, root = names.parent(name), self._keys[zone.name]
        if root is None or parent in self._beside_special:
            return False
        key = plain_key(root, parent[: -len(zone.name)] + names.ROOT)
        if key is None:
            return False
        if len(self._places) >= MOST_PLACES:
            self._places.clear()
        self._places[parent] = zone, key + b"/"
        return True

    def _handle_outside(self, request: Request) -> Answer:
        """A name outside the zones: passed on; but SkyDNS knew the names of all addresses, if without authority."""
        if self.skydns is None:
            if len(self._parents_outside) >= MOST_PLACES:
                self._parents_outside.clear()
            self._parents_outside.add(names.parent(request.name))
        reverse = self.skydns is not None and request.qtype == types.PTR and any(names.within(request.name, z) for z in REVERSE)
        if reverse and not self._source.mirror.synced and monotonic() < self._deadline:
            return self._handle_once_synced(request, Zone(names.ROOT, self._manners))
        if not reverse or self._source.tree.find(request.name, exact=True) is None:
            return self.next(request)
        answer = self._inquire(request, Zone(names.ROOT, self._manners), request.name)
        return then(answer, lambda response: response.replace(flags=0))

    def _handle_early(self, request: Request, zone: Zone) -> Answer:
        """Before etcd has been read: waits a little after the start, then SERVFAIL as in CoreDNS, which waits each time."""
        if monotonic() < self._deadline:
            return self._handle_once_synced(request, zone)
        return zone.failure(ServerFailure(NOT_READ))

    async def _handle_once_synced(self, request: Request, zone: Zone) -> Response:
        try:
            async with asyncio.timeout(self._deadline - monotonic()):
                await self._source.mirror.synced_event.wait()
        except TimeoutError:
            return zone.failure(ServerFailure(NOT_READ))
        return await self.handle(request)

    def _inquire(self, request: Request, zone: Zone, name: bytes) -> Answer:
        if request.qtype == types.SOA and self._manners.any_soa:
            return zone.soa()
        inquiry = Inquiry(request, self._source.tree, zone, self._lease_ttl)
        try:
            answer = follow(inquiry.answer(request.asked, name))
        except NoSuchKey:
            return self._missing(request, zone)
        except ServerFailure as error:
            return zone.failure(error)
        if isinstance(answer, Response) and not inquiry.looked_elsewhere:
            self._gathered.keep(request.name, request.qtype, answer, inquiry.keys_read)
        return answer

    def _lease_ttl(self, lease: int) -> int | None:
        """The TTL that a lease gives: the time it has left, within the bounds."""
        remaining = self._source.mirror.lease_ttl(lease)
        shortest, longest = self.min_lease_ttl or SHORTEST_LEASE_TTL, self.max_lease_ttl or LONGEST_LEASE_TTL
        if remaining is None:
            return None
        return shortest if remaining < shortest else min(remaining, longest)
