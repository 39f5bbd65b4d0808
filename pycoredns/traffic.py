"""Counts of questions and answers by server, zone and view: CoreDNS's ``coredns_dns_*`` metrics.

They are counted by exact size and by number, in one dictionary; buckets and texts are made when Prometheus asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Census
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pycoredns.metrics import DURATIONS, Counter, Histogram, before_scrape
from pycoredns.query import BESIDE_NAME
from pycoredns.wire.types import rcode_text, type_text

if TYPE_CHECKING:
    from pycoredns.direct import Kind
    from pycoredns.listener import Listener
    from pycoredns.plugin import Answered, Outcome
    from pycoredns.request import Request

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

FIRST_BUCKET = int(DURATIONS[0] * 1e9)
"""Nanoseconds; a batch of replies given from memory takes less on most machines."""
_BOUNDS = [int(bound * 1e9) for bound in DURATIONS]
_MOST_KINDS = 4096

bucket_of: Callable[[int], int] = partial(bisect_left, _BOUNDS)
"""The bucket of a duration in nanoseconds."""


class Lane:
    """What one listener took for one zone; the server's own answers after an error have a lane of their own."""

    def __init__(self, listener: Listener, zone: str, view: str, plugin: str, sized: bool = True) -> None:
        """``plugin`` is the label of responses_total; ``sized``: CoreDNS counts no size of an answer after an error."""
        self._where = (listener.service.address, zone, view)
        self._protocol = listener.protocol
        self._family = listener.family
        self._plugin = plugin
        self._sized = sized
        self._counted: Census[Kind] = Census()
        self._nanoseconds = 0
        """What they took, all together."""
        self._slow = [0] * (len(DURATIONS) + 1)
        """Those that took longer than the first bucket holds, by bucket."""

    def count(self, outcome: Outcome, request_size: int = 0) -> None:
        """Counts an answer, or as many as it stands for; ``request_size`` is that of the question, if not as it came."""
        request, response, duration, times = outcome.request, outcome.response, outcome.duration, outcome.times
        # one look-up for all that is counted: 0.3 µs less than one for each
        kind = (request.tail.key, response.rcode, request_size or len(request.wire), response.size(request))
        self._counted[kind] += times
        self._nanoseconds += duration * times
        if duration > FIRST_BUCKET or outcome.slow:
            self._count_slow(outcome)
        if len(self._counted) > _MOST_KINDS:
            self.fold()

    def count_many(self, answered: Sequence[Answered], durations: Sequence[int]) -> None:
        """Counts answers that left together; their durations are in nanoseconds."""
        self._counted.update(
            [(request.tail.key, response.rcode, len(request.wire), response.size(request)) for request, response in answered]
        )
        self._nanoseconds += sum(durations)
        if max(durations) > FIRST_BUCKET:
            for bucket, times in Census(map(bucket_of, durations)).items():
                self._slow[bucket] += times
        if len(self._counted) > _MOST_KINDS:
            self.fold()

    def count_kinds(self, kinds: Sequence[Kind], duration: int) -> None:
        """Counts answers that left together after so many nanoseconds."""
        self._counted.update(kinds)
        self._nanoseconds += duration * len(kinds)
        if duration > FIRST_BUCKET:
            self._slow[bucket_of(duration)] += len(kinds)
        if len(self._counted) > _MOST_KINDS:
            self.fold()

    def _count_slow(self, outcome: Outcome) -> None:
        if outcome.slow is None:
            self._slow[bucket_of(outcome.duration)] += outcome.times
            return
        for bucket, times in outcome.slow.items():
            self._slow[bucket] += times

    def fold(self) -> None:
        """Adds what was counted to the metrics, and begins anew."""
        counted, self._counted = self._counted, Census()
        slow, self._slow = self._slow, [0] * len(self._slow)
        nanoseconds, self._nanoseconds = self._nanoseconds, 0
        for kind, times in counted.items():
            self._fold_kind(kind, times)
        if counted:
            duration = durations.cell(*self._where)
            duration.sum += nanoseconds / 1e9
            counts = duration.counts
            counts[0] += counted.total() - sum(slow)
            for bucket, times in enumerate(slow):
                counts[bucket] += times

    def _fold_kind(self, kind: Kind, times: int) -> None:
        asked, rcode, request_size, response_size = kind
        where = self._where
        qtype, do = asked[0] << 8 | asked[1], asked[-1]
        text = type_text(qtype) if qtype in COUNTED_TYPES else "other"
        requests.cell(*where, self._protocol, self._family, text).value += times
        responses.cell(*where, rcode_text(rcode), self._plugin).value += times
        if do:
            do_requests.cell(*where).value += times
        request_sizes.cell(*where, self._protocol).observe(request_size, times)
        response_sizes.cell(*where, self._protocol).observe(response_size if self._sized else 0, times)


class Tally:
    """What went through one server block, or past all of them."""

    def __init__(self, view: str = "", plugin: str = "") -> None:
        """``plugin`` is the label of responses_total: that which wrote the answers."""
        self._view = view
        self._plugin = plugin
        self._lanes: dict[tuple[str, str, str, str, bool], Lane] = {}
        _tallies.append(self)

    def lane(self, listener: Listener, zone: str, unsent: bool = False) -> Lane:
        """The lane of a listener and zone; ``unsent``: of answers that are the server's own, after an error."""
        key = (listener.service.address, listener.protocol, listener.family, zone, unsent)  # keeps no listener alive
        found = self._lanes.get(key)
        if found is None:
            plugin = "" if unsent else self._plugin
            found = self._lanes[key] = Lane(listener, zone, self._view, plugin, sized=not unsent)
        return found

    def fold(self) -> None:
        """Brings the metrics up to date."""
        for lane in self._lanes.values():
            lane.fold()

    def close(self) -> None:
        """Folds for the last time."""
        self.fold()
        if self in _tallies:
            _tallies.remove(self)


_tallies: list[Tally] = []
dropped = Tally()
"""Of what belongs to no zone."""


def count_dropped(outcome: Outcome) -> None:
    """Counts what belongs to no zone, as large as before compression and without the options that the answer leaves out."""
    request = outcome.request
    dropped.lane(request.listener, DROPPED).count(outcome, _size(request) if request.asked else 0)


def _size(request: Request) -> int:
    beside = 0 if request.header.plain else request.records_size()
    return BESIDE_NAME + len(request.asked) + len(request.tail.opt) + beside


def fold_all() -> None:
    """Brings the metrics up to date."""
    for tally in _tallies:
        tally.fold()


before_scrape.append(fold_all)
