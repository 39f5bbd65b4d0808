"""What others will find fault with in a zone that can be served: resolvers, secondaries, validators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.packed import WITH_TARGETS

_BESIDE_ALIAS = frozenset({types.RRSIG, types.NSEC, types.CNAME})
_AT_CUTS = frozenset({types.NS, types.DS, types.RRSIG, types.NSEC, types.A, types.AAAA})
_ADDRESSES = frozenset({types.A, types.AAAA})
_DIGEST_SIZES = {1: 20, 2: 32, 4: 48}
"""Octets of the digests in DS records, by their types (RFC 3658, RFC 4509, RFC 6605)."""
_ALONE = {types.CNAME: "RFC 2181 §10.1", types.DNAME: "RFC 6672 §2.4", types.SOA: "RFC 1035 §5.2"}


def complaints(origin: bytes, records: Iterable[Record]) -> list[str]:
    """A line for each fault, of a name's records together; ``origin`` is in lower-case wire form."""
    return list(_Judge(origin, records).complaints())


class _Judge:
    def __init__(self, origin: bytes, records: Iterable[Record]) -> None:
        self._origin = origin
        self._sets: dict[bytes, dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
        self._outside: dict[bytes, None] = {}
        for record in records:
            name = record.name.lower()
            if names.within(name, origin):
                self._sets[name][record.rtype].append(record)
            else:
                self._outside[name] = None
        self._cuts = {name for name, sets in self._sets.items() if types.NS in sets and name != origin}
        self._redirected = {name for name, sets in self._sets.items() if types.DNAME in sets}

    def complaints(self) -> Iterator[str]:
        for name in self._outside:
            yield f"{names.to_text(name)}: lies outside the zone and is left out"
        if types.NS not in self._sets[self._origin]:
            yield f"{names.to_text(self._origin)}: has no NS records (RFC 1035 §5.2)"
        if types.SOA not in self._sets[self._origin]:
            yield f"{names.to_text(self._origin)}: has no SOA record of its own (RFC 1035 §5.2)"
        for name, sets in self._sets.items():
            shown = names.to_text(name)
            for fault in (*self._of_name(name, sets), *self._of_sets(sets), *self._of_targets(sets), *self._of_place(name, sets)):
                yield f"{shown}: {fault}"

    def _of_name(self, name: bytes, sets: dict[int, list[Record]]) -> Iterator[str]:
        others = [types.type_text(kind) for kind in sets if kind not in _BESIDE_ALIAS]
        if types.CNAME in sets and others:
            yield f"a CNAME stands beside {', '.join(others)} (RFC 2181 §10.1)"
        if types.DS in sets and name not in self._cuts:
            yield "DS records without NS records (RFC 4035 §2.4)"

    def _of_sets(self, sets: dict[int, list[Record]]) -> Iterator[str]:
        for kind, found in sets.items():
            text = types.type_text(kind)
            different = {record.rdata.lower() for record in found}
            if kind in _ALONE and len(different) > 1:
                yield f"there is more than one {text} ({_ALONE[kind]})"
            elif len(different) < len(found):
                yield f"the same {text} record stands more than once"
            if kind != types.RRSIG and len({record.ttl for record in found}) > 1:
                yield f"{text} records have different TTLs (RFC 2181 §5.2)"
            if kind == types.DS and any(_DIGEST_SIZES.get(rdata[3], len(rdata) - 4) != len(rdata) - 4 for rdata in different):
                yield "the digest of a DS record has not the length of its type"

    def _of_targets(self, sets: dict[int, list[Record]]) -> Iterator[str]:
        """Name servers and the like must have addresses, and must not be aliases (RFC 2181 §10.3)."""
        for kind, start in {types.NS: 0, **WITH_TARGETS}.items():
            for record in sets.get(kind, ()):
                target = names.read(record.rdata, start)[0].lower()
                if target == names.ROOT or not names.within(target, self._origin):
                    continue
                text = f"{types.type_text(kind)} leads to {names.to_text(target)}, which"
                found = self._sets.get(target, {})
                if types.CNAME in found:
                    yield f"{text} is an alias (RFC 2181 §10.3)"
                elif not _ADDRESSES & found.keys() and not self._may_be_elsewhere(target, record.name.lower()):
                    yield f"{text} has no address"

    def _may_be_elsewhere(self, target: bytes, owner: bytes) -> bool:
        """Is it a wildcard's, a DNAME's, or another zone's to say the address? Not where the cut needs it as glue."""
        name = target
        while name != self._origin:
            if name in self._cuts and not (name == owner and names.within(target, owner)):
                return True
            name = names.parent(name)
            if name in self._redirected or b"\1*" + name in self._sets:
                return True
        return False

    def _of_place(self, name: bytes, sets: dict[int, list[Record]]) -> Iterator[str]:
        """What nobody will see, as it lies at or below a cut, or below a DNAME."""
        above = name
        while above != self._origin:
            above = names.parent(above)
            if above in self._redirected:
                yield f"nobody sees it: it lies below the DNAME at {names.to_text(above)} (RFC 6672 §2.4)"
            elif above in self._cuts and sets.keys() - _ADDRESSES:
                yield f"nobody sees it: {names.to_text(above)} is delegated, only addresses are taken from below"
        hidden = sets.keys() - _AT_CUTS if name in self._cuts else set()
        if hidden:
            yield f"nobody sees {', '.join(map(types.type_text, sorted(hidden)))}: the name is delegated"
