"""From a question to its answer, whatever the records below a name are: groups, aliases, texts, mail, targets to be made up.

The usual questions do not come here (see plugin.py). Where another name has to be looked up elsewhere, the steps yield for it, so
that the same lines serve whether that is at hand or has to be waited for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator
from itertools import islice
from math import floor, isfinite
from time import monotonic
from typing import TypeAlias, TypeVar

from pycoredns.answer import Answer, then
from pycoredns.errors import ServerFailure
from pycoredns.plugins.etcd import packed as packing
from pycoredns.plugins.etcd.keys import before_wildcard, name_of, stripped
from pycoredns.plugins.etcd.skydns import DEFAULT_WEIGHT, Service
from pycoredns.plugins.etcd.texts import text_rdata
from pycoredns.plugins.etcd.tree import Tree, shown
from pycoredns.plugins.etcd.zone import Zone
from pycoredns.query import AA, TC
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import record
from pycoredns.wire.walk import walk, with_ttl

T = TypeVar("T")
Steps: TypeAlias = Generator[Answer, Response, T]

MOST_RECORDS = 4096
"""Records in a section, 16 octets each at least: more do not fit into any message."""
MOST_KEYS = MOST_RECORDS
"""Keys that are read for one question: the loop must not stand still for a zone's apex."""
LONGEST_RDATA = 65535
"""Octets in one record, and of all texts in one message."""
MOST_LOOKUPS = 50
"""Names outside the zone that are looked up for one question."""


class NoSuchKey(Exception):
    """There is nothing in etcd at a name or below it."""


def follow(steps: Steps[Response]) -> Answer:
    """Goes through steps as far as answers are at hand, and through the rest when they come."""
    try:
        waited_for = next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what a generator returns is not typed
    return _go_on(steps, waited_for)


def _go_on(steps: Steps[Response], waited_for: Answer) -> Answer:
    try:
        while isinstance(waited_for, Response):
            waited_for = steps.send(waited_for)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # as above
    return then(waited_for, lambda response: _go_on(steps, response))


