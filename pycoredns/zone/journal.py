"""What changed from one version of a zone to the next, for incremental transfers (RFC 1995)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from pycoredns.wire import types
from pycoredns.wire.message import RECORD, Record
from pycoredns.zone.packed import Node, bodies, sets_of, signatures

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
    whole: bool = True
    """False where more has changed than is remembered; then nothing of it is here."""

    @property
    def since(self) -> int:
        """The serial before."""
        return int.from_bytes(self.old.rdata[-20:-16], "big")

    @property
    def until(self) -> int:
        """The serial after."""
        return int.from_bytes(self.new.rdata[-20:-16], "big")


def is_newer(serial: int, other: int) -> bool:
    """Is a serial greater than another (RFC 1982 §3.2)?"""
    return 0 < (serial - other & 0xFFFFFFFF) <= 0x7FFFFFFF


def difference(old: Zone, new: Zone, among: Iterable[bytes] | None = None) -> Difference:
    """What changed between two versions; of all names, or those given, only such are looked into as have not the same octets."""
    removed: list[Record] = []
    added: list[Record] = []
    for name in _names(old, new) if among is None else among:
        before, after = _node(old, name), _node(new, name)
        if before != after:
            had, has = _records(name, before), _records(name, after)
            removed += [each for each in had if each not in has]
            added += [each for each in has if each not in had]
            if len(removed) + len(added) > MOST_RECORDS:
                return Difference(old.soa(), (), new.soa(), (), whole=False)
    return Difference(old.soa(), _without_soa(removed), new.soa(), _without_soa(added))


def _names(old: Zone, new: Zone) -> Iterator[bytes]:
    """The names of both, without a copy of them all."""
    yield from chain(new.nodes, new.cuts, new.hidden, new.hashed)
    for name in chain(old.nodes, old.cuts, old.hidden, old.hashed):
        if _node(new, name) is None:
            yield name


def _node(zone: Zone, name: bytes) -> Node | None:
    for part in (zone.nodes, zone.cuts, zone.hidden, zone.hashed):
        node = part.get(name)
        if node is not None:
            return node
    return None


def _records(name: bytes, node: Node | None) -> dict[Record, None]:
    """The records of a name in their order, which are soon found."""
    found: dict[Record, None] = {}
    for packed in sets_of(node) if node is not None else ():
        for body in chain(bodies(packed, name), signatures(packed, name)):
            rtype, rclass, ttl, _ = RECORD.unpack_from(body)
            found[Record(name, rtype, rclass, ttl, body[RECORD.size :])] = None
    return found


def _without_soa(records: Iterable[Record]) -> tuple[Record, ...]:
    return tuple(each for each in records if each.rtype != types.SOA)


class Journal:
    """The last steps of a zone, oldest first."""

    def __init__(self, most: int = MOST_RECORDS) -> None:
        """Keeps as many steps as have ``most`` records together."""
        self._most = most
        self._size = 0
        self._steps: deque[Difference] = deque()

    def copy(self) -> Journal:
        """The same steps, for another to go on with."""
        other = Journal(self._most)
        other._steps, other._size = self._steps.copy(), self._size
        return other

    def add(self, step: Difference) -> None:
        """Takes the newest step, and forgets old ones if they are too many.

        For its reader a way ends at the newest serial, which it must not come by before: nothing leads back to an older one, and
        what was before serials have gone around is forgotten.
        """
        if not step.whole or not is_newer(step.until, step.since):
            self._steps.clear()
            self._size = 0
            return
        self._steps.append(step)
        self._size += _size(step)
        around = [number for number, each in enumerate(self._steps, 1) if each.since == step.until]
        for _ in range(around[-1] if around else 0):
            self._forget_oldest()
        while self._size > self._most:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
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
