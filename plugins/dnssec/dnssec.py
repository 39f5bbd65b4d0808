"""Answers are signed on their way out, and denials proven, for those who ask for DNSSEC (RFC 4035 §3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pycoredns.answer import Answer, then
from pycoredns.background import beside, in_background
from pycoredns.corefile.kinds import Zone
from pycoredns.corefile.numbers import Count
from pycoredns.corefile.options import Arguments, BadValueError, Option, Repeated, zones_of_block
from pycoredns.dnssec.keys import BadKeyError
from pycoredns.errors import FormatError, StartError
from pycoredns.frozen import changeable
from pycoredns.metrics import Counter, Gauge, before_scrape
from pycoredns.output import logger
from pycoredns.plugin import Plugin
from pycoredns.plugins.dnssec.denial import WAYS, Proof
from pycoredns.plugins.dnssec.keyring import ZoneKeys
from pycoredns.plugins.dnssec.keystore import KeyStore
from pycoredns.plugins.dnssec.options import KeySource
from pycoredns.plugins.dnssec.sections import NOTHING, Authority, Section, Signer, end_of_aliases
from pycoredns.plugins.dnssec.signatures import Signatures, Tally
from pycoredns.query import TC
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import record
from pycoredns.wire.walk import walk

if TYPE_CHECKING:
    from pycoredns.service import Service

CAPACITY = Count(10000)
POLL = 60.0
"""Seconds between two looks into the folders of keys, and at the clock."""
MOST_SET = 3600.0
"""Seconds by which the clock may be set before all is signed anew: signatures begin three hours ago."""
_LONGEST_HASHED_ZONE = names.LONGEST_NAME - 33  # before it stands a hash of 32 letters
_MOST_BESIDE = 4096
_ONLY_SOA = (types.SOA,)
_ANSWERED_BY_ALIASES = (types.CNAME, types.ANY)
_NEGATIVE = (types.NOERROR, types.NXDOMAIN)
log = logger("plugin/dnssec")


@changeable
class Dnssec(Plugin):
    """Sign answers on their way to those who ask for DNSSEC."""

    entries = Gauge("cache_entries", "Sets whose signatures are kept.", "server", "type")
    hits = Counter("cache_hits_total", "Sets whose signatures were at hand.", "server")
    misses = Counter("cache_misses_total", "Sets that were signed anew.", "server")

    zones: Annotated[tuple[Zone, ...], Arguments("zones to sign", otherwise=zones_of_block)] = ()
    key: Annotated[tuple[KeySource, ...], Repeated("files, folders or secrets with keys that sign")] = ()
    cache_capacity: Annotated[Count, Option("sets whose signatures are kept", placeholder="CAPACITY")] = CAPACITY
    denial: Annotated[Literal["nsec", "nsec3", "compact"], Option("how it is proven that something is not there")] = "nsec"

    def __post_init__(self) -> None:
        """Prepares the keys; raises BadValueError where they and the zones do not fit."""
        self.store = KeyStore(self.zones, self.key)
        self._denial = WAYS[self.denial]()
        too_long = [zone for zone in self.zones if len(zone) > _LONGEST_HASHED_ZONE]
        if self.denial == "nsec3" and too_long:
            raise BadValueError(f"{names.to_text(too_long[0])} leaves no room for NSEC3", "use denial nsec or compact")
        self._beside: dict[bytes, ZoneKeys] = {}
        """Keys by the parent of the names they are for, but for names that are zones themselves."""
        self.rings = self.store.rings(time())
        self._zones = frozenset(self.zones)
        self._clock = time() - monotonic()
        """What the clock is ahead of one that is never set."""
        self.signatures = Signatures(self.cache_capacity)
        self._signer = Signer(self.signatures, self.keys_of)
        self._tallies: dict[Service, Tally] = {}

    # --- who signs

    def keys_of(self, name: bytes, rtype: int) -> ZoneKeys | None:
        """The keys of the zone that a set belongs to; DS belongs to the parent's, if that is signed here (RFC 4035 §2.4)."""
        own, zone = None, name
        while zone:
            if zone in self._zones:
                if rtype != types.DS or zone != name:
                    return self.rings.get(zone)
                own = self.rings.get(zone)
            zone = zone[zone[0] + 1 :]
        return own

    # --- the way of a question

    def handle(self, request: Request) -> Answer:
        """Answers for the keys; signs what those behind answer, where that is wanted."""
        name, tail = request.name, request.tail
        keys = self._beside.get(name[name[0] + 1 :])
        if keys is None or name in self._zones or not tail.usual or tail.qtype in self._denial.refused:
            return self._handle_special(request)
        answer = self.next(request)
        if not tail.do:
            return answer
        if isinstance(answer, Response):
            return self._signed(request, keys, answer)
        return then(answer, partial(self._signed, request, keys))

    def _handle_special(self, request: Request) -> Answer:
        """Questions about a zone itself, for its keys, outside of all zones, or with a parent that is not known yet."""
        name, tail = request.name, request.tail
        keys = self.keys_of(name, tail.qtype) if tail.qclass == types.IN else None
        if keys is None:
            return self.next(request)
        if name == keys.origin:
            shown = keys.sets.get(tail.qtype) or self._denial.shown.get(tail.qtype)
            if shown is not None:
                return self._shown(request, keys, shown)
        if tail.qtype in self._denial.refused:
            raise FormatError
        if tail.usual and name not in self._zones:
            if len(self._beside) >= _MOST_BESIDE:
                self._beside.clear()
            self._beside[names.parent(name)] = keys
        if not tail.do:
            return self.next(request)
        return then(self.next(request), partial(self._signed, request, keys))

    def _shown(self, request: Request, keys: ZoneKeys, rdatas: Sequence[bytes]) -> Response:
        """A set that the plugin itself has at the zone's apex."""
        records = b"".join([record(keys.origin, request.qtype, keys.ttl, rdata) for rdata in rdatas])
        if not request.do:
            return Response(answer=records, answers=len(rdatas))
        tally = self.tally(request)
        return self._made(Response(), tally, self._signer.signed(records, len(rdatas), tally))

    def _signed(self, request: Request, keys: ZoneKeys, response: Response) -> Answer:
        """The answer with signatures, and with proofs where it denies something."""
        tail = request.tail
        if response.flags & TC or request.header.opcode or tail.qtype in types.TRANSFERS:
            return response
        if response.__class__ is not Response:
            response = response.plain()
        tally = self._tallies.get(request.listener.service) or self.tally(request)
        if (
            response.answers == 1
            and not response.authorities
            and not response.additionals
            and tail.qtype != types.RRSIG
            and response.answer.startswith(request.asked + tail.question)
        ):
            return self._signer.signed_answer(request, keys, response, tally)
        known = self._signer.authority(response.authority, response.authorities)
        if not response.answers and response.rcode in _NEGATIVE:
            if known.rtypes == _ONLY_SOA:
                return self._denied(request, keys, response, known, tally)
            if response.rcode == types.NXDOMAIN or types.SOA in known.rtypes:
                return response  # proven already, or not to be proven
            if types.NS in known.rtypes:
                return self._delegated(response, known, tally)
        return self._with_signatures(request, response, known, tally)

    def _with_signatures(self, request: Request, response: Response, known: Authority, tally: Tally) -> Response:
        """Any answer that denies nothing, or only what its aliases lead to."""
        qtype, room = request.tail.qtype, request.limit
        answer = self._signer.signed(response.answer, response.answers, tally, room=room)
        authority = self._signer.signed_authority(known, tally, room)
        additional = self._signer.signed(response.additional, response.additionals, tally, room=room)
        if answer.cut or authority.cut or additional.cut:  # a cache is not to keep it
            response = response.alike(flags=response.flags | TC)
        if known.rtypes == _ONLY_SOA and response.rcode in _NEGATIVE and qtype not in _ANSWERED_BY_ALIASES:
            end = end_of_aliases(request.name, response.answer, response.answers)
            end_keys = self.keys_of(end, qtype) if end else None
            if end and end_keys:  # RFC 4035 §3.1.3: aliases lead to what is not there
                proofs = self._proofs(end_keys, end, qtype, response.rcode)
                authority = self._signer.proven(proofs, end_keys, end, known.ttl, tally, authority)
                if not self._denial.says_missing or end == end_keys.origin:
                    response = response.alike(rcode=types.NOERROR)
        return self._made(response, tally, answer, authority, additional)

    # --- denials

    def _denied(self, request: Request, keys: ZoneKeys, response: Response, soa: Authority, tally: Tally) -> Answer:
        """A name or type that is not there; its proofs have the TTL of the SOA record."""
        qtype = request.tail.qtype
        if qtype == types.DS and request.name != keys.origin and response.rcode == types.NOERROR:
            asked = request.replace(tail=request.tail.replace(qtype=types.NS))
            return then(self.next(asked), partial(self._without_ds, request, keys, response, soa, tally))
        missing = response.rcode == types.NXDOMAIN and request.name != keys.origin  # as _proofs has it, which would be a call
        proofs = (self._denial.missing if missing else self._denial.without)(keys, request.name, qtype)
        return self._proven(request, keys, response, proofs, soa, tally)

    def _without_ds(
        self, request: Request, keys: ZoneKeys, response: Response, soa: Authority, tally: Tally, servers: Response
    ) -> Response:
        """Only where another zone begins may the proof say so: elsewhere it would let forged answers pass as unsigned ones."""
        if _is_cut(servers, request.name):
            proofs = self._denial.insecure(keys, request.name)
        else:
            proofs = self._proofs(keys, request.name, types.DS, response.rcode)
        return self._proven(request, keys, response, proofs, soa, tally)

    def _proofs(self, keys: ZoneKeys, name: bytes, qtype: int, rcode: int) -> Sequence[Proof]:
        """What proves that a name is not there, or has no such type."""
        if rcode == types.NXDOMAIN and name != keys.origin:
            return self._denial.missing(keys, name, qtype)
        return self._denial.without(keys, name, qtype)

    def _proven(
        self, request: Request, keys: ZoneKeys, response: Response, proofs: Iterable[Proof], soa: Authority, tally: Tally
    ) -> Response:
        """A denial with its proofs."""
        rcode = response.rcode if self._denial.says_missing and request.name != keys.origin else types.NOERROR
        if request.tail.qtype == types.NSEC and not self._denial.says_missing:  # then the proof is the answer
            proven = self._signer.proven(proofs, keys, request.asked, soa.ttl, tally)
            return self._made(response.alike(rcode=rcode), tally, proven)
        behind = self._signer.signed_authority(soa, tally)
        octets, number, until, sets, _ = self._signer.proven(proofs, keys, request.asked, soa.ttl, tally, behind)
        made = self._signer.remade(
            response,
            rcode,
            response.answer,
            response.answers,
            octets,
            number,
            response.additional,
            response.additionals,
            until,
            sets,
            tally,
        )
        made.gist = response.authority
        return made

    def _delegated(self, response: Response, known: Authority, tally: Tally) -> Response:
        """Another zone begins: its DS records are signed, or proven not to be there; its NS records are its own."""
        octets, count = response.authority, response.authorities
        first = next(each for each in walk(octets, 0, count) if each.rtype == types.NS)
        cut = octets[first.start : first.fixed]
        keys = self.keys_of(cut.lower(), types.DS)
        if keys is None or cut.lower() == keys.origin:
            return response
        section = self._signer.signed(octets, count, tally, only=types.DS)
        if types.DS not in known.rtypes:
            proofs = self._denial.insecure(keys, cut.lower())
            section = self._signer.proven(proofs, keys, cut, known.ttl, tally, section)
        glue = Section(response.additional, response.additionals)
        return self._made(response, tally, NOTHING, section, glue)

    def _made(
        self,
        response: Response,
        tally: Tally,
        answer: Section = NOTHING,
        authority: Section = NOTHING,
        additional: Section = NOTHING,
    ) -> Response:
        """The answer with other sections."""
        return self._signer.remade(
            response,
            response.rcode,
            answer.octets,
            answer.number,
            authority.octets,
            authority.number,
            additional.octets,
            additional.number,
            min(answer.until, authority.until, additional.until),
            answer.sets + authority.sets + additional.sets,
            tally,
        )

    # --- counting, starting, reloading

    def tally(self, request: Request) -> Tally:
        """The counts of the server that was asked."""
        service = request.listener.service
        tally = self._tallies.get(service)
        if tally is None:
            tally = Tally(self.hits.cell(service.address), self.misses.cell(service.address))
            self._tallies[service] = tally
        return tally

    def count(self) -> None:
        """Brings the metrics up to date."""
        for service in self._tallies:
            self.entries.cell(service.address, "signature").value = len(self.signatures)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetches what is not in files, and looks after the folders."""
        if self.store.secrets:
            try:
                await asyncio.to_thread(self.store.read_secrets)
            except BadKeyError as error:
                raise StartError(f"plugin/dnssec: {error}") from None
            self.rings = self.store.rings(time())
            self._beside.clear()
        self._warn()
        before_scrape.append(self.count)
        try:
            async with beside(self._watch()):
                yield
        finally:
            before_scrape.remove(self.count)

    def _warn(self) -> None:
        for doubt in self.store.doubts():
            log.warning("%s", doubt)
        for zone in self.zones:
            if zone not in self.rings:
                log.warning("no key signs %s now: its answers leave without signatures", names.to_text(zone))

    async def _watch(self) -> None:
        """Takes the keys of the folders as they are, and as their times say; runs until it is cancelled."""
        while True:
            now = time()
            event = self.store.next_event(now)
            await asyncio.sleep(POLL if event is None else min(POLL, event - now))
            try:
                await self.look()
            except Exception as error:  # a background step ends here: the present keys sign on
                log.error("the keys cannot be looked at: %r", error, exc_info=error)

    async def look(self) -> None:
        """Reads the folders beside the answers; signs with the keys whose time it is, all anew where the clock has been set."""
        await in_background(self.store.read_folders)
        rings, clock = self.store.rings(time()), time() - monotonic()
        if {zone: ring.roles for zone, ring in rings.items()} != {zone: ring.roles for zone, ring in self.rings.items()}:
            for zone, ring in rings.items():
                log.info("%s is signed by %s", names.to_text(zone), ", ".join(str(key.tag) for key in ring.for_data))
        elif abs(clock - self._clock) > MOST_SET:
            log.warning("The clock has been set by %d seconds: all is signed anew", clock - self._clock)
        else:
            return
        self.rings, self._clock = rings, clock
        self._beside.clear()
        self.signatures.forget()
        self._signer.forget()
        self._warn()
        self.changed()

    def doubts(self, served: Sequence[tuple[str, int]]) -> Iterable[str]:
        """Keys that are no secret."""
        return [f"dnssec: {doubt}" for doubt in self.store.doubts()]

    def take_over(self, old: Self) -> None:
        """Keeps the signatures, if the keys are the same."""
        if _roles(self) == _roles(old):
            self.signatures.take_over(old.signatures)
            self._clock = old._clock


def _roles(plugin: Dnssec) -> dict[bytes, tuple[tuple[bytes, ...], ...]]:
    return {zone: ring.roles for zone, ring in plugin.rings.items()}


def _is_cut(servers: Response, name: bytes) -> bool:
    """Does an answer to a question for NS say that another zone begins at the name?"""
    servers = servers.plain()
    for octets, count in ((servers.answer, servers.answers), (servers.authority, servers.authorities)):
        for each in walk(octets, 0, count):
            if each.rtype == types.NS and octets[each.start : each.fixed].lower() == name:
                return True
    return False
