"""Reading, comparing and forgetting whole zones beside the answers."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable
from time import sleep
from typing import Any, TypeVar

T = TypeVar("T")
POLITE = 0.0005
"""Seconds after which a thread that works for long lets the event loop have its turn; Python's own measure is 5 ms."""
MANY = 20_000
"""Entries that are freed at once in 2 ms or so."""
_AT_ONCE = 500
_REST = 0.001


async def in_background(work: Callable[[], T]) -> T:
    """Does in a thread what takes long, so that answers hardly wait for it."""
    with _short_turns:
        return await asyncio.to_thread(work)


class _ShortTurns:
    """Shortens the turns of threads as long as one of them works for us."""

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


def crumble(parts: Iterable[dict[Any, Any]]) -> None:
    """Frees large dictionaries that nobody else has, little by little: at once, a million entries would take 200 ms."""
    large = [part for part in parts if len(part) > MANY]
    if large and not sys.is_finalizing():
        threading.Thread(target=_crumble, args=(large,), name="crumble", daemon=True).start()


def _crumble(parts: list[dict[Any, Any]]) -> None:
    for part in parts:
        while part:
            for _ in range(min(_AT_ONCE, len(part))):
                part.popitem()
            sleep(_REST)
