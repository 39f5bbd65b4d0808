"""From records in any order to the sets of each name, and where the zone ends: at cuts, and below DNAME records."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from pycoredns.wire import names, types
from pycoredns.wire.message import RECORD
from pycoredns.zone.packed import DNAME, NS, NSEC3, RRSIG, SOA, Node, find, pack_node, pack_one
from pycoredns.zone.rdata import CHECKED, is_whole

LONGEST_RDATA = 65535
_LOWERED = {types.NS: 0, types.CNAME: 0, types.MX: 2}
"""Where names begin that are lower-cased, as CoreDNS does: so they are looked up as they stand."""
_MATTER = frozenset({NS, DNAME, NSEC3, RRSIG})
"""Types that decide more than what is answered for them."""


class BadZoneError(ValueError):
    """Records that make no zone: where (``db.example.org:12``, or empty) and why."""

    def __init__(self, place: str, cause: str) -> None:
        """Told as ``place: cause``."""
        super().__init__(f"{place}: {cause}" if place else cause)
        self.place = place
        self.cause = cause


class OtherZoneError(BadZoneError):
    """Records of another zone than the one they were said to be of."""


@dataclass
class Names:
    """The names of a zone with their records, by what a question for them meets."""

    nodes: dict[bytes, Node] = field(default_factory=dict)
    """Names the zone has authority for, empty non-terminals among them."""
    cuts: dict[bytes, Node] = field(default_factory=dict)
    """Names that are delegated (RFC 1034 §4.2.1)."""
    hidden: dict[bytes, Node] = field(default_factory=dict)
    """Names below a cut or below a DNAME: only addresses for referrals are taken from there."""
    hashed: dict[bytes, Node] = field(default_factory=dict)
    """Hashes of names with their NSEC3 records, which are no names themselves (RFC 5155 §7.2.8)."""
    redirected: set[bytes] = field(default_factory=set)
    """Owners of DNAME records (RFC 6672)."""


class Builder:
    """Collects records, then sorts them out."""

    def __init__(self, origin: bytes) -> None:
        """``origin`` is in lower-case wire form."""
        self.origin = origin
        self._bodies: dict[bytes, bytes | list[bytes]] = {}
        self._other_zone = False
        self._own_soa = False
        self._parent: bytes | None = None  # of the last name, so that its siblings need not be looked at

    def add(self, name: bytes, rtype: int, ttl: int, rdata: bytes) -> None:
        """Takes a record of class IN; one that lies outside the zone is left out, of several SOA the last counts.

        A SOA record at another name of the zone counts where its own has none: CoreDNS serves such zones.
        Raises BadZoneError where the RDATA has not the form that look-ups rely on.
        """
        name = name.lower()
        if name[name[0] + 1 :] != self._parent:
            if not names.within(name, self.origin):
                self._other_zone = self._other_zone or rtype == types.SOA
                return
            self._parent = name[name[0] + 1 :] if name != self.origin else None
        if rtype in CHECKED:
            if rtype == types.SOA:
                if name != self.origin and self._own_soa:
                    return
                self._own_soa = name == self.origin
                name = self.origin
                self._forget_soa()
            rdata = _checked(name, rtype, rdata)
        if len(rdata) > LONGEST_RDATA:
            raise BadZoneError("", f"a {types.type_text(rtype)} record of {len(rdata)} octets fits no message")
        self.put(name, RECORD.pack(rtype, types.IN, ttl, len(rdata)) + rdata)

    def put(self, name: bytes, body: bytes) -> None:
        """Takes what stands behind the owner of a record, checked and with its names in the right case."""
        known = self._bodies.setdefault(name, body)
        if known is body:
            return
        if isinstance(known, list):
            known.append(body)
        else:
            self._bodies[name] = [known, body]

    def _forget_soa(self) -> None:
        known = self._bodies.pop(self.origin, [])
        for body in known if isinstance(known, list) else [known]:
            if body[:4] != SOA:
                self.put(self.origin, body)

    def names(self) -> Names:
        """All of them, sorted out; raises BadZoneError where there is no SOA. The builder is empty then."""
        found, cuts, hashed = Names(), list[bytes](), list[bytes]()
        nodes = cast(dict[bytes, Node], self._bodies)
        for name, bodies in self._bodies.items():  # in their place, as there may be a million
            if isinstance(bodies, bytes) and bodies[:4] not in _MATTER:
                nodes[name] = pack_one(bodies)
                continue
            node = nodes[name] = _packed(name, [bodies] if isinstance(bodies, bytes) else bodies)
            if find(node, NS) is not None and name != self.origin and not name.startswith(b"\1*"):
                cuts.append(name)
            elif find(node, DNAME) is not None:
                found.redirected.add(name)
            elif find(node, NSEC3) is not None:
                hashed.append(name)
        found.nodes, self._bodies = nodes, {}
        for name in hashed:
            found.hashed[name] = found.nodes.pop(name)
        if find(found.nodes.get(self.origin, ()), SOA) is None:
            wrong = OtherZoneError if self._other_zone else BadZoneError
            raise wrong("", f"no SOA record for {names.to_text(self.origin)}")
        self._hide(found, cuts)
        self._add_empty(found)
        return found

    def _hide(self, found: Names, cuts: list[bytes]) -> None:
        """Takes cuts, and what lies below them or below a DNAME, out of the names with authority."""
        borders = {*cuts, *found.redirected}
        if not borders:
            return
        for name in [name for name in found.nodes if self._below(name, borders)]:
            found.hidden[name] = found.nodes.pop(name)
        found.redirected -= found.hidden.keys()
        for name in cuts:
            if name in found.nodes:
                found.cuts[name] = found.nodes.pop(name)

    def _below(self, name: bytes, borders: set[bytes]) -> bool:
        while name != self.origin:
            name = names.parent(name)
            if name in borders:
                return True
        return False

    def _add_empty(self, found: Names) -> None:
        """Adds the names that exist only because others lie below them (RFC 4592 §2.2.2)."""
        nodes, cuts = found.nodes, found.cuts
        for name in [*nodes, *cuts]:
            while name != self.origin:
                name = names.parent(name)
                if name in nodes:
                    break
                nodes[name] = ()


def _checked(name: bytes, rtype: int, rdata: bytes) -> bytes:
    """RDATA that has the form of its type, with the names in it as they are looked up."""
    if not is_whole(rtype, rdata):
        raise BadZoneError("", f"the {types.type_text(rtype)} record of {names.to_text(name)} is malformed")
    if rtype == types.SOA:
        return rdata[:-20].lower() + rdata[-20:]
    start = _LOWERED.get(rtype)
    return rdata if start is None else rdata[:start] + rdata[start:].lower()


def _packed(name: bytes, bodies: Iterable[bytes]) -> Node:
    try:
        return pack_node(name, bodies)
    except (struct.error, OverflowError):
        raise BadZoneError("", f"{names.to_text(name)} has too many records or signatures of one type") from None
