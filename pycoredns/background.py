"""Long work in threads, while questions are answered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLITE = 0.0005
"""Seconds after which a thread that works for long lets the event loop have its turn; Python's own measure is 5 ms."""


async def in_background(work: Callable[[], T]) -> T:
    """Does in a thread what takes long, so that answers hardly wait for it."""
    with _short_turns:
        return await asyncio.to_thread(work)


class _ShortTurns:
    """Shortens the turns of threads as long as one of them works for us: there is one such measure in a process."""

    def __init__(self) -> None:
        self._working = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        if not self._working:
            self._usual = sys.getswitchinterval()
            sys.setswitchinterval(POLITE)
        self._working += 1

    def __exit__(self, *exception: object) -> None:
        self._working -= 1
        if not self._working:
            sys.setswitchinterval(self._usual)


_short_turns = _ShortTurns()
