"""What the collector looks at: not what lives as long as the server."""

from __future__ import annotations

import gc

AT_START = (50_000, 50, 1000)
"""What is made at the start stays: to look at it again and again, as the usual thresholds have it, takes time for nothing."""
THRESHOLDS = (2000, 10, 2500)
"""Collections are short: 20,000 waiting questions are 260,000 objects, which take 100 ms at once. Full ones are rare: what is
served lives long, and one over a million records takes 100 ms and more."""
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
