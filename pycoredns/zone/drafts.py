"""An answer in the making: records of the zone, section by section."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pycoredns.query import AA, TC
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import RECORD, Record, each_record, read_record
from pycoredns.wire.walk import walk
from pycoredns.zone.packed import (
    AAAA,
    LARGEST,
    MOST_OCTETS,
    MOST_RECORDS,
    NSEC,
    NSEC3,
    TARGETS,
    WITH_TARGETS,
    A,
    counted,
    find,
    fitting,
    rdatas,
    records,
)
from pycoredns.zone.rdata import is_whole

if TYPE_CHECKING:
    from pycoredns.zone.packed import Node
    from pycoredns.zone.zone import Zone

MOST_TARGETS = 512
"""Names of one set whose addresses are looked for: those of more fit into few messages, and take milliseconds."""


class _Section:
    """Records, no more than may fit into a message: what comes once there are as many is left out."""

    __slots__ = "_octets", "full", "number", "parts"

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.number = self._octets = 0
        self.full = False

    def add(self, octets: bytes, number: int) -> None:
        if self.number >= MOST_RECORDS or self._octets >= MOST_OCTETS:
            self.full = True
            return
        self.parts.append(octets)
        self.number += number
        self._octets += len(octets)


class Draft:
    """Three sections to which records are added."""

    def __init__(self, zone: Zone, do: bool) -> None:
        """``do`` has signatures go with the records they cover."""
        self.zone = zone
        self.do = do
        self.truncated = False
        self.wildcard = b""
        """The wildcard that the answer is made from, if it is."""
        self._answer, self._authority, self._additional = _Section(), _Section(), _Section()
        self._proved: set[bytes] = set()
        self._aided: set[bytes] = set()

    # --- the answer section

    def add(self, packed: bytes, owner: bytes, stored: bytes | None = None) -> None:
        """Adds a set to the answer, with what its targets want along; ``stored`` is the wildcard it comes from."""
        self._add(self._answer, packed, owner, stored)
        if packed[4] & TARGETS:
            self._aid_all(packed, stored or owner)

    def add_records(self, found: list[bytes]) -> None:
        """Adds records by themselves."""
        for each in found:
            self._answer.add(each, 1)

    def _add(self, section: _Section, packed: bytes, owner: bytes, stored: bytes | None = None) -> None:
        """Adds a set to a section: whole, or of a large one what may fit, with TC."""
        if stored is None and len(packed) <= LARGEST:
            section.add(records(packed, owner, self.do), counted(packed, self.do))
            return
        if section.full:
            return
        found = fitting(packed, stored or owner, self.do)
        self.truncated |= len(found) < counted(packed, self.do)
        for body in found:
            section.add(owner + body, 1)

    def add_foreign(self, response: Response) -> Record | None:
        """Adds the answer to another question, proofs that go with it too; returns its last record that is no signature."""
        plain = response.plain()
        octets, found = plain.answer, walk(plain.answer, 0, plain.answers)
        self._answer.add(octets, plain.answers)
        for _, fixed, end, rtype, _ in found:
            if rtype in WITH_TARGETS and is_whole(rtype, rdata := octets[fixed + RECORD.size : end]):
                self.aid(names.read(rdata, WITH_TARGETS[rtype])[0])
        if self.do:
            self._prove_alike(plain)
        self.truncated |= response.truncated
        last = next((each for each in reversed(found) if each.rtype != types.RRSIG), None)
        return read_record(octets, last.start)[0] if last is not None else None

    def _prove_alike(self, plain: Response) -> None:
        """Adds the proofs of another answer, each owner's once."""
        found = each_record(plain.authority, plain.authorities)
        proofs = [each for each in found if _proves(each) and each.name not in self._proved]
        self._proved |= {each.name for each in proofs}
        for each in proofs:
            self._authority.add(each.wire(), 1)

    def _aid_all(self, packed: bytes, name: bytes) -> None:
        start = WITH_TARGETS[packed[0] << 8 | packed[1]]
        for rdata in islice(rdatas(packed, name), MOST_TARGETS):
            self.aid(names.read(rdata, start)[0])

    # --- the additional section

    def aid(self, target: bytes) -> None:
        """Adds the addresses of a name, if the zone has them; each once."""
        target = target.lower()
        node = self.zone.everything(target) if target not in self._aided else None
        self._aided.add(target)
        if node:
            self._add_addresses(target, node)

    def glue(self, packed: bytes, owner: bytes) -> None:
        """Adds the addresses of name servers that lie in the zone they serve, whoever has authority for them."""
        for server in islice(rdatas(packed, owner), MOST_TARGETS):
            node = self.zone.everything(server) if names.within(server, owner) else None
            if node:
                self._add_addresses(server, node)

    def _add_addresses(self, name: bytes, node: Node) -> None:
        for kind in (A, AAAA):
            packed = find(node, kind)
            if packed is not None and len(packed) <= LARGEST:
                self._additional.add(records(packed, name, self.do), counted(packed, self.do))

    # --- the authority section

    def refer(self, owner: bytes, packed: bytes) -> None:
        """Adds a set to the authority section."""
        self._add(self._authority, packed, owner)

    def prove(self, proofs: list[tuple[bytes, bytes]]) -> None:
        """Adds NSEC or NSEC3 records by their owners, each once."""
        for owner, packed in proofs:
            if owner not in self._proved:
                self._proved.add(owner)
                self.refer(owner, packed)

    def respond(self, rcode: int = types.NOERROR, negative: bool = False) -> Response:
        """An answer with authority: the zone's NS records with it, or its SOA where something is denied."""
        octets, number = (self.zone.start if negative else self.zone.authority)[self.do]
        self._authority.parts.insert(0, octets)
        self._authority.number += number
        return self.send(rcode)

    def send(self, rcode: int = types.NOERROR, flags: int = AA) -> Response:
        """The answer as it is."""
        answer, authority, additional = self._answer, self._authority, self._additional
        response = Response(
            rcode,
            b"".join(answer.parts),
            answer.number,
            b"".join(authority.parts),
            authority.number,
            b"".join(additional.parts),
            additional.number,
            flags | TC if self.truncated or answer.full or authority.full else flags,
        )
        if self.wildcard:
            response.wildcard = self.wildcard
        return response


def _proves(record: Record) -> bool:
    """Is it a proof of denial, or a signature of one?"""
    covered = record.rdata[:2] if record.rtype == types.RRSIG else record.rtype.to_bytes(2, "big")
    return covered in (NSEC[:2], NSEC3[:2])
