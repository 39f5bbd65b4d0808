"""How long the event loop stood still, which is how long a question that came meanwhile had to wait.

A timer says how late it is. While the loop works hard it comes often, so that it meets what takes milliseconds; otherwise seldom,
as to wake an idle process is what costs. The garbage collector, which comes at any time, is clocked by itself.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, perf_counter, thread_time

from pycoredns.metrics import Histogram

PREFIX = "coredns_pycoredns_"
BOUNDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
OFTEN, SELDOM = 0.004, 0.04
"""Seconds between two looks: at 250 a second a busy loop, at 25 an idle one, spends under half a percent of a core on them."""
BUSY = 0.5
"""The part of its time that a busy loop works, unless it is late anyway."""
LATE = 0.002
"""Seconds; the loop's timers keep to a millisecond."""

loop_pauses = Histogram("loop_pause_seconds", "How late the event loop came to a timer.", buckets=BOUNDS, prefix=PREFIX)
collections = Histogram("gc_pause_seconds", "How long the garbage collector took.", "generation", buckets=BOUNDS, prefix=PREFIX)


class PauseWatch:
    """Watches the running event loop for all who want its figures."""

    _timer: asyncio.TimerHandle

    def __init__(self) -> None:
        """Nobody watches yet."""
        self._watchers = 0
        self._due = self._worked = self._began = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches meanwhile; those who do so at the same time share one timer."""
        self._watchers += 1
        if self._watchers == 1:
            self._pauses = loop_pauses.cell()
            self._collections = [collections.cell(str(generation)) for generation in range(len(gc.get_count()))]
            gc.callbacks.append(self._collecting)
            self._look_again(SELDOM)
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._timer.cancel()
                gc.callbacks.remove(self._collecting)

    def _look_again(self, interval: float) -> None:
        self._due, self._interval, self._worked = monotonic() + interval, interval, thread_time()
        self._timer = asyncio.get_running_loop().call_later(interval, self._look)

    def _look(self) -> None:
        late = max(monotonic() - self._due, 0.0)
        self._pauses.observe(late)
        busy = late > LATE or thread_time() - self._worked > BUSY * self._interval
        self._look_again(OFTEN if busy else SELDOM)

    def _collecting(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = perf_counter()
        else:
            self._collections[info["generation"]].observe(perf_counter() - self._began)


watch = PauseWatch()
"""Of the one event loop that a process has."""
