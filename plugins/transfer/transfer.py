"""Zone transfers to others: who may have which zone, and in what form they get it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, ClassVar, Self

from pycoredns import bounds
from pycoredns.answer import Answer, Pending
from pycoredns.corefile import kinds
from pycoredns.corefile.configure import parse_directives
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.options import Arguments, Context, Option, Repeated, Repetition, zones_of_block
from pycoredns.corefile.servers import ServerAddress
from pycoredns.errors import Refused, ServerFailure
from pycoredns.output import logger
from pycoredns.peers import Role, here
from pycoredns.plugins.transfer.notify import Notifier
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.stream import Form, Stream
from pycoredns.wire import message, names, types
from pycoredns.wire.message import BadMessageError, Record
from pycoredns.zone.holder import FollowsZones, HoldsZones
from pycoredns.zone.journal import Difference
from pycoredns.zone.zone import Zone

log = logger("plugin/transfer")
UNTIL_ALL_HAVE_IT = 0.5
"""Seconds in which all workers have read a zone that one has read: who is told may ask any of them."""


@dataclass(frozen=True)
class Recipient:
    """Who may have a zone: a server, which is also told of changes, or with `*` everybody."""

    placeholder: ClassVar[str] = "ADDRESS"
    server: ServerAddress | None

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """An address, or a star."""
        return cls(None if token.text == "*" else ServerAddress.parse(token, context))


@dataclass(frozen=True)
class Rule:
    """One line of the Corefile: which zones go to whom."""

    zones: tuple[bytes, ...]
    servers: tuple[ServerAddress, ...]
    to_all: bool
    source: str = ""

    def admits(self, client: str) -> bool:
        """May this address have the zones?"""
        return self.to_all or any(server.address == client for server in self.servers)


@dataclass
class Transfer(FollowsZones):
    """Give whole zones, or what changed in them, to other name servers, and tell these of changes."""

    repeated: ClassVar[Repetition] = "merged"

    zones: Annotated[
        tuple[kinds.Zone, ...], Arguments("zones that are given; without any those of the block", otherwise=zones_of_block)
    ]
    to: Annotated[tuple[Recipient, ...], Repeated("who may have them and is told of changes; * for all, who are not told")]
    source: Annotated[kinds.Address | None, Option("the address that NOTIFY messages are sent from")] = None

    def __post_init__(self) -> None:
        """Begins with the rule of its own line."""
        servers = tuple(recipient.server for recipient in self.to if recipient.server is not None)
        source = str(self.source) if self.source else ""
        self.rules = [Rule(tuple(map(bytes, self.zones)), servers, len(servers) < len(self.to), source)]
        self._untold: set[bytes] = set()
        self._notifier: Notifier | None = None

    @classmethod
    def from_directives(cls, directives: Sequence[Directive], context: Context) -> Self:
        """Each line is a rule of its own."""
        for directive in directives:
            for again in [line for line in directive.lines if line.name.text == "source"][1:]:
                context.report(again.place, "source already specified", "give one address")
        lines = parse_directives(cls, directives, context)
        lines[0].rules = [rule for line in lines for rule in line.rules]
        return lines[0]

    # --- questions

    def handle(self, request: Request) -> Answer:
        """Gives a zone that a plugin of the block holds, over a connection, to whom it may be given."""
        if request.qtype not in types.TRANSFERS:
            return self.next(request)
        if request.listener.protocol != "tcp":
            raise Refused
        rule = self.rule_for(request.name)
        if rule is None:
            return self.next(request)
        if not rule.admits(request.client[0].partition("%")[0]):
            return Response(types.REFUSED, flags=0)
        since = _serial(request) if request.qtype == types.IXFR else None
        for holder in self.block.plugins:
            if isinstance(holder, HoldsZones) and holder.origin_of(request.name) == request.name:
                return self._give(request, holder, since)
        return self.next(request)

    def rule_for(self, name: bytes) -> Rule | None:
        """The rule with the longest zone that holds a name (lower-case wire form)."""
        found, longest = None, 0
        for rule in self.rules:
            size = max((len(zone) for zone in rule.zones if names.within(name, zone)), default=0)
            if size > longest:
                found, longest = rule, size
        return found

    def _give(self, request: Request, holder: HoldsZones, since: int | None) -> Answer:
        """The whole zone, or what changed since a serial (RFC 1995 §4)."""
        zone = holder.zone(request.name)
        if zone is None:
            raise ServerFailure("no SOA: the zone is not there yet, or has expired")
        changes = holder.changes(zone.origin, since) if since is not None else None
        if changes is not None and not changes:
            told = (names.to_text(request.asked), request.client[0], zone.serial)
            log.info('Outgoing noop, incremental transfer for up to date zone "%s" to %s for %d SOA serial', *told)
            return Response.of([zone.soa()])
        bounds.find_room_for_stream(request.listener.service.address)
        incremental = changes is not None and sum(len(each.removed) + len(each.added) for each in changes) <= len(zone.nodes)

        def records(form: Form) -> Iterator[list[bytes]]:
            if incremental:
                return form.lists(map(_body, _changed(zone.soa(), changes or ())))
            return chain(zone.lists(form), form.lists([_body(zone.soa())]))

        def made(count: int) -> None:
            told = (count, names.to_text(request.asked), request.client[0], zone.serial)
            log.info('Outgoing transfer of %d records of zone "%s" to %s for %d SOA serial', *told)

        (answer := Pending()).resolve(Stream(records, zone.origin, made))
        return answer

    # --- NOTIFY

    def zone_changed(self, zone: Zone) -> None:
        """Tells the servers that may have a zone of its new version (RFC 1996)."""
        if self._notifier is None:
            self._untold.add(zone.origin)
        else:
            self._tell(self._notifier, zone.origin)

    def _tell(self, notifier: Notifier, origin: bytes) -> None:
        rule = self.rule_for(origin)
        if rule is not None and rule.servers and here().leading:  # of several processes one tells
            pause = UNTIL_ALL_HAVE_IT if here().role is Role.WORKER else 0.0
            notifier.tell(origin, rule.servers, rule.source, pause)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Notifies while the server runs, first of what was there before."""
        self._notifier = Notifier()
        while self._untold:
            self._tell(self._notifier, self._untold.pop())
        try:
            yield
        finally:
            await self._notifier.close()


def _serial(request: Request) -> int:
    """The serial that the client has, from the SOA of its question (RFC 1995 §3); raises ServerFailure without one."""
    try:
        authority = message.read_sections(request.origin.wire).authority
    except BadMessageError:
        raise ServerFailure from None
    if len(authority) != 1 or authority[0].rtype != types.SOA or len(authority[0].rdata) < 22:
        raise ServerFailure
    return int.from_bytes(authority[0].rdata[-20:-16], "big")


def _changed(soa: Record, changes: Sequence[Difference]) -> Iterator[Record]:
    """IXFR: for each step the old SOA and what went, the new SOA and what came (RFC 1995 §4)."""
    yield soa
    for step in changes:
        yield step.old
        yield from step.removed
        yield step.new
        yield from step.added
    yield soa


def _body(record: Record) -> tuple[bytes, bytes]:
    return record.name, record.wire()[len(record.name) :]
