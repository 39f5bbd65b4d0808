"""Catalog zones: the list of a primary's zones, itself a zone (RFC 9432)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pycoredns.plugins.secondary.incoming import TransferError
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.zone import Zone

_VERSION = b"2"
_ZONES = b"\5zones"


@dataclass(frozen=True)
class Member:
    """A zone of a catalog: its label there, its name, and which catalog may take it over (RFC 9432 §4.4.1)."""

    label: bytes
    zone: bytes
    next_owner: bytes = b""


def members_of(catalog: Zone, most: int) -> Mapping[bytes, Member]:
    """The members by their zones' names; raises TransferError for what is no catalog, not in all parts, or lists too many."""
    properties = _Properties(catalog)
    properties.check_version()
    if len(properties.zones) > most:
        raise TransferError(f"catalog lists {len(properties.zones)} zones, more than {most}")
    members: dict[bytes, Member] = {}
    for label, zones in sorted(properties.zones.items()):
        if len(zones) != 1:
            raise TransferError(f"catalog member {_shown(label)} has {len(zones)} PTR records, not one")
        zone, owners = zones[0], properties.next_owners.get(label, [])
        if len(owners) > 1:
            raise TransferError(f"catalog member {_shown(label)} has {len(owners)} coo records, not one")
        if zone in members:
            raise TransferError(f"catalog lists {names.to_text(zone)} twice")
        members[zone] = Member(label, zone, owners[0] if owners else b"")
    return members


def _shown(label: bytes) -> str:
    return names.to_text(label + names.ROOT).removesuffix(".")


class _Properties:
    """What the records of a catalog say."""

    def __init__(self, catalog: Zone) -> None:
        self.zones: dict[bytes, list[bytes]] = defaultdict(list)
        self.next_owners: dict[bytes, list[bytes]] = defaultdict(list)
        self._versions: list[bytes] = []
        self._has_ns = False
        self._origin = catalog.origin
        for each in catalog.records():
            self._note(each)

    def _note(self, record: Record) -> None:
        place = _labels_before(record.name, self._origin)
        if record.rtype == types.NS and not place:
            self._has_ns = True
        elif record.rtype == types.TXT and place == [b"\7version"]:
            self._versions.append(b"".join(_strings(record.rdata)))
        elif record.rtype == types.PTR and len(place) == 2 and place[1] == _ZONES:
            self.zones[place[0]].append(record.rdata.lower())
        elif record.rtype == types.PTR and len(place) == 3 and place[2] == _ZONES and place[0] == b"\3coo":
            self.next_owners[place[1]].append(record.rdata.lower())

    def check_version(self) -> None:
        if not self._has_ns:
            raise TransferError("a catalog zone needs an NS record")
        if len(self._versions) != 1:
            raise TransferError("a catalog zone needs exactly one version record")
        if self._versions[0] != _VERSION:
            raise TransferError(f"catalog version {self._versions[0].decode(errors='replace')!r} is not known")


def _labels_before(name: bytes, origin: bytes) -> Sequence[bytes]:
    """The labels of a name that stand before the zone's, each with its length."""
    found = []
    while name != origin:
        found.append(name[: name[0] + 1])
        name = names.parent(name)
    return found


def _strings(rdata: bytes) -> Iterator[bytes]:
    """The character strings of a TXT record (RFC 1035 §3.3.14)."""
    place = 0
    while place < len(rdata):
        yield rdata[place + 1 : place + 1 + rdata[place]]
        place += 1 + rdata[place]


@dataclass(frozen=True)
class Change:
    """What becomes of a zone; ``text`` has places for the names and labels in ``told``."""

    zone: bytes
    text: str
    told: Sequence[str]
    begins: bool = False
    ends: bool = False
    preserves: bool = False
    level: int = logging.INFO


@dataclass(frozen=True)
class Ownership:
    """Which catalog a zone was begun for, and under which label."""

    catalog: bytes
    label: bytes


class Owners:
    """Which catalog each member is from: a zone belongs to one, and changes hands only where that one agrees."""

    def __init__(self) -> None:
        """Begins without members."""
        self._owners: dict[bytes, Ownership] = {}
        self._members: dict[bytes, Mapping[bytes, Member]] = {}

    def apply(
        self, catalog: bytes, members: Mapping[bytes, Member], wanted: Mapping[bytes, Member], others: Container[bytes]
    ) -> Iterator[Change]:
        """What a catalog changes; ``wanted`` are those of its members that may be served, ``others`` zones of no catalog."""
        self._members[catalog] = members
        for zone, member in wanted.items():
            if zone in others:
                yield _clash(zone, catalog)
            elif (change := self._change(catalog, member)) is not None:
                if change.begins:
                    self._owners[zone] = Ownership(catalog, member.label)
                yield change
        gone = [zone for zone, owner in self._owners.items() if owner.catalog == catalog and zone not in wanted]
        for zone in gone:
            del self._owners[zone]
            yield Change(zone, "Removed catalog member zone %s from catalog %s", _named(zone, catalog), ends=True)

    def _change(self, catalog: bytes, member: Member) -> Change | None:
        """What becomes of one member; nothing if all is as it was."""
        zone, owner = member.zone, self._owners.get(member.zone)
        if owner is None:
            return Change(zone, "Added catalog member zone %s from catalog %s", _named(zone, catalog), begins=True)
        if owner.catalog == catalog:
            if owner.label == member.label:
                return None
            labels = _shown(owner.label), _shown(member.label)
            text = "Reset catalog member zone %s from %s after member ID changed from %s to %s"
            return Change(zone, text, (*_named(zone, catalog), *labels), begins=True)
        before = self._members.get(owner.catalog, {}).get(zone)
        if before is None or before.next_owner != catalog:
            return _clash(zone, catalog)
        moved, text = _named(zone, owner.catalog, catalog), "Migrated catalog member zone %s from catalog %s to %s"
        if owner.label == before.label == member.label:
            text += ", preserving state for member ID %s"
            return Change(zone, text, (*moved, _shown(member.label)), begins=True, preserves=True)
        text += " with state reset after member identity changed from %s to %s"
        return Change(zone, text, (*moved, _shown(before.label), _shown(member.label)), begins=True)


def _named(*zones: bytes) -> list[str]:
    return [names.to_text(zone) for zone in zones]


def _clash(zone: bytes, catalog: bytes) -> Change:
    text = "Skipping catalog member zone %s from %s: zone already exists"
    return Change(zone, text, _named(zone, catalog), level=logging.WARNING)
