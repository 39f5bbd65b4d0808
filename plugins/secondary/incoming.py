"""What a transfer brings, record by record: a whole zone, or the steps that lead to it from the one we have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias
from weakref import WeakKeyDictionary

from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.building import Builder
from pycoredns.zone.journal import Difference, difference, is_newer
from pycoredns.zone.packed import NS, counted, find, sets_of
from pycoredns.zone.patching import MissingRecord, Patch
from pycoredns.zone.rdata import is_whole
from pycoredns.zone.zone import Zone

_NAMED = frozenset({types.NS, types.CNAME, types.SOA, types.PTR, types.MX, types.SRV, types.DNAME, types.RRSIG})
"""Types whose RDATA was read with its names."""
_META = range(128, 256)
"""Types that no zone has: of questions, and of what goes along with a message (RFC 6895 §3.1)."""
_WITH_PARAMETERS = frozenset({types.SVCB, types.HTTPS})
"""Types whose RDATA has parameters at the end, of which clients make what they can (RFC 9460 §2.4.2)."""
_SHORTEST_SOA = 22
_SIZES = {types.A: 4, types.AAAA: 16}
"""Octets of RDATA that has a fixed size."""


class TransferError(Exception):
    """A transfer that cannot be used; the text says why."""


class NothingNewer(Exception):
    """The primary's zone is the one we have, or an older one."""

    def __init__(self, serial: int, ours: int) -> None:
        """Takes the serials of both."""
        super().__init__(f"its serial {serial} is not newer than ours, {ours}")
        self.serial = serial
        self.ours = ours


@dataclass
class Step:
    """From one serial to the next."""

    old: Record
    new: Record
    removed: list[Record] = field(default_factory=list)
    added: list[Record] = field(default_factory=list)


Taking: TypeAlias = Callable[[Record], None]


class Incoming:
    """Takes the records of a transfer in their order, whichever form they come in (RFC 5936 §2.2, RFC 1995 §4).

    Whole zones go into a builder at once, so that a large one is held but once; what is ``complete`` becomes a zone by ``zone``.
    """

    def __init__(self, origin: bytes, ours: Zone | None, most: int) -> None:
        """``ours`` is the version we have; of more records than ``most`` nothing is taken."""
        self.origin = origin
        self.ours = ours
        self.complete = False
        self.count = 0
        self.steps: list[Step] = []
        self._most = most
        self._builder = Builder(origin)
        self._take: Taking = self._take_first
        self._soa: Record

    @property
    def incremental(self) -> bool:
        """Is it made of steps?"""
        return bool(self.steps)

    @property
    def serial(self) -> int:
        """The serial of what comes."""
        return serial_of(self._soa)

    def feed(self, records: Iterable[Record]) -> None:
        """Takes the records of a message; raises TransferError, or NothingNewer."""
        for each in records:
            self.count += 1
            if self.complete:
                raise TransferError("there are records behind the last SOA")
            if self.count > self._most:
                raise TransferError(f"it has more than {self._most} records")
            if each.rclass != types.IN:
                raise TransferError(f"a record is of class {types.class_text(each.rclass)}")
            if not is_well_formed(each):
                raise TransferError(f"the {types.type_text(each.rtype)} record of {names.to_text(each.name)} is malformed")
            self._take(each)

    def _is_soa(self, record: Record) -> bool:
        if record.rtype != types.SOA or record.name.lower() != self.origin:
            return False
        if len(record.rdata) < _SHORTEST_SOA:
            raise TransferError("an SOA is cut off")
        return True

    def _take_first(self, record: Record) -> None:
        """The SOA of the newest version."""
        if not self._is_soa(record):
            raise TransferError("it does not begin with the zone's SOA")
        if self.ours is not None and not is_newer(serial_of(record), self.ours.serial):
            raise NothingNewer(serial_of(record), self.ours.serial)
        self._soa, self._take = record, self._take_second

    def _take_second(self, record: Record) -> None:
        """Another SOA begins the steps, anything else is the zone's."""
        if self._is_soa(record) and serial_of(record) != self.serial:
            if self.ours is None or serial_of(record) != self.ours.serial:
                raise TransferError(f"its first step is from serial {serial_of(record)}, which we have not got")
            self._begin_step(record)
            return
        self._add(self._soa)
        self._take = self._take_whole
        self._take_whole(record)

    def _take_whole(self, record: Record) -> None:
        """A record of the whole zone, or the SOA that ends it."""
        if not self._is_soa(record):
            self._add(record)
        elif serial_of(record) == self.serial:
            self.complete = True
        else:
            raise TransferError(f"it begins with serial {self.serial} and ends with {serial_of(record)}")

    def _add(self, record: Record) -> None:
        self._builder.add(record.name, record.rtype, record.ttl, record.rdata)

    def _begin_step(self, soa: Record) -> None:
        self.steps.append(Step(soa, soa))
        self._take = self._take_removed

    def _take_removed(self, record: Record) -> None:
        """A record that went, or the SOA of the step's end."""
        step = self.steps[-1]
        if not self._is_soa(record):
            step.removed.append(record)
            return
        if not is_newer(serial_of(record), serial_of(step.old)):
            raise TransferError(f"a step leads from serial {serial_of(step.old)} to {serial_of(record)}")
        step.new, self._take = record, self._take_added

    def _take_added(self, record: Record) -> None:
        """A record that came, or an SOA: the last one, or that of the next step's beginning."""
        step = self.steps[-1]
        if not self._is_soa(record):
            step.added.append(record)
        elif serial_of(record) != serial_of(step.new):
            raise TransferError(f"a step ends at serial {serial_of(step.new)}, the next begins at {serial_of(record)}")
        elif serial_of(record) == self.serial:
            self.complete = True
        else:
            self._begin_step(record)

    def zone(self) -> tuple[Zone, Difference | None]:
        """The new version, and what changed from ours; may take seconds. Raises TransferError or BadZoneError."""
        if self.incremental:
            return self._patched()
        zone = _with_servers(Zone(self.origin, self._builder.names()))
        return zone, difference(self.ours, zone) if self.ours is not None else None

    def _patched(self) -> tuple[Zone, Difference]:
        """Our version after the steps."""
        if self.ours is None:
            raise TransferError("there is nothing that its steps could change")
        patch = Patch()
        for step in self.steps:
            for each in step.removed:
                patch.remove(each)
            for each in step.added:
                patch.add(each)
        try:
            zone = _with_servers(patch.apply(self.ours, self.steps[-1].new))
        except MissingRecord as error:
            raise TransferError(str(error)) from None
        changes = difference(self.ours, zone, patch.names(zone))
        if changes.whole:
            _sizes[zone] = _size(self.ours) + len(changes.added) - len(changes.removed)
        if _size(zone) >= self._most:  # a whole transfer has the SOA twice
            raise TransferError(f"with its changes the zone has more than {self._most} records")
        return zone, changes


