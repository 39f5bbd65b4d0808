"""Where the pages of a listing begin and end: etcd counts all keys up to a page's end, each time; of a million that takes 0.1 s.

So the end is guessed by the page before, not far behind the place where the page will be full.
"""

from __future__ import annotations

from os.path import commonprefix

from pycoredns.plugins.etcd.messages import RangeAnswer


class Reach:
    """The bounds of one page after the other, which together are those of all keys with a prefix."""

    def __init__(self, prefix: bytes) -> None:
        """The first page reaches from the first key to the last."""
        self._prefix = prefix
        self._last = end_of_prefix(prefix)
        self._depth = 0
        """Octets that all keys of a page have in common."""
        self._step = 1
        self.start = prefix or b"\0"
        self.end = self._last
        self.over = False
        """Has the last page been there?"""

    def advance(self, page: RangeAnswer) -> None:
        """Goes on from a page to the one that follows."""
        if page.more:
            self._depth = len(commonprefix((page.kvs[0].key, page.kvs[-1].key)))  # noqa: RUF071  octets of keys are meant, no paths
            self._step = 1
            self.start = page.kvs[-1].key + b"\0"
        else:  # as is often the end of a branch: look farther, and soon very far
            self._depth -= self._step
            self._step *= 2
            self.start = self.end
            self.over = self.end == self._last
        self.end = end_of_prefix(self.start[: max(self._depth, len(self._prefix))])


def end_of_prefix(prefix: bytes) -> bytes:
    """The first key behind those that begin with ``prefix``; a zero byte, etcd's "no end", where there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"
