"""A zone: its records, and its answer to a question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf
from typing import Self

from pycoredns.answer import Answer
from pycoredns.direct import LONGEST_NAME, MOST_RECORDS, Found, response_of, shape_of
from pycoredns.meaning import Meaning
from pycoredns.query import Tail
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.stream import AT_ONCE, Body, Form
from pycoredns.wire.message import RECORD, Record
from pycoredns.zone import lookup
from pycoredns.zone.building import BadZoneError, Builder, Names
from pycoredns.zone.crumbling import crumble
from pycoredns.zone.denial import Denial, denial_of
from pycoredns.zone.packed import ALONE, DS, LARGEST, NS, SOA, START, TARGETS, Node, bodies, counted, find, records, sets_of

__all__ = ["BadZoneError", "Zone"]

_RECORD_FIXED = 10
_RECORD = slice(START, None)


class Zone:
    """One version of a zone; never changed once made."""

    _parts: tuple[dict[bytes, Node], ...] = ()

    def __init__(self, origin: bytes, found: Names) -> None:
        """``origin`` is in lower-case wire form; of ``found`` the zone is the only owner."""
        self.origin = origin
        self.nodes, self.cuts, self.hidden, self.hashed = found.nodes, found.cuts, found.hidden, found.hashed
        self.redirected = found.redirected
        self._parts = self.nodes, self.cuts, self.hidden, self.hashed
        apex = self.nodes[origin] = sets_of(self.nodes[origin])  # a tuple, so that its SOA is not taken for a name's only record
        self._soa = find(apex, SOA) or b""
        self.serial = int.from_bytes(self.soa().rdata[-20:-16], "big")
        ns = find(apex, NS) or b""
        if len(ns) > LARGEST:
            ns = b""
        self.authority = _both(ns, origin)
        """The apex NS records that go with positive answers, and their number: without signatures, with them.

        None where they would fill any message by themselves: no answer is to be cut off for them.
        """
        self._alone = [(octets, shape_of(Meaning.ANSWER, answers=1, authorities=number)) for octets, number in self.authority]
        """What goes with a record that is alone: the same, and what then is said in all."""
        self.short = MOST_RECORDS - LONGEST_NAME - len(self.authority[False][0])
        """Octets of a packed record that may be found directly."""
        self.start = _both(self._soa, origin)
        """The SOA record that goes with negative answers, likewise (RFC 2308 §3)."""
        self.denial: Denial | None = denial_of(self)
        """The NSEC or NSEC3 records that prove what is not there; None where the zone is not signed."""

    def __del__(self) -> None:
        """A large zone that nobody has any more is freed little by little."""
        crumble(self._parts)

    @classmethod
    def of(cls, origin: bytes, records: Iterable[Record]) -> Self:
        """A zone from a transfer or a signer; raises BadZoneError."""
        builder = Builder(origin)
        for each in records:
            builder.add(each.name, each.rtype, each.ttl, each.rdata)
        return cls(origin, builder.names())

    def soa(self) -> Record:
        """The SOA record, without signatures."""
        return next(self.records())

    def records(self) -> Iterator[Record]:
        """All records with their signatures, SOA first and once; made one by one."""
        for name, body in self.bodies():
            rtype, rclass, ttl, _ = RECORD.unpack_from(body)
            yield Record(name, rtype, rclass, ttl, body[_RECORD_FIXED:])

    def bodies(self) -> Iterator[Body]:
        """The same as they stand in messages: the owner of each, and what is behind it."""
        yield from self._of_apex()
        for part in self._parts:
            for name, node in part.items():
                if name != self.origin:
                    for packed in sets_of(node):
                        for body in bodies(packed, name, True):
                            yield name, body

    def lists(self, form: Form) -> Iterator[list[bytes]]:
        """The same as they stand in a transfer; those alone at their names in one go, in less than half the time."""
        yield from form.lists(self._of_apex())
        for part in self._parts:
            yield from self._lists(iter(part.items()), form)

    def _lists(self, nodes: Iterator[tuple[bytes, Node]], form: Form) -> Iterator[list[bytes]]:
        """Of some names at a time the records that are alone, then those of names with several sets, at last sets of several."""
        end, apex = form.end, form.apex
        while some := list(islice(nodes, AT_ONCE)):
            alone = [
                name[:end] + apex + node[START:]  # type: ignore[operator]  # that of a tuple is not in ALONE
                for name, node in some
                if node[4:5] in ALONE
            ]
            yield alone
            if len(alone) < len(some):
                rest = [each for each in some if each[1][4:5] not in ALONE and each[0] != self.origin]
                sets = ((name, packed) for name, node in rest if isinstance(node, tuple) for packed in node)
                yield from self._lists(sets, form)
                several = ((name, packed) for name, packed in rest if isinstance(packed, bytes))
                yield from form.lists((name, body) for name, packed in several for body in bodies(packed, name, True))

    def _of_apex(self) -> Iterator[Body]:
        origin = self.origin
        sets = [each for each in sets_of(self.nodes[origin]) if not each.startswith(SOA)]
        return ((origin, body) for packed in (self._soa, *sets) for body in bodies(packed, origin, True))

    def everything(self, name: bytes) -> Node | None:
        """A name's records, also where the zone has no authority for them."""
        node = self.nodes.get(name)
        if node is None:
            node = self.cuts.get(name)
        return self.hidden.get(name) if node is None else node

    def secures(self, name: bytes) -> bool:
        """Is it delegated with DS records, or with the proof that there are none?"""
        node = self.cuts.get(name)
        return node is not None and (self.denial is not None or find(node, DS) is not None)

    def look_up(self, name: bytes, tail: Tail, most: int = LARGEST) -> Found | None:
        """The only record of its type at a name, or at the wildcard for it, of so many octets at most.

        None for all that takes a closer look.
        """
        node, do = self.nodes.get(name), tail.do
        if node is None and name not in self.cuts and not (do and self.denial):
            node = self.nodes.get(b"\1*" + name[name[0] + 1 :])  # below a cut or a DNAME it would be hidden
        if node:
            asked = tail.question
            for packed in (node,) if isinstance(node, bytes) else node:
                if packed[:4] == asked:
                    if packed[4] or len(packed) > most:
                        break
                    authority, shape = self._alone[do]
                    return shape, b"", inf, name + packed[_RECORD], authority, b""
        return None

    def answer(self, request: Request, missing: lookup.Missing | None = None) -> Answer:
        """What RFC 1034 §4.3.2 finds for a question about a name in the zone, as CoreDNS says it.

        ``missing`` is asked before a name is denied, and may answer in its place. Names that an alias leads to outside of the
        zone are looked up through the server's own blocks.
        """
        name, tail = request.name, request.tail
        node, found = self.nodes.get(name), self.look_up(name, tail)
        if found is not None:
            response = response_of(found)
            if node is None:
                response.wildcard = b"\1*" + name[name[0] + 1 :]
            return response
        for packed in sets_of(node) if node else ():
            if packed[:4] == tail.question and packed[4] < TARGETS and len(packed) <= LARGEST:
                do = tail.do
                return Response(0, records(packed, name, do), counted(packed, do), *self.authority[do])
        return lookup.answer(self, request, missing)


def _both(packed: bytes, name: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    """A set and its number of records as they go with each answer, without signatures and with them unless they are too large."""
    if not packed:
        return (b"", 0), (b"", 0)
    plain = records(packed, name, False), counted(packed, False)
    return plain, plain if len(packed) > LARGEST else (records(packed, name, True), counted(packed, True))
