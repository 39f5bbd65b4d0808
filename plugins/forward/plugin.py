"""The plugin: its options, and which questions it relays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pycoredns.answer import Answer, then
from pycoredns.bounds import overload
from pycoredns.corefile.kinds import Address, Zone
from pycoredns.corefile.numbers import Count, Duration
from pycoredns.corefile.options import Argument, Arguments, BadValueError, Option, Repeated, Repetition
from pycoredns.direct import ELSEWHERE, Direct, Relay
from pycoredns.errors import DNSError, Refused, StartError
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.plugins.forward import measures
from pycoredns.plugins.forward.attempt import ask
from pycoredns.plugins.forward.destinations import Destination, Endpoint, HostName, ServerName, without_repetitions
from pycoredns.plugins.forward.exchange import Exchange
from pycoredns.plugins.forward.lookup import addresses_of
from pycoredns.plugins.forward.options import (
    NO_FILES,
    USUAL_CHECK,
    FailureCode,
    FirstZone,
    HealthCheck,
    Number32,
    Policy,
    Resolver,
    ResponseCode,
    Security,
    orders,
)
from pycoredns.plugins.forward.upstream import Terms, Upstream
from pycoredns.query import Tail
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.settings import BlockSettings
from pycoredns.wire import names, types

if TYPE_CHECKING:
    from pycoredns.service import Service

MOST_UPSTREAMS = 15
ATTEMPTS_PER_UPSTREAM = 2
PATIENCE = 5.0
"""Seconds after which no further upstream is asked."""
_LOOPBACK = ("127.0.0.1", "::1")
_ALL_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104  nothing is bound to them here


@changeable
class Forward(Plugin):
    """Relay questions to other name servers."""

    repeated: ClassVar[Repetition] = "each"

    zone: Annotated[FirstZone, Argument("the zone whose names are relayed", placeholder="FROM")]
    to: Annotated[
        tuple[Destination, ...],
        Arguments("upstreams: addresses, host names, or files like resolv.conf", placeholder="TO", least=1),
    ]
    ignored: Annotated[tuple[Zone, ...], Repeated("zones that are not relayed", name="except", placeholder="IGNORED_NAMES")] = ()
    force_tcp: Annotated[bool, Option("ask over TCP even what was asked over UDP")] = False
    prefer_udp: Annotated[bool, Option("ask over UDP first even what was asked over TCP")] = False
    expire: Annotated[Duration, Option("how long an idle connection is kept")] = Duration(10)
    max_age: Annotated[Duration, Option("how long any connection is kept; 0: as long as it is used")] = Duration(0)
    max_idle_conns: Annotated[Count, Option("idle connections kept for each upstream; 0: no limit", placeholder="INTEGER")] = (
        Count(0)
    )
    read_timeout: Annotated[Duration, Option("how long an upstream may take to answer")] = Duration(2)
    max_fails: Annotated[int, Option("failed checks after which an upstream is down; 0: it never is", kind=Number32)] = 2
    max_connect_attempts: Annotated[Number32 | None, Option("failed attempts for a question; 0: no limit")] = None
    doh_method: Annotated[Literal["GET", "POST"], Option("how upstreams over HTTPS are asked")] = "POST"
    tls: Annotated[Security, Option("certificates: our own, and whose are trusted")] = NO_FILES
    tls_servername: Annotated[str, Option("the name in the upstreams' certificates", kind=ServerName)] = ""
    policy: Annotated[Policy, Option("which upstream comes first")] = "random"
    health_check: Annotated[HealthCheck, Option("how an upstream that failed is checked")] = USUAL_CHECK
    max_concurrent: Annotated[Count, Option("questions that may wait at a time; more are refused", placeholder="MAX")] = Count(0)
    next_codes: Annotated[tuple[ResponseCode, ...], Repeated("answers after which the next forward is tried", name="next")] = ()
    next_on_nodata: Annotated[bool, Option("try the next forward after an answer without records")] = False
    failfast_all_unhealthy_upstreams: Annotated[bool, Option("fail at once when all upstreams are down")] = False
    failover: Annotated[tuple[FailureCode, ...], Repeated("answers after which the next upstream is asked")] = ()
    source_address: Annotated[Address | None, Option("the address questions are sent from", placeholder="IP")] = None
    resolver: Annotated[tuple[Resolver, ...], Repeated("name servers that look up upstreams given by name")] = ()

    def __post_init__(self) -> None:
        """Refuses what contradicts itself."""
        if len(self.to) > MOST_UPSTREAMS:
            raise BadValueError(f"more than {MOST_UPSTREAMS} TOs configured: {len(self.to)}")
        if 0 < self.max_age < self.expire:
            cause = f"max_age ({self.max_age.written}) must not be less than expire ({self.expire.written})"
            raise BadValueError(cause, "raise it, or lower expire", "max_age")
        if self.read_timeout <= 0:
            raise BadValueError("read_timeout must be positive", "write it as 2s or 500ms", "read_timeout")
        known = [endpoint for destination in self.to for endpoint in destination.endpoints]
        if not known:
            raise BadValueError("no valid upstream addresses found", "name at least one name server")
        if self.tls_servername and any(each.server_name for each in known if each.scheme == "tls"):
            cause = "a server name is given both for all upstreams and for one"
            raise BadValueError(cause, "leave out tls_servername", "tls_servername")
        self.waiting = 0
        """Questions that no answer has come to yet."""
        self.patience = int(PATIENCE * 1e9)
        """Nanoseconds after which no further upstream is asked."""
        self.choosy = bool(self.failover or self.prefer_udp)
        """Can there be a reason to go on although an answer has come?"""
        self.most_attempts = 0
        """Attempts that may fail for one question; 0: any number."""
        self.tells = False
        """Does somebody want to know which upstream was asked?"""
        self.streamed = frozenset[str]() if self.prefer_udp else frozenset({"tcp"})
        """The protocols whose questions go over a stream first."""
        if self.force_tcp:
            self.streamed = frozenset({"udp", "tcp"})
        self._everything = self.zone == names.ROOT and not self.ignored
        self.most_waiting = self.max_concurrent or overload.most_waiting
        """So many questions may wait for an answer."""
        self._passes_on = False
        self._upstreams: list[Upstream] = []
        self._kept: dict[Terms, Upstream] = {}

    def answers_all(self, zone: bytes) -> bool:
        """For all names below FROM, unless some are excepted or some answers make it pass on."""
        return names.within(zone, self.zone) and not (self.ignored or self.next_codes or self.next_on_nodata)

    def doubts(self, served: Sequence[tuple[str, int]]) -> Iterable[str]:
        """Questions that are relayed to the server itself go round in circles."""
        for endpoint in (each for destination in self.to for each in destination.endpoints if isinstance(each, Endpoint)):
            hosts = {host for host, port in served if port == endpoint.port}
            if endpoint.host in hosts or (endpoint.host in _LOOPBACK and not hosts.isdisjoint(_ALL_ADDRESSES)):
                yield f"{endpoint.text} is this server itself: questions would come back again and again"

    def configure(self, settings: BlockSettings) -> None:
        """Upstreams may know of other classes than IN."""
        settings.chaos = True
        self.patience = int(min(PATIENCE, settings.patience) * 1e9)

    # --- a question's way

    def handle(self, request: Request) -> Answer:
        """Asks an upstream, if the name is one of those that are relayed."""
        if not self._everything and not self._relays(request.name):
            return self.next(request)
        if self.waiting >= self.most_waiting:
            raise self._refusal(request)
        self.waiting += 1
        exchange = Exchange(self, request, self.order())
        exchange.begin()
        if self._passes_on:
            return then(exchange, lambda response: self.next(request) if self._is_for_next(response) else response)
        return exchange

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """All that has to be relayed anyway, where the first answer will do, over UDP."""
        everything = not self.ignored and all(names.within(zone, self.zone) for zone in self.block.zones)
        if not everything or self.choosy or self.force_tcp or self.tells or self._passes_on:
            return None
        # there is nothing here that the memo could remember
        return Direct(_look_elsewhere, keeps=True, relay=Relay(partial(ask, self), _as_it_is))

    def _refusal(self, request: Request) -> DNSError:
        """What a question ends with for which there is no room: of our own bound, or of the server's."""
        if not self.max_concurrent:
            return overload.refusal(request.listener.service.address)
        measures.rejected.cell().value += 1
        return Refused(f"concurrent queries exceeded maximum {self.most_waiting}")

    def _relays(self, name: bytes) -> bool:
        """Is a name (lower-case wire form) in the zone, and not among the exceptions? The zone's own apex is none."""
        if name == self.zone:
            return True
        return names.within(name, self.zone) and not any(names.within(name, zone) for zone in self.ignored)

    def _is_for_next(self, response: Response) -> bool:
        """Is the next forward to be tried after this answer?"""
        if response.rcode in self.next_codes:
            return True
        return self.next_on_nodata and response.rcode == types.NOERROR and not response.answers

    # --- upstreams

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks up names; connections are opened by questions. Raises StartError."""
        endpoints = await self._endpoints()
        try:
            self._upstreams = [self._kept.get(terms) or Upstream(terms) for terms in map(self._terms, endpoints)]
        except BadValueError as error:
            raise StartError(f"forward: {error}") from None
        self._kept = {}
        most = self.max_connect_attempts
        self.most_attempts = ATTEMPTS_PER_UPSTREAM * len(self._upstreams) if most is None else most
        self.order = orders(self.policy, self._upstreams)
        self.tells = self.block.settings.metadata
        follows = isinstance(getattr(self.next, "__self__", None), Forward)
        self._passes_on = follows and bool(self.next_codes or self.next_on_nodata)
        for counter in (measures.all_unhealthy, measures.rejected):
            counter.cell()
        for upstream in self._upstreams:
            upstream.hold()
        try:
            yield
        finally:
            for upstream in self._upstreams:
                await upstream.release()

    def take_over(self, old: Self) -> None:
        """Upstreams that are spoken to in the same terms stay as they are, with connections and health."""
        self._kept = {upstream.terms: upstream for upstream in old._upstreams}

    async def _endpoints(self) -> tuple[Endpoint, ...]:
        """All upstreams in the Corefile's order, each once."""
        found: list[Endpoint] = []
        for each in [endpoint for destination in self.to for endpoint in destination.endpoints]:
            if isinstance(each, HostName):
                resolvers = [(resolver.host, resolver.port) for resolver in self.resolver]
                found += map(each.at, await addresses_of(each, resolvers))
            else:
                found.append(each)
        return without_repetitions(found)

    def _terms(self, endpoint: Endpoint) -> Terms:
        """What this plugin's options mean for one upstream."""
        return Terms(
            endpoint,
            security=self.tls,
            server_name=self.tls_servername or endpoint.server_name or endpoint.host,
            check=self.health_check,
            check_over_tcp=self.force_tcp,
            expire=self.expire,
            max_age=self.max_age,
            max_idle=self.max_idle_conns,
            read_timeout=self.read_timeout,
            source=str(self.source_address or ""),
            method=self.doh_method,
        )


def _look_elsewhere(asked: bytes, name: bytes, tail: Tail) -> tuple[()]:
    """Nothing is known here."""
    return ELSEWHERE


def _as_it_is(request: Request, answer: Answer) -> Answer:
    """Nothing more is done with an answer."""
    return answer
