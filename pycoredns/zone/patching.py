"""A zone made from the version before it: by going through the names that have changed, or through all if need be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pycoredns.wire import names, types
from pycoredns.wire.message import RECORD, Record
from pycoredns.zone.building import Builder, Names
from pycoredns.zone.packed import bodies, sets_of
from pycoredns.zone.zone import Zone

_FOLDED = frozenset({types.NS, types.CNAME, types.SOA, types.PTR, types.MX, types.SRV, types.DNAME})
"""Types whose RDATA may come in another case than the one it is held in."""
Kind: TypeAlias = tuple[bytes, int, bytes]
"""Name, type and RDATA of a record, in one case: what makes it the same as another, whatever its TTL (RFC 2136 §1.1)."""


class MissingRecord(Exception):
    """A record is to go that is not there."""


def _kind(record: Record) -> Kind:
    rdata = record.rdata.lower() if record.rtype in _FOLDED else record.rdata
    return record.name.lower(), record.rtype, rdata


class Patch:
    """Records that go and records that come, in their order, and the SOA in the end."""

    def __init__(self) -> None:
        """Changes nothing yet."""
        self._removed: dict[Kind, Record] = {}
        self._added: dict[Kind, Record] = {}
        self._undone: set[Kind] = set()
        """What came by this patch and went again: it may have been there before, and does not stay then either."""

    def remove(self, record: Record) -> None:
        """A record goes, which may have come by this patch."""
        kind = _kind(record)
        if self._added.pop(kind, None) is None:
            self._removed[kind] = record
        else:
            self._undone.add(kind)

    def add(self, record: Record) -> None:
        """A record comes; if it is there, with another TTL maybe, it is replaced."""
        self._added[_kind(record)] = record

    def names(self, zone: Zone) -> set[bytes]:
        """The names that it changes."""
        undone = (name for name, _, _ in self._undone if zone.everything(name) is not None or name in zone.hashed)
        return {zone.origin, *(name for name, _, _ in (*self._removed, *self._added)), *undone}

    def apply(self, zone: Zone, soa: Record) -> Zone:
        """The zone with these changes; raises MissingRecord or BadZoneError."""
        found = self._few(zone, soa)
        return Zone(zone.origin, found) if found is not None else Zone.of(zone.origin, self._all(zone, soa))

    def _few(self, zone: Zone, soa: Record) -> Names | None:
        """The names of the new version, their records shared with the old: a million take 50 ms.

        None where the borders of the zone's authority change or a name ceases to be, so that others are concerned.
        """
        touched = self.names(zone)
        if any(name not in zone.nodes and not _is_free(zone, name) for name in touched):
            return None
        builder = Builder(zone.origin)
        for each in self._kept((each for name in touched for each in _records(zone, name)), soa):
            builder.add(each.name, each.rtype, each.ttl, each.rdata)
        changed = builder.names()
        if changed.cuts or changed.hidden or changed.hashed or changed.redirected or touched - changed.nodes.keys():
            return None
        nodes = dict(zone.nodes)
        nodes |= {name: node for name, node in changed.nodes.items() if name in touched or name not in nodes}
        # each zone owns its dictionaries, which it empties in the end
        return Names(nodes, dict(zone.cuts), dict(zone.hidden), dict(zone.hashed), set(zone.redirected))

    def _all(self, zone: Zone, soa: Record) -> Iterator[Record]:
        """The records of the new version."""
        return self._kept(zone.records(), soa)

    def _kept(self, records: Iterator[Record], soa: Record) -> Iterator[Record]:
        """Of some records those that stay, then those that come; all that go, however often, must have been among them."""
        removed, changed = dict(self._removed), self._removed.keys() | self._added.keys() | self._undone
        yield soa
        for each in records:
            kind = _kind(each)
            removed.pop(kind, None)
            if kind not in changed and each.rtype != types.SOA:
                yield each
        if removed:
            lacking = next(iter(removed.values()))
            raise MissingRecord(f"a record of {names.to_text(lacking.name)} is to go that is not there")
        yield from self._added.values()


def _is_free(zone: Zone, name: bytes) -> bool:
    """Would a new name be one that the zone has authority for?"""
    if name in zone.cuts or name in zone.hidden or name in zone.hashed or not names.within(name, zone.origin):
        return False
    while name != zone.origin:
        name = names.parent(name)
        if name in zone.cuts or name in zone.redirected:
            return False
    return True


def _records(zone: Zone, name: bytes) -> Iterator[Record]:
    """The records of a name that the zone has authority for."""
    for packed in sets_of(zone.nodes.get(name, ())):
        for body in bodies(packed, name, True):
            rtype, rclass, ttl, _ = RECORD.unpack_from(body)
            yield Record(name, rtype, rclass, ttl, body[RECORD.size :])
