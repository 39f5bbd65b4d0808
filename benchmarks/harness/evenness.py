"""How evenly the measured core runs: on a machine that shares its processor the same work takes twice as long at times."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .processes import on_cores

STEPS = 3000  # of a loop: 0.1 to 0.3 ms
SECONDS = 3.0
UNEVEN = 1.25


@dataclass(frozen=True)
class Evenness:
    """In how many microseconds of CPU time the same work was done at best and at worst, but for one time in twenty."""

    best_us: float
    worst_us: float

    def __str__(self) -> str:
        """As it stands among the machine's properties."""
        return f"{self.best_us:.0f} to {self.worst_us:.0f} µs"

    def warning(self) -> str:
        """What to think of it; nothing where the core runs evenly."""
        if self.worst_us < UNEVEN * self.best_us:
            return ""
        return f"the measured core does the same work in {self}: who shares it makes figures scatter; take more rounds"


def work() -> int:
    """Always the same."""
    total = 0
    for number in range(STEPS):
        total += number * number
    return total


def evenness_of(core: int, seconds: float = SECONDS) -> Evenness:
    """That of a core which nothing else should use meanwhile; waiting for it does not count."""
    took = []
    with on_cores({core}):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.thread_time_ns()
            work()
            took.append((time.thread_time_ns() - begun) / 1000)
    took.sort()
    return Evenness(took[len(took) // 20], took[len(took) * 19 // 20])
