"""Proofs that something is not there, from the NSEC or NSEC3 records of a zone that was signed ahead.

Each proof is a list of the owners of such records, with the packed set of each (RFC 4035 §3.1.3, RFC 5155 §7.2).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pycoredns.dnssec.bitmaps import hashed_label, nsec3_hash
from pycoredns.wire import names
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.packed import NSEC, NSEC3, NSEC3PARAM, Node, find, rdatas

if TYPE_CHECKING:
    from pycoredns.zone.zone import Zone

Proofs: TypeAlias = list[tuple[bytes, bytes]]
MOST_ITERATIONS = 500
"""Of the hash of NSEC3: each denial takes some, and validators refuse more than 100 or so (RFC 9276 §3.2)."""
_SHA1 = 1


class Denial(Protocol):
    """What a signed zone proves its denials with; ``encloser`` is the longest name above another that is there."""

    def no_type(self, name: bytes) -> Proofs:
        """A name of the zone, maybe an empty non-terminal or a cut, has no records of a type."""

    def no_name(self, name: bytes, encloser: bytes) -> Proofs:
        """Neither a name nor a wildcard that would stand for it is there."""

    def wildcard(self, name: bytes, encloser: bytes) -> Proofs:
        """No name is closer to one than the wildcard that stands for it."""

    def wildcard_no_type(self, name: bytes, encloser: bytes) -> Proofs:
        """A wildcard stands for a name, but has no records of a type."""


def denial_of(zone: Zone) -> Denial | None:
    """What a zone proves its denials with, if it can: with NSEC3 where NSEC3PARAM says that its chain is whole (RFC 5155 §4)."""
    apex = zone.nodes[zone.origin]
    has_nsec, parameters = find(apex, NSEC) is not None, find(apex, NSEC3PARAM)
    for rdata in rdatas(parameters, zone.origin) if parameters is not None and zone.hashed else ():
        iterations = int.from_bytes(rdata[2:4], "big")
        if rdata[0] != _SHA1 or rdata[1] or (iterations > MOST_ITERATIONS and has_nsec):
            continue
        if iterations > MOST_ITERATIONS:
            raise BadZoneError("", f"NSEC3PARAM asks for {iterations} iterations, more than {MOST_ITERATIONS} (RFC 9276)")
        if owners := [owner for owner, node in zone.hashed.items() if _in_chain(owner, node, rdata)]:
            return HashedChain(zone, sorted(owners), iterations, rdata[5:])
    return Chain(zone) if has_nsec else None


def _in_chain(owner: bytes, node: Node, parameters: bytes) -> bool:
    """Is an NSEC3 record made as NSEC3PARAM says? A zone may hold others, while its salt is changed (RFC 5155 §4, §10.4)."""
    made, packed = parameters[2:], find(node, NSEC3)
    return packed is not None and any(rdata[0] == _SHA1 and rdata.startswith(made, 2) for rdata in rdatas(packed, owner))


def canonical(name: bytes) -> bytes:
    """Octets that sort as names do in canonical order: from the right, label by label (RFC 4034 §6.1)."""
    labels = names.labels(name)
    if b"\0" in name[:-1] or b"\1" in b"".join(labels):
        labels = [label.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") for label in labels]
    return b"\0".join(reversed(labels)) + b"\0"


class Chain:
    """NSEC records in canonical order (RFC 4034 §4)."""

    def __init__(self, zone: Zone) -> None:
        """Sorts the names of the zone that have one."""
        self._zone = zone
        nodes: Iterable[tuple[bytes, Node]] = chain(zone.nodes.items(), zone.cuts.items())
        found = sorted((canonical(name), name) for name, node in nodes if find(node, NSEC) is not None)
        self._keys = [key for key, _ in found]
        self._names = [name for _, name in found]

    def no_type(self, name: bytes) -> Proofs:
        """The record of the name; of an empty non-terminal, the one that covers it."""
        return self._at(name) or self._covering(name)

    def no_name(self, name: bytes, encloser: bytes) -> Proofs:
        """The records that cover the name and the wildcard."""
        return self._covering(name) + self._covering(b"\1*" + encloser)

    def wildcard(self, name: bytes, encloser: bytes) -> Proofs:
        """The record that covers the name."""
        return self._covering(name)

    def wildcard_no_type(self, name: bytes, encloser: bytes) -> Proofs:
        """The record that covers the name, and the wildcard's own."""
        return self.no_type(b"\1*" + encloser) + self._covering(name)

    def _at(self, name: bytes) -> Proofs:
        node = self._zone.everything(name)
        packed = find(node, NSEC) if node else None
        return [(name, packed)] if packed is not None else []

    def _covering(self, name: bytes) -> Proofs:
        return self._at(self._names[bisect_right(self._keys, canonical(name)) - 1])


class HashedChain:
    """NSEC3 records in the order of their hashes (RFC 5155 §3)."""

    def __init__(self, zone: Zone, owners: Sequence[bytes], iterations: int, salt: bytes) -> None:
        """``owners`` are those of the chain, sorted; iterations and salt are those of NSEC3PARAM."""
        self._zone = zone
        self._iterations = iterations
        self._salt = salt
        self._owners = owners

    def no_type(self, name: bytes) -> Proofs:
        """The record of the name's hash; below an opt-out span, what proves that it might be there unsigned (§7.2.4)."""
        own = self._at(name)
        return own if own or name == self._zone.origin else self._closest(name, names.parent(name))

    def no_name(self, name: bytes, encloser: bytes) -> Proofs:
        """What proves the closest encloser, and that there is no wildcard below it (§7.2.2)."""
        while not self._at(encloser) and encloser != self._zone.origin:
            encloser = names.parent(encloser)
        return self._closest(name, encloser) + self._covering(b"\1*" + encloser)

    def wildcard(self, name: bytes, encloser: bytes) -> Proofs:
        """The record that covers the next closer name (§7.2.6)."""
        return self._covering(next_closer(name, encloser))

    def wildcard_no_type(self, name: bytes, encloser: bytes) -> Proofs:
        """What proves the closest encloser, and the wildcard's own record (§7.2.5)."""
        return self._closest(name, encloser) + self._at(b"\1*" + encloser)

    def _closest(self, name: bytes, encloser: bytes) -> Proofs:
        """The closest encloser that can be proved, with the record that covers the name after it (§7.2.1)."""
        while not (found := self._at(encloser)) and encloser != self._zone.origin:
            encloser = names.parent(encloser)
        return found + self._covering(next_closer(name, encloser))

    def _at(self, name: bytes) -> Proofs:
        owner = self._hash(name)
        node = self._zone.hashed.get(owner)
        packed = find(node, NSEC3) if node else None
        return [(owner, packed)] if packed is not None else []

    def _covering(self, name: bytes) -> Proofs:
        owner = self._owners[bisect_right(self._owners, self._hash(name)) - 1]
        packed = find(self._zone.hashed[owner], NSEC3)
        return [(owner, packed)] if packed is not None else []

    def _hash(self, name: bytes) -> bytes:
        """The owner of a name's record, if it has one (§5)."""
        return hashed_label(nsec3_hash(name, self._salt, self._iterations)) + self._zone.origin


def next_closer(name: bytes, encloser: bytes) -> bytes:
    """The name one label longer than ``encloser`` on the way to ``name``."""
    while (above := names.parent(name)) != encloser and above != name:
        name = above
    return name
