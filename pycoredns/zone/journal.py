"""What changed from one version of a zone to the next, for incremental transfers (RFC 1995)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pycoredns.wire.message import Record

if TYPE_CHECKING:
    from pycoredns.zone.zone import Zone

MOST_RECORDS = 100_000
"""Records that a journal keeps: a client that is further behind takes the whole zone."""


class Difference(NamedTuple):
    """One step: the SOA before with what went, the SOA after with what came; the SOA records are not among them."""

    old: Record
    removed: Sequence[Record]
    new: Record
    added: Sequence[Record]

    @property
    def since(self) -> int:
        """The serial before."""
        return int.from_bytes(self.old.rdata[-20:-16], "big")


def difference(old: Zone, new: Zone) -> Difference:
    """What changed between two versions."""
    before, after = set(old.records()), set(new.records())
    before.discard(old.soa())
    after.discard(new.soa())
    return Difference(old.soa(), tuple(before - after), new.soa(), tuple(after - before))


class Journal:
    """The last steps of a zone, oldest first."""

    def __init__(self, most: int = MOST_RECORDS) -> None:
        """Keeps as many steps as have ``most`` records together."""
        self._most = most
        self._size = 0
        self._steps: deque[Difference] = deque()

    def add(self, step: Difference) -> None:
        """Takes the newest step, and forgets old ones if they are too many."""
        self._steps.append(step)
        self._size += _size(step)
        while self._size > self._most:
            self._size -= _size(self._steps.popleft())

    def since(self, serial: int) -> Sequence[Difference] | None:
        """The steps that lead from a serial to the present one; None where it is not known."""
        steps = list(self._steps)
        for number, step in enumerate(steps):
            if step.since == serial:
                return steps[number:]
        return None


def _size(step: Difference) -> int:
    return len(step.removed) + len(step.added) + 2