class Inquiry:
    """One question to the tree."""

    def __init__(self, request: Request, tree: Tree, zone: Zone, lease_ttl: Callable[[int], int | None]) -> None:
        """``lease_ttl`` gives the TTL that comes of a lease, None where that is not known."""
        self.request = request
        self.tree = tree
        self.zone = zone
        self._brief = False
        """Does the answer hold for a moment only?"""
        self._lease_ttl = lease_ttl
        self._truncated = False
        self._keys_left = MOST_KEYS
        self._text_left = LONGEST_RDATA
        self._lookups_left = MOST_LOOKUPS

    @property
    def keys_read(self) -> int:
        """How many keys it has looked at."""
        return MOST_KEYS - self._keys_left

    @property
    def looked_elsewhere(self) -> bool:
        """Does its answer depend on names outside the zone?"""
        return self._lookups_left < MOST_LOOKUPS

    def answer(self, owner: bytes, name: bytes) -> Steps[Response]:
        """The answer about a name, in lower case, which the answer calls ``owner``.

        Raises NoSuchKey where it is not there, ServerFailure where what is there cannot be read.
        """
        qtype, additional = self.request.qtype, list[bytes]()
        if qtype in (types.A, types.AAAA, types.TXT):
            found = yield from self._follow_aliases(owner, name, qtype)
        elif qtype == types.SRV:
            found = yield from self._services(owner, name, additional)
        elif qtype == types.MX:
            found = yield from self._mail(owner, name, additional)
        elif qtype in (types.CNAME, types.PTR):
            found = self._own_target(owner, name, qtype)
        elif qtype == types.NS and name == self.zone.name:
            found = self._name_servers(owner, additional)
        else:
            self._read_addresses(name, qtype)  # only whether the name is there is of interest
            found = []
        return self._respond(found, additional)

    def _respond(self, found: list[bytes], additional: list[bytes]) -> Response:
        if not found and not self._truncated:
            return self.zone.empty()
        cut = self._truncated or len(found) > MOST_RECORDS
        found, additional = found[:MOST_RECORDS], additional[:MOST_RECORDS]
        response = Response(types.NOERROR, b"".join(found), len(found), b"", 0, b"".join(additional), len(additional))
        response.flags = AA | TC if cut else AA
        if self._brief:
            response.until = monotonic() + 1
        return response

    # --- records by type

    def _follow_aliases(self, owner: bytes, name: bytes, qtype: int, targets: tuple[bytes, ...] = ()) -> Steps[list[bytes]]:
        """The addresses or texts at a name, and behind each alias those it leads to; ``targets`` are the names that led here."""
        found: list[bytes] = []
        seen: set[tuple[bytes, object]] = set()
        for service in self._read_addresses(name, qtype):
            if service.rtype == types.CNAME:
                if not leads_back(service.host, name, targets) and len(targets) <= self.zone.manners.longest_chain:
                    found += yield from self._follow_alias(owner, qtype, service, targets)
            elif service.rtype != qtype:
                continue
            elif qtype == types.TXT:
                if is_new(seen, service.text):
                    self._add_text(found, owner, service)
            elif is_new(seen, service.host, service.spelling):
                self._add(found, owner, qtype, service.ttl, service.host)
        return found

    def _follow_alias(self, owner: bytes, qtype: int, service: Service, targets: tuple[bytes, ...]) -> Steps[list[bytes]]:
        """An alias with what it leads to; nothing if that is nothing."""
        target = service.host
        alias = record(owner, types.CNAME, service.ttl, target)
        if names.within(target.lower(), self.zone.name):
            found = yield from self._inside(target, qtype, (*targets, target))
            return [alias, *found] if found else []
        response = yield from self._look_up(target, qtype)
        if response is None:
            return []
        self._truncated |= response.truncated and qtype != types.TXT
        return [alias, *records_of(response)]

    def _inside(self, name: bytes, qtype: int, targets: tuple[bytes, ...] = ()) -> Steps[list[bytes]]:
        """What a name of the zone leads to; nothing where it is missing or spoiled."""
        try:
            return (yield from self._follow_aliases(name, name.lower(), qtype, targets))
        except (NoSuchKey, ServerFailure):
            return []

    def _services(self, owner: bytes, name: bytes, additional: list[bytes]) -> Steps[list[bytes]]:
        """SRV records (RFC 2782). An address gets a name that is made from its key."""
        found: list[bytes] = []
        seen: set[tuple[bytes, object]] = set()
        services = self._read(name, types.SRV)
        weights = weights_of(services)
        for service, weight in zip(services, weights, strict=True):
            target = target_of(service)
            if service.port == -1 or target is None:
                continue
            numbers = b"".join((number & 0xFFFF).to_bytes(2, "big") for number in (service.priority, weight, service.port))
            if service.rtype == types.CNAME:
                self._add(found, owner, types.SRV, service.ttl, numbers + target)
                if is_new(seen, target):
                    additional += yield from self._addresses(target)
                continue
            if is_new(seen, target, service.port & 0xFFFF):
                self._add(found, owner, types.SRV, service.ttl, numbers + target)
            if is_new(seen, target, (service.host, service.spelling)):
                self._add(additional, target, service.rtype, service.ttl, service.host)
        return found

    def _mail(self, owner: bytes, name: bytes, additional: list[bytes]) -> Steps[list[bytes]]:
        """MX records, of those records that are for mail; the preference is the priority."""
        found: list[bytes] = []
        seen: set[tuple[bytes, object]] = set()
        for service in self._read(name, types.MX):
            target = target_of(service)
            if not service.mail or target is None:
                continue
            preference = service.priority & 0xFFFF
            rdata = preference.to_bytes(2, "big") + target
            if service.rtype == types.CNAME:
                self._add(found, owner, types.MX, service.ttl, rdata)
                if is_new(seen, target):
                    additional += yield from self._addresses(target)
                continue
            if is_new(seen, target, preference):
                self._add(found, owner, types.MX, service.ttl, rdata)
            # With all labels of the key, although the record itself may be without some: CoreDNS does so.
            if (whole := made_up(service)) is not None and is_new(seen, whole, (service.host, service.spelling)):
                self._add(additional, whole, service.rtype, service.ttl, service.host)
        return found

    def _addresses(self, target: bytes) -> Steps[list[bytes]]:
        """What goes with a target: A, and AAAA if it is outside the zone; aliases only once."""
        found: list[bytes] = []
        inside, manners = names.within(target.lower(), self.zone.name), self.zone.manners
        for qtype in (types.A, types.AAAA) if manners.both_families or not inside else (types.A,):
            if inside:
                more = yield from self._inside(target, qtype)
            else:
                response = yield from self._look_up(target, qtype)
                # Aliases came with the A records, maybe with another TTL; where none came CoreDNS leaves them out all the same.
                unwanted = types.CNAME if qtype == types.AAAA else None
                more = records_of(response, manners.foreign_ttl, unwanted) if response else []
            known = set(found)
            found += (each for each in more if each not in known)
        return found

    def _own_target(self, owner: bytes, name: bytes, qtype: int) -> list[bytes]:
        """The CNAME or PTR record at a name itself, not below it."""
        named = [each for each in self._read(name, qtype, exact=True) if each.host and each.rtype not in (types.A, types.AAAA)]
        return [record(owner, qtype, service.ttl, service.host) for service in named]

    def _name_servers(self, owner: bytes, additional: list[bytes]) -> list[bytes]:
        """NS records, from the key dns/ns; each has an address."""
        found: list[bytes] = []
        seen: set[tuple[bytes, object]] = set()
        for service in self._read(self.zone.name_servers, types.NS):
            if service.rtype == types.CNAME:
                raise ServerFailure(f"NS record must be an IP address: {names.to_text(service.host)}")
            target = target_of(service)
            if target is None:
                continue
            self._add(additional, target, service.rtype, service.ttl, service.host)
            if is_new(seen, target):
                self._add(found, owner, types.NS, service.ttl, target)
        return found

    def _add(self, section: list[bytes], owner: bytes, rtype: int, ttl: int, rdata: bytes) -> None:
        """Adds a record; one that is too long for any message leaves a mark that something is missing."""
        if len(rdata) > LONGEST_RDATA:
            self._truncated = True
        else:
            section.append(record(owner, rtype, ttl, rdata))

    def _add_text(self, section: list[bytes], owner: bytes, service: Service) -> None:
        """Adds a TXT record, as long as all texts together fit a message: etcd may hold gigabytes of them."""
        if self._text_left >= 0:
            rdata = text_rdata(service.text)
            self._text_left -= len(rdata)
        if self._text_left < 0:
            self._truncated = True
        else:
            section.append(record(owner, types.TXT, service.ttl, rdata))

    # --- reading

    def _read_addresses(self, name: bytes, qtype: int) -> list[Service]:
        """The records at a name; addresses of the zone itself come from a key of their own, where there is one."""
        if name == self.zone.name and qtype != types.TXT and self.zone.manners.apex_key:
            try:
                return self._read(self.zone.apex_key, qtype)
            except NoSuchKey:
                pass
        return self._read(name, qtype)

    def _read(self, name: bytes, qtype: int, exact: bool = False) -> list[Service]:
        """The records at a name that count for a type. Raises NoSuchKey, or ServerFailure where all of them are spoiled."""
        keys = self.tree.find(name, exact)
        if keys is None:
            raise NoSuchKey
        taken = list(islice(keys, self._keys_left))
        self._keys_left -= len(taken)
        if before_wildcard(name) is not None:
            self._truncated |= next(keys, None) is not None  # what was not read may match
            taken = self.tree.matching(name, taken)
        readable = [key for key in taken if self.tree.records[key][0] != packing.SPOILED]
        if taken and not readable:
            raise ServerFailure(f"{shown(taken[0])}: {packing.reason(self.tree.records[taken[0]])}")
        services = [packing.unpack(self.tree.records[key], key) for key in readable]
        services = [self._leased(each) for each in services if each.host or (qtype == types.TXT and each.text)]
        return grouped(services)

    def _leased(self, service: Service) -> Service:
        """A record with the TTL that its lease leaves, if it has one."""
        if not service.lease:
            return service
        self._brief = True
        ttls = [ttl for ttl in (service.ttl, self._lease_ttl(service.lease)) if ttl]
        return service._replace(ttl=min(ttls, default=self.tree.default_ttl))

    def _look_up(self, name: bytes, qtype: int) -> Steps[Response | None]:
        """The answer of the server itself about a name outside the zone."""
        if not self._lookups_left:
            return None
        self._lookups_left -= 1
        try:
            waited_for = self.request.listener.service.resolve(self.request, name, qtype)
        except ServerFailure:
            return None
        return (yield waited_for).plain()


