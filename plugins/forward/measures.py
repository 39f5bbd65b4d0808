"""What is counted of upstreams, under the names CoreDNS gives it."""

from __future__ import annotations

from collections import Counter as Census

from pycoredns.metrics import DURATIONS, Cell, Counter, Histogram, HistogramCell
from pycoredns.wire.types import RCODES

_PROXY, _OWNER = "coredns_proxy_", "forward"

all_unhealthy = Counter("healthcheck_broken_total", "Times that no upstream was healthy.", prefix="coredns_forward_")
rejected = Counter(
    "max_concurrent_rejects_total", "Questions refused because max_concurrent others were waiting.", prefix="coredns_forward_"
)
durations = Histogram(
    "request_duration_seconds",
    "Time each exchange with an upstream took.",
    "proxy_name",
    "to",
    "rcode",
    buckets=DURATIONS,
    prefix=_PROXY,
)
failed_checks = Counter("healthcheck_failures_total", "Health checks that failed.", "proxy_name", "to", prefix=_PROXY)
reused = Counter("conn_cache_hits_total", "Questions that found an open connection.", "proxy_name", "to", "proto", prefix=_PROXY)
opened = Counter(
    "conn_cache_misses_total", "Questions that a connection was opened for.", "proxy_name", "to", "proto", prefix=_PROXY
)


class Measures:
    """The cells of one upstream."""

    def __init__(self, to: str) -> None:
        """``to`` is its address with the port."""
        self._to = to
        self._durations: dict[int, HistogramCell] = {}
        self.answers: list[tuple[int, float]] = []
        """Those of the present batch: their codes, and when their questions were sent."""

    def settle(self, now: float) -> None:
        """Counts the batch's answers, and the time they took until now."""
        answers, self.answers = self.answers, []
        for (rcode, sent), times in Census(answers).items():  # those of a batch were sent together
            self._duration(rcode).observe(now - sent, times)

    def _duration(self, rcode: int) -> HistogramCell:
        cell = self._durations.get(rcode)
        if cell is None:
            # upstreams may send any of 4096 codes: the unknown ones share a cell
            cell = self._durations[rcode] = durations.cell(_OWNER, self._to, RCODES.get(rcode, "other"))
        return cell

    def check_failed(self) -> None:
        """Counts a health check."""
        failed_checks.cell(_OWNER, self._to).value += 1

    def reused(self, protocol: str) -> Cell:
        """The count of questions that found a connection of this protocol open."""
        return reused.cell(_OWNER, self._to, protocol)

    def opened(self, protocol: str) -> Cell:
        """The count of questions that needed a new one."""
        return opened.cell(_OWNER, self._to, protocol)
