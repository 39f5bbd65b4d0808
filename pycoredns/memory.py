"""What the collector looks at, which is not what lives as long as the server, and memory that is taken when it is needed."""

from __future__ import annotations

import gc
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

AT_START = (50_000, 50, 1000)
"""What is made at the start stays: to look at it again and again, as the usual thresholds have it, takes time for nothing."""
THRESHOLDS = (2000, 10, 10_000)
"""Collections are short: 20,000 waiting questions are 260,000 objects, which take 100 ms at once. Full ones are rare: what is
served lives long, and one over a million records takes 100 ms and more."""
KEPT_AT_ONCE, ROUNDS = 256, 4
"""After so many newly kept things the collector looks at what is new, every so many times at what was new lately, too."""
SETTLED_AFTER = 0.5
"""Seconds after the start when what was made for it is taken for lasting: the first answers need not wait for that."""


def begin() -> None:
    """The server is about to start."""
    gc.set_threshold(*AT_START)


def settle() -> None:
    """What is there now stays: the collector need not look at it again, nor at the little garbage that is among it."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def give_back() -> None:
    """What was there at the start may have gone: the collector looks at it once more."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Turnover:
    """Has the collector come for what is kept in the place of older things.

    It counts what is made less what goes. Where one makes room for the other that is nothing, so that it would not come for
    minutes, and then look at 130,000 objects at once, in 120 ms.
    """

    def __init__(self) -> None:
        """Nothing is new."""
        self._kept = self._round = 0

    def add(self, number: int = 1) -> None:
        """So many things of a few objects each were made to be kept."""
        self._kept += number
        if self._kept >= KEPT_AT_ONCE:
            self._kept = 0
            self._round = (self._round + 1) % ROUNDS
            gc.collect(0 if self._round else 1)


turnover = Turnover()


def zeros(size: int) -> mmap:
    """Octets to be written to; those that never are take no memory, where all those of a bytearray do."""
    return mmap(-1, size, MAP_PRIVATE | MAP_ANONYMOUS)
