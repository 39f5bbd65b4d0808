"""Counts of questions and answers by server, zone and view: CoreDNS's ``coredns_dns_*`` metrics.

A lane counts by exact size and by number; the buckets and texts that Prometheus wants are made when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING

from pycoredns.metrics import DURATIONS, Counter, Histogram, before_scrape
from pycoredns.wire.types import rcode_text, type_text

if TYPE_CHECKING:
    from pycoredns.plugin import Outcome

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


class Lane:
    """What went by one protocol and address family, in one zone and view of one server."""

    def __init__(self, server: str, zone: str, view: str, protocol: str, family: str, plugin: str) -> None:
        """``plugin`` is the label of responses_total."""
        self._where = (server, zone, view)
        self._protocol = protocol
        self._family = family
        self._plugin = plugin
        self._types: dict[int, int] = defaultdict(int)
        self._rcodes: dict[int, int] = defaultdict(int)
        self._request_sizes: dict[int, int] = defaultdict(int)
        self._response_sizes: dict[int, int] = defaultdict(int)
        self._durations = [0] * (len(DURATIONS) + 1)
        self._nanoseconds = 0
        self._do = 0
        before_scrape.append(self.fold)

    def count(self, outcome: Outcome) -> None:
        """Counts an answer, or as many as it stands for."""
        times, request, duration = outcome.times, outcome.request, outcome.duration
        tail = request.tail
        self._types[tail.qtype] += times
        self._rcodes[outcome.response.rcode] += times
        self._request_sizes[len(request.wire)] += times
        self._response_sizes[outcome.response.size(request)] += times
        if tail.do:
            self._do += times
        self._durations[0 if duration <= _FIRST_BUCKET else bisect_left(_BOUNDS, duration)] += times
        self._nanoseconds += duration * times

    def fold(self) -> None:
        """Adds what was counted to the metrics, and begins anew."""
        if not self._types:
            return
        for qtype, times in self._types.items():
            text = type_text(qtype) if qtype in COUNTED_TYPES else "other"
            requests.cell(*self._where, self._protocol, self._family, text).value += times
        for rcode, times in self._rcodes.items():
            responses.cell(*self._where, rcode_text(rcode), self._plugin).value += times
        if self._do:
            do_requests.cell(*self._where).value += self._do
        self._fold_histograms()
        for counts in (self._types, self._rcodes, self._request_sizes, self._response_sizes):
            counts.clear()
        self._durations = [0] * len(self._durations)
        self._do = self._nanoseconds = 0

    def _fold_histograms(self) -> None:
        for metric, sizes in ((request_sizes, self._request_sizes), (response_sizes, self._response_sizes)):
            cell = metric.cell(*self._where, self._protocol)
            for size, times in sizes.items():
                cell.observe(size, times)
        duration = durations.cell(*self._where)
        for bucket, times in enumerate(self._durations):
            duration.counts[bucket] += times
        duration.sum += self._nanoseconds / 1e9


_lanes: dict[tuple[str, str, str, str, str, str], Lane] = {}


def lane(server: str, zone: str, view: str, protocol: str, family: str, plugin: str) -> Lane:
    """The lane of these labels; there is one, whatever is reloaded."""
    key = (server, zone, view, protocol, family, plugin)
    found = _lanes.get(key)
    if found is None:
        found = _lanes[key] = Lane(*key)
    return found
