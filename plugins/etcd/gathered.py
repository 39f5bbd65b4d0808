"""Answers that were gathered from hundreds of keys."""

from __future__ import annotations

from time import monotonic

from pycoredns.response import Response
from pycoredns.wire import types

MANY = 256
"""Keys: to gather the records of more takes milliseconds, of 4,096 up to 50, and a question for them may have 40 octets."""
MOST_KEPT = 16
"""Answers; of the largest each takes half a megabyte."""
_TOLD_APART = frozenset(
    {
        *(types.A, types.AAAA, types.TXT, types.SRV, types.MX, types.NS),
        *(types.CNAME, types.PTR, types.SOA),  # for which what stands below a name does not count
    }
)
_ANY_OTHER = 0
"""In place of a type of which there are no records: it is only of interest whether the name is there."""


class Gathered:
    """Given again, whatever the letters and options of a question are, until something changes in etcd.

    The owners of their records have the letters of whoever asked first.
    """

    def __init__(self) -> None:
        """Nothing has been gathered."""
        self._kept: dict[tuple[bytes, int], Response] = {}

    def find(self, name: bytes, qtype: int) -> Response | None:
        """The answer for a name in lower case, if it still holds."""
        kept = self._kept.get((name, qtype if qtype in _TOLD_APART else _ANY_OTHER)) if self._kept else None
        return kept if kept is not None and monotonic() < kept.until else None

    def keep(self, name: bytes, qtype: int, response: Response, keys: int) -> None:
        """Keeps an answer that was gathered from so many keys, if they are many."""
        if keys > MANY:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name, qtype if qtype in _TOLD_APART else _ANY_OTHER] = response

    def forget(self) -> None:
        """Something has changed."""
        self._kept.clear()
