"""Addresses and names of hosts, as records that only lack their owners."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from pycoredns.wire import names, types
from pycoredns.wire.message import record

Records = tuple[bytes, ...]
"""Records of one owner in wire form, each without that owner."""

SMALLEST_RECORD = 13
"""Octets that a record takes at least: a compressed owner, the fixed part, a root name (RFC 1035 §4.1.3)."""
MOST_RECORDS = 65535 // SMALLEST_RECORD + 1
"""More records of one owner than these fit no message."""
_STAR = b"\1*"


class Host(NamedTuple):
    """An address, as it is held for all of its names."""

    rtype: int
    records: Records
    reverse_name: bytes


class Table:
    """What is known of hosts. Names are in lower-case wire form."""

    def __init__(self, zones: tuple[bytes, ...], ttl: int, reverse: bool) -> None:
        """Names outside of ``zones`` are left out; ``reverse``: addresses shall have PTR records."""
        self.exact: dict[int, dict[bytes, Records]] = {types.A: {}, types.AAAA: {}, types.PTR: {}}
        """By type and owner."""
        self.wild: dict[int, dict[bytes, Records]] = {types.A: {}, types.AAAA: {}, types.PTR: {}}
        """By type, and the name below which any one label will do."""
        self.entries = 0
        self._zones = zones
        self._everywhere = names.ROOT in zones
        self._ttl = ttl
        self._reverse = reverse

    def add(self, line: bytes) -> bool:
        """Takes a line ``ADDRESS NAME...``, which may end in a comment; False where a part of it could not be understood."""
        words = line.partition(b"#")[0].split()
        if len(words) < 2:
            return True
        try:
            host = _read_address(words[0], self._ttl)
        except ValueError:
            return False
        understood = True
        for word in words[1:]:
            try:
                self._add_name(host, names.from_text(word.decode()).lower())
            except ValueError:
                understood = False
        return understood

    def _add_name(self, host: Host, name: bytes) -> None:
        """Adds an address of a name, and the other way round unless the name is a wildcard."""
        if not (self._everywhere or self.serves(name)):
            return
        if name.startswith(_STAR):
            self._append(self.wild[host.rtype], names.parent(name), host.records)
            return
        self._append(self.exact[host.rtype], name, host.records)
        if self._reverse:
            self._append(self.exact[types.PTR], host.reverse_name, (record(b"", types.PTR, self._ttl, name),))

    def _append(self, held: dict[bytes, Records], name: bytes, records: Records) -> None:
        self.entries += 1
        before = held.get(name)
        if before is None:
            held[name] = records
        elif len(before) < MOST_RECORDS:
            held[name] = before + records

    def serves(self, name: bytes) -> bool:
        """Is a name in the zones?"""
        return self._everywhere or any(names.within(name, zone) for zone in self._zones)

    def find(self, rtype: int, name: bytes) -> Records:
        """The records of a name, else those of a wildcard that stands for its first label."""
        found = self.exact[rtype].get(name)
        if found is None:
            above = names.parent(name)
            found = self.wild[rtype].get(above, ()) if above != names.ROOT else ()
        return found

    def knows(self, name: bytes) -> bool:
        """Does a name have an address?"""
        return bool(self.find(types.A, name) or self.find(types.AAAA, name))

    def extend(self, other: Table) -> None:
        """Adds what another table finds behind what this one finds, for every name."""
        for rtype, exact in self.exact.items():
            added = {name: self.find(rtype, name) + records for name, records in other.exact[rtype].items()}
            if other.wild[rtype]:
                for name, records in exact.items():
                    if name not in added and (more := other.find(rtype, name)):
                        added[name] = records + more
            exact.update(added)
            wild = self.wild[rtype]
            wild.update({name: wild.get(name, ()) + records for name, records in other.wild[rtype].items()})
        self.entries += other.entries


@lru_cache(maxsize=1024)
def _read_address(word: bytes, ttl: int) -> Host:
    """An address without its zone; a mapped IPv4 address is that. Raises ValueError."""
    read = ip_address(word.decode().partition("%")[0])
    address = getattr(read, "ipv4_mapped", None) or read
    rtype = types.A if address.version == 4 else types.AAAA
    return Host(rtype, (record(b"", rtype, ttl, address.packed),), names.from_text(address.reverse_pointer))
