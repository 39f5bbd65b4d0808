"""One name server that questions are relayed to: its connections, its health, its timer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from pycoredns.frozen import frozen
from pycoredns.plugins.forward.datagrams import Datagrams
from pycoredns.plugins.forward.destinations import Endpoint
from pycoredns.plugins.forward.health import Probe
from pycoredns.plugins.forward.measures import Measures
from pycoredns.plugins.forward.options import NO_FILES, USUAL_CHECK, HealthCheck, Security
from pycoredns.plugins.forward.streams import Streams

if TYPE_CHECKING:
    import ssl

    from pycoredns.plugins.forward.waiting import Waiting

SWEEP = 0.1
"""Seconds between two looks at what has timed out: how late a time-out may come."""
_SHORTEST_INTERVAL = 0.01
_END = "the server stops"


@frozen
class Terms:
    """How an upstream is spoken to. Upstreams of equal terms are one and the same across a reload; times are in seconds."""

    endpoint: Endpoint
    security: Security = NO_FILES
    server_name: str = ""
    check: HealthCheck = USUAL_CHECK
    check_over_tcp: bool = False
    expire: float = 10.0
    max_age: float = 0.0
    max_idle: int = 0
    read_timeout: float = 2.0
    source: str = ""
    method: str = "POST"

    @property
    def encrypted(self) -> bool:
        """Is it spoken to over TLS?"""
        return self.endpoint.scheme != "dns"

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """What a handshake needs."""
        return self.security.context() if self.encrypted else None


def _streams(terms: Terms, measures: Measures) -> Streams:
    """Connections of the upstream's protocol."""
    if terms.endpoint.scheme != "https":
        return Streams(terms, measures)
    from pycoredns.plugins.forward.https import HTTPConnection

    return Streams(terms, measures, HTTPConnection)


class Upstream:
    """A name server. Opens connections when it is asked something; ``hold`` and ``release`` say how many use it."""

    def __init__(self, terms: Terms) -> None:
        """Opens nothing yet."""
        self.terms = terms
        self.measures = Measures(terms.endpoint.text)
        self.fails = 0
        """Health checks that failed one after the other."""
        self._datagrams = Datagrams(terms, self.measures)
        self._streams = _streams(terms, self.measures)
        self._checking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.turn: list[Waiting] = []
        """Who asks over UDP in the present turn of the loop: ``ask`` takes the first one, others may just be put here."""
        self._users = 0
        self._closed = False
        self._over_streams = terms.encrypted

    def ask(self, waiting: Waiting, stream: bool) -> None:
        """Sends a question, over TCP if ``stream``. What comes of it is told to who waits, never before this returns."""
        if stream or self._over_streams:
            if self._awake():
                self._streams.send(waiting)
            else:
                waiting.fail_soon(_END)
            return
        if not self.turn:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self.turn.append(waiting)

    def _end_turn(self) -> None:
        """Sends the questions of a turn together."""
        turn, self.turn = self.turn, []
        if self._awake():
            self._datagrams.send(turn)
            return
        for waiting in turn:
            waiting.fail_soon(_END)

    def _awake(self) -> bool:
        """Has the timer run from now on; False if nobody uses it any more."""
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        return not self._closed

    def _sweep(self) -> None:
        """The one timer: runs while anything is open."""
        self._timer = None
        now = monotonic()
        self._datagrams.sweep(now)
        self._streams.sweep(now)
        if self._timer is None and (self._datagrams.open or self._streams.open):
            self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def check(self) -> None:
        """Begins to check its health, until it is well; does nothing where that is under way, or nobody uses it any more."""
        if self._checking is None and not self._closed:
            self._checking = asyncio.get_running_loop().create_task(self._check())

    async def _check(self) -> None:
        try:
            while not await Probe(self).succeeds():
                self.fails += 1
                self.measures.check_failed()
                await asyncio.sleep(max(self.terms.check.interval, _SHORTEST_INTERVAL))
            self.fails = 0
        finally:
            self._checking = None

    def hold(self) -> None:
        """One more uses it."""
        self._users += 1

    async def release(self) -> None:
        """One less uses it; after the last all is closed."""
        self._users -= 1
        if self._users:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (checking := self._checking) is not None:
            checking.cancel()
            with suppress(asyncio.CancelledError):
                await checking
        self._datagrams.close(_END)
        await self._streams.close(_END)