def leads_back(target: bytes, name: bytes, targets: tuple[bytes, ...]) -> bool:
    """Does an alias lead to the name itself, below it, or to where we have been?"""
    return names.within(target.lower(), name) or target in targets


def target_of(service: Service) -> bytes | None:
    """The name that a service points to; an address gets one from its key. None where there is none that can be written."""
    if service.rtype == types.TXT:
        return None
    name = service.host if service.rtype == types.CNAME else made_up(service)
    return name if name is None else stripped(name, service.targetstrip)


def made_up(service: Service) -> bytes | None:
    """The name that belongs to the key; None where that cannot be written."""
    try:
        return name_of(service.key)
    except names.BadNameError:
        return None


def is_new(seen: set[tuple[bytes, object]], name: bytes, other: object = None) -> bool:
    """Has this pair not been seen before? From now on it has."""
    before = len(seen)
    seen.add((name, other))
    return len(seen) > before


def records_of(response: Response, ttl: int | None = None, unwanted: int | None = None) -> list[bytes]:
    """The records of an answer, if wanted with another TTL or without those of a type."""
    found = walk(response.answer, 0, response.answers)
    octets = response.answer if ttl is None else with_ttl(response.answer, found, ttl)
    return [octets[each.start : each.end] for each in found if each.rtype != unwanted]


