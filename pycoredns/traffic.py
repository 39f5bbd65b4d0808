"""Counts of questions and answers by server, zone and view: CoreDNS's ``coredns_dns_*`` metrics.

They are counted by exact size and by number, in one dictionary; buckets and texts are made when Prometheus asks.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

from pycoredns.metrics import DURATIONS, Counter, Histogram, before_scrape
from pycoredns.wire.types import rcode_text, type_text

if TYPE_CHECKING:
    from pycoredns.plugin import Outcome
    from pycoredns.request import Listener

PREFIX = "coredns_dns_"
SIZES = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16000, 32000, 48000, 64000)
COUNTED_TYPES = frozenset({1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 46, 47, 48, 50, 64, 65, 251, 252, 255})
DROPPED = "dropped"
"""The zone of what belongs to none."""

requests = Counter("requests_total", "DNS requests received.", "server", "zone", "view", "proto", "family", "type", prefix=PREFIX)
do_requests = Counter("do_requests_total", "DNS requests with the DO bit.", "server", "zone", "view", prefix=PREFIX)
responses = Counter("responses_total", "DNS responses sent.", "server", "zone", "view", "rcode", "plugin", prefix=PREFIX)
durations = Histogram(
    "request_duration_seconds", "Time each request took.", "server", "zone", "view", buckets=DURATIONS, prefix=PREFIX
)
request_sizes = Histogram(
    "request_size_bytes", "Size of the requests.", "server", "zone", "view", "proto", buckets=SIZES, prefix=PREFIX
)
response_sizes = Histogram(
    "response_size_bytes",
    "Size of the responses before compression.",
    "server",
    "zone",
    "view",
    "proto",
    buckets=SIZES,
    prefix=PREFIX,
)

_FIRST_BUCKET = int(DURATIONS[0] * 1e9)
_BOUNDS = [int(bound * 1e9) for bound in DURATIONS]
_MOST_KINDS = 16384

Kind: TypeAlias = tuple["Listener", str, str, bool, bytes, int, int, int]
"""What is told apart: listener, family, zone, whether the answer is the server's own after an error, type with class and DO
(``Tail.key``), response code, octets of the request, octets of the response."""


class Tally:
    """What went through one server block, or past all of them."""

    def __init__(self, view: str = "", plugin: str = "") -> None:
        """``plugin`` is the label of responses_total: that which wrote the answers."""
        self._view = view
        self._plugin = plugin
        self._counted: dict[Kind, list[int]] = {}
        """How many, and the nanoseconds they took."""
        self._slow: dict[tuple[str, str], list[int]] = {}
        """By server and zone, those that took longer than the first bucket holds, by bucket."""
        _tallies.append(self)

    def count(self, outcome: Outcome, zone: str, unsent: bool = False) -> None:
        """Counts an answer, or as many as it stands for.

        ``unsent``: the answer is the server's own, after an error; CoreDNS counts it without its size and without a plugin.
        """
        request, response, duration, times = outcome.request, outcome.response, outcome.duration, outcome.times
        tail, listener = request.tail, request.listener
        # one look-up for all that is counted: 0.3 µs less than one for each
        kind = (
            listener,
            listener.family(request.peer),
            zone,
            unsent,
            tail.key,
            response.rcode,
            len(request.wire),
            0 if unsent else response.size(request),
        )
        try:
            cell = self._counted[kind]
        except KeyError:
            cell = self._new_cell(kind)
        cell[0] += times
        cell[1] += duration * times
        if duration > _FIRST_BUCKET:
            self._count_slow(listener.service.address, zone, duration, times)

    def _new_cell(self, kind: Kind) -> list[int]:
        """Keeps their number within bounds, whatever clients ask."""
        if len(self._counted) >= _MOST_KINDS:
            self.fold()
        cell = self._counted[kind] = [0, 0]
        return cell

    def _count_slow(self, server: str, zone: str, duration: int, times: int) -> None:
        slow = self._slow.setdefault((server, zone), [0] * (len(DURATIONS) + 1))
        slow[bisect_left(_BOUNDS, duration)] += times

    def fold(self) -> None:
        """Adds what was counted to the metrics, and begins anew."""
        counted, self._counted = self._counted, {}
        slow, self._slow = self._slow, {}
        for kind, (times, nanoseconds) in counted.items():
            self._fold_kind(kind, times, nanoseconds)
        for (server, zone), buckets in slow.items():
            counts = durations.cell(server, zone, self._view).counts
            counts[0] -= sum(buckets)
            for bucket, times in enumerate(buckets):
                counts[bucket] += times

    def _fold_kind(self, kind: Kind, times: int, nanoseconds: int) -> None:
        listener, family, zone, unsent, asked, rcode, request_size, response_size = kind
        where = (listener.service.address, zone, self._view)
        qtype, do = asked[0] << 8 | asked[1], asked[-1]
        text = type_text(qtype) if qtype in COUNTED_TYPES else "other"
        requests.cell(*where, listener.protocol, family, text).value += times
        responses.cell(*where, rcode_text(rcode), "" if unsent else self._plugin).value += times
        if do:
            do_requests.cell(*where).value += times
        request_sizes.cell(*where, listener.protocol).observe(request_size, times)
        response_sizes.cell(*where, listener.protocol).observe(response_size, times)
        duration = durations.cell(*where)
        duration.counts[0] += times
        duration.sum += nanoseconds / 1e9

    def close(self) -> None:
        """Folds for the last time."""
        self.fold()
        if self in _tallies:
            _tallies.remove(self)


_tallies: list[Tally] = []
dropped = Tally()
"""Of what belongs to no zone."""


def fold_all() -> None:
    """Brings the metrics up to date."""
    for tally in _tallies:
        tally.fold()


before_scrape.append(fold_all)