_sizes: WeakKeyDictionary[Zone, int] = WeakKeyDictionary()
"""How many records zones have: to count those of a large one at each step would take longer than the step."""


def _size(zone: Zone) -> int:
    size = _sizes.get(zone)
    if size is None:
        parts = zone.nodes, zone.cuts, zone.hidden, zone.hashed
        nodes = (node for part in parts for node in part.values())
        size = _sizes[zone] = sum(counted(packed, True) for node in nodes for packed in sets_of(node))
    return size


def _with_servers(zone: Zone) -> Zone:
    """The zone; one without name servers is none (RFC 1035 §5.2), but what is left where a primary has lost its own."""
    if find(zone.nodes[zone.origin], NS) is None:
        raise TransferError("it has no NS record at its apex")
    return zone


def serial_of(soa: Record) -> int:
    """The serial of an SOA record."""
    return int.from_bytes(soa.rdata[-20:-16], "big")


def is_well_formed(record: Record) -> bool:
    """Has the RDATA the form of its type? Names in it have been read already, where its type may have compressed ones.

    What its fields say (a digest of another length than its type has, say) is the primary's affair.
    """
    rtype, rdata = record.rtype, record.rdata
    if rtype in _SIZES:
        return len(rdata) == _SIZES[rtype]
    if rtype in _NAMED:
        return bool(rdata)
    if rtype == types.TXT:
        return _is_strings(rdata)
    if rtype in _WITH_PARAMETERS:
        return is_whole(rtype, rdata)
    if rtype == types.OPT or rtype in _META:
        return False
    import dns.exception  # only for types that are rare, as it takes ten times as long as all the rest
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype

    try:
        dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), rdata, 0, len(rdata))
    except dns.exception.DNSException as error:
        return isinstance(error.__cause__, ValueError)  # of fields that were all there; for one that is not it gives no cause
    return True


def _is_strings(rdata: bytes) -> bool:
    """Is it one or more character strings (RFC 1035 §3.3.14)?"""
    place = 0
    while place < len(rdata):
        place += 1 + rdata[place]
    return bool(rdata) and place == len(rdata)
