"""Forgetting whole zones beside the answers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from time import sleep
from typing import Any

MANY = 20_000
"""Entries that are freed at once in 2 ms or so."""
_AT_ONCE = 500
_REST = 0.001


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
