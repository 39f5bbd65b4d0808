"""Counts of questions and answers by server, zone and view: CoreDNS's ``coredns_dns_*`` metrics.

A lane counts by exact size and by number; the buckets and texts that Prometheus wants are made when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

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
_MOST_KINDS = 16384

Kind: TypeAlias = tuple[int, bool, int, int, int]
"""What is told apart: type, DO, response code, octets of the request, octets of the response."""


class Lane:
    """What went by one protocol and address family, in one zone and view of one server."""

    def __init__(self, server: str, zone: str, view: str, protocol: str, family: str, plugin: str) -> None:
        """``plugin`` is the label of responses_total: the plugin that wrote, empty where the server did after an error."""
        self._where = (server, zone, view)
        self._protocol = protocol
        self._family = family
        self._plugin = plugin
        self._counted: dict[Kind, list[int]] = {}
        """Quick answers by kind: how many, and the nanoseconds they took."""
        self._slow = [0] * (len(DURATIONS) + 1)
        """Those that took longer than the first bucket holds, by bucket."""

    def count(self, outcome: Outcome, unsent: bool = False) -> None:
        """Counts an answer, or as many as it stands for; ``unsent``: the size of an error's does not count, as in CoreDNS."""
        request, response, duration, times = outcome.request, outcome.response, outcome.duration, outcome.times
        tail = request.tail
        kind = (tail.qtype, tail.do, response.rcode, len(request.wire), 0 if unsent else response.size(request))
        try:
            cell = self._counted[kind]
        except KeyError:
            cell = self._new_cell(kind)
        cell[0] += times
        cell[1] += duration * times
        if duration > _FIRST_BUCKET:
            self._slow[bisect_left(_BOUNDS, duration)] += times

    def _new_cell(self, kind: Kind) -> list[int]:
        """Keeps their number within bounds, whatever clients ask."""
        if len(self._counted) >= _MOST_KINDS:
            self.fold()
        cell = self._counted[kind] = [0, 0]
        return cell

    def fold(self) -> None:
        """Adds what was counted to the metrics, and begins anew."""
        if not self._counted:
            return
        counted, self._counted = self._counted, {}
        sizes = request_sizes.cell(*self._where, self._protocol), response_sizes.cell(*self._where, self._protocol)
        for (qtype, do, rcode, request_size, response_size), (times, _) in counted.items():
            text = type_text(qtype) if qtype in COUNTED_TYPES else "other"
            requests.cell(*self._where, self._protocol, self._family, text).value += times
            responses.cell(*self._where, rcode_text(rcode), self._plugin).value += times
            if do:
                do_requests.cell(*self._where).value += times
            sizes[0].observe(request_size, times)
            sizes[1].observe(response_size, times)
        self._fold_durations(counted)

    def _fold_durations(self, counted: dict[Kind, list[int]]) -> None:
        cell, slow = durations.cell(*self._where), self._slow
        self._slow = [0] * len(slow)
        cell.counts[0] += sum(times for times, _ in counted.values()) - sum(slow)
        for bucket, times in enumerate(slow):
            cell.counts[bucket] += times
        cell.sum += sum(nanoseconds for _, nanoseconds in counted.values()) / 1e9


_lanes: dict[tuple[str, str, str, str, str, str], Lane] = {}


def lane(server: str, zone: str, view: str, protocol: str, family: str, plugin: str) -> Lane:
    """The lane of these labels; there is one, whatever is reloaded."""
    key = (server, zone, view, protocol, family, plugin)
    found = _lanes.get(key)
    if found is None:
        found = _lanes[key] = Lane(*key)
    return found


def fold_all() -> None:
    """Brings the metrics up to date with all lanes."""
    for each in _lanes.values():
        each.fold()


before_scrape.append(fold_all)