def grouped(services: list[Service]) -> list[Service]:
    """Those of the same group as the record with the shortest key, and those of none; all if the shortest keys disagree."""
    if not services or not any(service.group for service in services):
        return services
    group, depth = services[0].group, services[0].key.count(b"/")
    depths = [0] * len(services)
    for place, service in enumerate(services):
        depths[place] = service.key.count(b"/")
        if depths[place] < depth:
            if not service.group:
                break
            depth, group = depths[place], service.group
    if not group:
        return services
    if any(each.group not in (b"", group) for each, own in zip(services, depths, strict=True) if own == depth):
        return services
    return [service for service in services if service.group in (b"", group)]


def weights_of(services: list[Service]) -> list[int]:
    """The weights as shares of 100 among those of one priority, at least 1; with Go's 64-bit sums, as CoreDNS makes them."""
    sums: dict[int, int] = defaultdict(int)
    for service in services:
        sums[service.priority] += service.weight or DEFAULT_WEIGHT
    return [share(service.weight or DEFAULT_WEIGHT, sums[service.priority]) for service in services]


def share(weight: int, total: int) -> int:
    """A weight as a share of 100, with what Go makes of strange numbers."""
    total = (total + (1 << 63)) % (1 << 64) - (1 << 63)
    exact = 100.0 / total * weight if total else float("inf")
    return (floor(exact) & 0xFFFF if isfinite(exact) and abs(exact) < 1 << 31 else 0) or 1
