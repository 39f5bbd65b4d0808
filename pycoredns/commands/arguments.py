"""Types of words on the command line; what is wrong with one is told by a ValueError."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
MOST_WAITING = 10_000_000
MOST_WORKERS = 256


def port(text: str) -> int:
    """A port to listen on or to ask."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f'"{text}" is not a port; write 1 to 65535')
    return int(text)


def workers(text: str) -> int:
    """A number of processes; ``auto`` is one for each core that may be used."""
    if text == "auto":
        from pycoredns.workers.cores import usable

        return usable()
    if not text.isdecimal() or not 0 < int(text) <= MOST_WORKERS:
        raise ValueError(f'"{text}" is not a number of processes; write 1 to {MOST_WORKERS}, or auto')
    return int(text)


def waiting(text: str) -> int:
    """A number of questions."""
    if not text.isdecimal() or not 0 < int(text) <= MOST_WAITING:
        raise ValueError(f'"{text}" is not a number of questions; write 1 to {MOST_WAITING}')
    return int(text)


def overload(text: str) -> bool:
    """What a question gets that finds no room: silence, or SERVFAIL."""
    if text not in ("servfail", "silence"):
        raise ValueError(f'"{text}" is neither servfail nor silence')
    return text == "silence"


def telling(kind: Callable[[str], Value]) -> Callable[[str], Value]:
    """The same for argparse, which shows the text of an ArgumentTypeError only."""
    from argparse import ArgumentTypeError

    def read(text: str) -> Value:
        try:
            return kind(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return read
