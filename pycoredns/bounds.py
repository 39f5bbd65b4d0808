"""What is bounded in memory, how much of it is in use, and what becomes of a question for which there is no room.

ARCHITECTURE.md has the table of all bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from pycoredns.errors import DNSError, Dropped, ServerFailure
from pycoredns.metrics import Counter, Gauge, before_scrape

if TYPE_CHECKING:
    from pycoredns.service import Service

PREFIX = "coredns_pycoredns_"
MOST_WAITING = 20_000
"""Questions whose answers are to come from elsewhere; each takes some 2 kB, and 5 s at most."""
MOST_STREAMS = 100
"""Zone transfers to others at a time; each takes some 150 kB, and keeps a version of a zone."""

waiting = Gauge("waiting_questions", "Questions whose answers are still to come.", "server", prefix=PREFIX)
shed = Counter("shed_questions_total", "Questions that found too many others waiting.", "server", prefix=PREFIX)
remembered = Gauge("memo_entries", "Replies that are remembered octet by octet.", "server", "proto", prefix=PREFIX)
connections = Gauge("tcp_connections", "TCP connections of clients.", "server", prefix=PREFIX)
closed = Counter("tcp_connections_shed_total", "TCP connections closed because of a bound.", "server", "bound", prefix=PREFIX)
buffered = Gauge("tcp_buffered_bytes", "Octets of unfinished questions, and of answers that clients do not take.", prefix=PREFIX)
streams = Gauge("transfers", "Zone transfers that are on their way to clients.", prefix=PREFIX)
shed_streams = Counter("shed_transfers_total", "Zone transfers that found too many others on their way.", "server", prefix=PREFIX)


class Overload:
    """What the command line says of a server that has more to do than it can."""

    def __init__(self) -> None:
        """The defaults."""
        self.most_waiting = MOST_WAITING
        self.silent = False
        """Does a question that finds no room get no answer at all, or SERVFAIL?"""

    def refusal(self, server: str) -> DNSError:
        """What a question that finds no room ends with; it is counted, but not logged one by one."""
        shed.cell(server).value += 1
        return Dropped() if self.silent else ServerFailure("")


overload = Overload()
"""Of this process, and of those it forks."""


def find_room_for_stream(server: str) -> None:
    """Raises ServerFailure where too many zone transfers are on their way; the client asks again later."""
    if streams.cell().value >= MOST_STREAMS:
        shed_streams.cell(server).value += 1
        raise ServerFailure("")


services: WeakSet[Service] = WeakSet()
"""Those there are."""


def measure() -> None:
    """Brings the gauges up to date; of an address that is served no more nothing is shown."""
    for gauge in (waiting, remembered, connections):
        gauge.cells.clear()
    for service in services:
        if service.listeners or service.waiting:  # one that was replaced may stay until the collector comes
            waiting.cell(service.address).value += service.waiting
        for listener in service.listeners:
            remembered.cell(service.address, listener.protocol).value += len(listener.memo.entries)
            if listener.protocol == "tcp":
                connections.cell(service.address).value += len(listener.connections)


before_scrape.append(measure)
