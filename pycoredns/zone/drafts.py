"""An answer in the making: records of the zone, section by section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycoredns.request import AA, TC
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.packed import (
    AAAA,
    MOST_RECORDS,
    NSEC,
    NSEC3,
    TARGETS,
    WITH_TARGETS,
    A,
    bodies,
    count,
    counted,
    find,
    rdatas,
    records,
)

if TYPE_CHECKING:
    from pycoredns.zone.packed import Node
    from pycoredns.zone.zone import Zone


class Draft:
    """Three sections to which records are added."""

    def __init__(self, zone: Zone, do: bool) -> None:
        """``do`` has signatures go with the records they cover."""
        self.zone = zone
        self.do = do
        self.truncated = False
        self.wildcard = b""
        """The wildcard that the answer is made from, if it is."""
        self.answer: list[bytes] = []
        self._authority: list[bytes] = []
        self._additional: list[bytes] = []
        self._counts = [0, 0, 0]
        self._proved: set[bytes] = set()
        self._aided: set[bytes] = set()

    @property
    def answers(self) -> int:
        """How many records the first section has."""
        return self._counts[0]

    # --- the answer section

    def add(self, packed: bytes, owner: bytes, stored: bytes | None = None) -> None:
        """Adds a set to the answer, with what its targets want along; ``stored`` is the wildcard it comes from."""
        if stored is not None or count(packed) > MOST_RECORDS:
            found = list(bodies(packed, owner if stored is None else stored, self.do))
            self.truncated |= len(found) > MOST_RECORDS
            self.add_records([owner + body for body in found[:MOST_RECORDS]])
        else:
            self.answer.append(records(packed, owner, self.do))
            self._counts[0] += counted(packed, self.do)
        if packed[4] & TARGETS:
            self._aid_all(packed, stored or owner)

    def add_records(self, found: list[bytes]) -> None:
        """Adds records by themselves."""
        self.answer += found
        self._counts[0] += len(found)

    def add_foreign(self, response: Response) -> Record | None:
        """Adds the answer to another question, proofs that go with it too; returns its last record that is no signature."""
        sections = response.sections()
        self.add_records([each.wire() for each in sections.answer])
        for each in sections.answer:
            if each.rtype in WITH_TARGETS:
                self.aid(names.read(each.rdata, WITH_TARGETS[each.rtype])[0])
        if self.do:
            proofs = [each for each in sections.authority if _proves(each) and each.name not in self._proved]
            self._proved |= {each.name for each in proofs}
            self._authority += [each.wire() for each in proofs]
            self._counts[1] += len(proofs)
        self.truncated |= response.truncated
        return next((each for each in reversed(sections.answer) if each.rtype != types.RRSIG), None)

    def _aid_all(self, packed: bytes, name: bytes) -> None:
        start = WITH_TARGETS[packed[0] << 8 | packed[1]]
        for rdata in rdatas(packed, name)[:MOST_RECORDS]:
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
        for server in rdatas(packed, owner)[:MOST_RECORDS]:
            node = self.zone.everything(server) if names.within(server, owner) else None
            if node:
                self._add_addresses(server, node)

    def _add_addresses(self, name: bytes, node: Node) -> None:
        for kind in (A, AAAA):
            packed = find(node, kind)
            if packed is not None:
                self._additional.append(records(packed, name, self.do))
                self._counts[2] += counted(packed, self.do)

    # --- the authority section

    def refer(self, owner: bytes, packed: bytes) -> None:
        """Adds a set to the authority section."""
        self._authority.append(records(packed, owner, self.do))
        self._counts[1] += counted(packed, self.do)

    def prove(self, proofs: list[tuple[bytes, bytes]]) -> None:
        """Adds NSEC or NSEC3 records by their owners, each once."""
        for owner, packed in proofs:
            if owner not in self._proved:
                self._proved.add(owner)
                self.refer(owner, packed)

    def respond(self, rcode: int = types.NOERROR, negative: bool = False) -> Response:
        """An answer with authority: the zone's NS records with it, or its SOA where something is denied."""
        octets, number = (self.zone.start if negative else self.zone.authority)[self.do]
        self._authority.insert(0, octets)
        self._counts[1] += number
        return self.send(rcode)

    def send(self, rcode: int = types.NOERROR, flags: int = AA) -> Response:
        """The answer as it is."""
        answers, authorities, additionals = self._counts
        response = Response(
            rcode,
            b"".join(self.answer),
            answers,
            b"".join(self._authority),
            authorities,
            b"".join(self._additional),
            additionals,
            flags | TC if self.truncated else flags,
        )
        if self.wildcard:
            response.wildcard = self.wildcard
        return response


def _proves(record: Record) -> bool:
    """Is it a proof of denial, or a signature of one?"""
    covered = record.rdata[:2] if record.rtype == types.RRSIG else record.rtype.to_bytes(2, "big")
    return covered in (NSEC[:2], NSEC3[:2])
