"""What a cache counts: plain numbers until somebody asks for the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycoredns.plugins.cache.kept import DENIAL, SUCCESS, Store

if TYPE_CHECKING:
    from pycoredns.plugins.cache.cache import Cache


class Tally:
    """The counts of one server's questions."""

    __slots__ = ("denials", "evictions", "kept", "labels", "misses", "prefetches", "stale", "successes")

    def __init__(self, server: str, zones: str, view: str) -> None:
        """Takes the labels' values."""
        self.labels = (server, zones, view)
        self.kept = False
        """Was there an answer to keep? From then on it is shown how many there are, be it none as all were disabled."""
        self._clear()

    def _clear(self) -> None:
        self.successes = self.denials = self.misses = self.stale = self.prefetches = 0
        self.evictions = {SUCCESS: 0, DENIAL: 0}

    def hit(self, sort: str, times: int = 1) -> None:
        """Counts answers from the cache."""
        if sort == SUCCESS:
            self.successes += times
        else:
            self.denials += times

    def make_room(self, sort: str, store: Store) -> None:
        """Has the oldest answers of a sort go, and counts them."""
        self.evictions[sort] += store.make_room()

    def fold(self, cache: Cache) -> None:
        """Adds all to the cache's metrics, and begins anew. What never happened is not shown."""
        server, zones, view = self.labels
        hits = {SUCCESS: self.successes, DENIAL: self.denials}
        for metric, counts in ((cache.hits, hits), (cache.evictions, self.evictions)):
            for sort, count in counts.items():
                if count:
                    metric.cell(server, sort, zones, view).value += count
        for metric, count in (
            (cache.requests, self.misses + self.successes + self.denials),
            (cache.misses, self.misses),
            (cache.prefetches, self.prefetches),
            (cache.served_stale, self.stale),
        ):
            if count:
                metric.cell(server, zones, view).value += count
        self.kept = self.kept or (self.misses > 0 and any(cache.stores.values()))
        if self.kept:
            for sort, store in cache.stores.items():
                cache.entries.cell(server, sort, zones, view).value = len(store)
        if cache.budget is not None:
            cache.octets.cell(server, zones, view).value = cache.budget.used
        self._clear()
