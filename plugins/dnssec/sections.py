"""Whole sections of an answer: their sets of records, and the signatures that go with them (RFC 4035 §3.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from time import time
from typing import NamedTuple, TypeAlias

from pycoredns.dnssec.canonical import lower_names
from pycoredns.dnssec.signing import canonical_set
from pycoredns.plugins.dnssec.denial import Proof
from pycoredns.plugins.dnssec.keyring import ZoneKeys
from pycoredns.plugins.dnssec.signatures import Signatures, Tally, signed_ttl
from pycoredns.wire import names, types
from pycoredns.wire.message import RECORD
from pycoredns.wire.walk import walk

FindKeys: TypeAlias = Callable[[bytes, int], ZoneKeys | None]
"""The keys for a name and a type; None outside of the zones that are signed."""
_pack = RECORD.pack
_MOST_REMEMBERED = 256
_NEVER_SIGNED = (types.RRSIG, types.OPT)
_SIGNER = 18  # octets before the signer's name in an RRSIG's RDATA
_TAG = slice(16, 18)


class Section(NamedTuple):
    """Records in wire form."""

    octets: bytes = b""
    number: int = 0
    until: float = inf
    """Until when its signatures are given, in seconds since 1970."""
    sets: int = 0
    """How many sets are signed in it."""


NOTHING = Section()


class Contents(NamedTuple):
    """What is in a section."""

    rtypes: tuple[int, ...] = ()
    ttl: int = 0
    """The TTL of its first record, in seconds."""


class Signer:
    """Signs sections. Authority sections, which are the same for many questions, are remembered by their octets."""

    def __init__(self, signatures: Signatures, find_keys: FindKeys) -> None:
        """``find_keys`` tells who signs what."""
        self.signatures = signatures
        self._find_keys = find_keys
        self._contents: dict[bytes, Contents] = {}
        self._signed: dict[bytes, Section] = {}

    def forget(self) -> None:
        """Drops what is remembered: the keys have changed."""
        self._signed.clear()

    def contents(self, octets: bytes, count: int) -> Contents:
        """What is in an authority section."""
        known = self._contents.get(octets)
        if known is None:
            if len(self._contents) >= _MOST_REMEMBERED:
                self._contents.clear()
            found = walk(octets, 0, count)
            known = Contents(tuple([each.rtype for each in found]), found[0].ttl if found else 0)
            self._contents[octets] = known
        return known

    def authority(self, octets: bytes, count: int, tally: Tally) -> Section:
        """An authority section with its signatures."""
        if not count:
            return NOTHING
        known = self._signed.get(octets)
        if known is not None and time() < known.until:
            tally.hits.value += known.sets
            return known
        if len(self._signed) >= _MOST_REMEMBERED:
            self._signed.clear()
        self._signed[octets] = known = self.signed(octets, count, tally)
        return known

    def signed(self, octets: bytes, count: int, tally: Tally, only: int = 0) -> Section:
        """A section with signatures behind its records; ``only`` for sets of that type."""
        if not count:
            return NOTHING
        if count == 1 and not only:
            return self._signed_record(octets, tally)
        made, number, until, sets = [octets], count, inf, 0
        for (owner, rtype), (shown, ttl, rdatas) in self._sets(octets, count).items():
            keys = self._find_keys(owner, rtype) if not only or rtype == only else None
            if keys is None:
                continue
            signed_as = signed_ttl(ttl)
            data = canonical_set(owner, rtype, signed_as, rdatas)
            signed = self.signatures.over(keys, owner, rtype, signed_as, data, tally)
            made += [_rrsig(shown, ttl, rdata) for rdata in signed.rdatas]
            number += len(signed.rdatas)
            until = min(until, signed.until)
            sets += 1
        return Section(b"".join(made), number, until, sets)

    def _signed_record(self, octets: bytes, tally: Tally) -> Section:
        """The usual section of one record: 2 µs less than by the way of sets."""
        ((_, fixed, end, rtype, ttl),) = walk(octets, 0, 1)
        shown = octets[:fixed]
        owner = shown.lower()
        keys = self._find_keys(owner, rtype)
        if keys is None or rtype in _NEVER_SIGNED:
            return Section(octets, 1)
        rdata, signed_as = lower_names(rtype, octets[fixed + 10 : end]), signed_ttl(ttl)
        data = b"%b%b%b" % (owner, _pack(rtype, types.IN, signed_as, len(rdata)), rdata)
        signed = self.signatures.over(keys, owner, rtype, signed_as, data, tally)
        made = [octets, *[_rrsig(shown, ttl, each) for each in signed.rdatas]]
        return Section(b"".join(made), len(made), signed.until, 1)

    def _sets(self, octets: bytes, count: int) -> dict[tuple[bytes, int], tuple[bytes, int, list[bytes]]]:
        """The sets without signatures, by owner and type: the owner as it is written, the first TTL, canonical RDATA."""
        sets: dict[tuple[bytes, int], tuple[bytes, int, list[bytes]]] = {}
        done: list[tuple[bytes, int]] = []
        for start, fixed, end, rtype, ttl in walk(octets, 0, count):
            shown, rdata = octets[start:fixed], octets[fixed + 10 : end]
            owner = shown.lower()
            if rtype == types.RRSIG:
                if self._stands(owner, rdata):
                    done.append((owner, int.from_bytes(rdata[:2], "big")))
            elif rtype != types.OPT:
                sets.setdefault((owner, rtype), (shown, ttl, []))[2].append(lower_names(rtype, rdata))
        for each in done:
            sets.pop(each, None)
        return sets

    def _stands(self, owner: bytes, rdata: bytes) -> bool:
        """Is a signature that came with an answer one of a zone below, or of a key that this zone shows?"""
        keys = self._find_keys(owner, int.from_bytes(rdata[:2], "big"))
        if keys is None or len(rdata) <= _SIGNER:  # RDATA of no octets is let through by whoever reads messages
            return keys is None
        signer = names.read(rdata, _SIGNER)[0].lower()
        if signer == keys.origin:
            return int.from_bytes(rdata[_TAG], "big") in keys.tags
        return names.within(signer, keys.origin)

    def proven(
        self, proofs: Iterable[Proof], keys: ZoneKeys, shown: bytes, ttl: int, tally: Tally, behind: Section = NOTHING
    ) -> Section:
        """The records of a denial with their signatures, behind other records.

        ``shown`` is the name as it was asked, for the owner that is that name.
        """
        octets, number, until, sets = behind
        made = [octets]
        name, signed_as = shown.lower(), signed_ttl(ttl)
        for owner, rtype, rdata in proofs:
            size = len(rdata)
            data = b"%b%b%b" % (owner, _pack(rtype, types.IN, signed_as, size), rdata)
            signed = self.signatures.over(keys, owner, rtype, signed_as, data, tally)
            if owner == name:
                owner = shown
            made.append(b"%b%b%b" % (owner, _pack(rtype, types.IN, ttl, size), rdata))
            made += [_rrsig(owner, ttl, each) for each in signed.rdatas]
            number += 1 + len(signed.rdatas)
            if signed.until < until:
                until = signed.until
            sets += 1
        return Section(b"".join(made), number, until, sets)


def _rrsig(owner: bytes, ttl: int, rdata: bytes) -> bytes:
    return b"%b%b%b" % (owner, _pack(types.RRSIG, types.IN, ttl, len(rdata)), rdata)


def end_of_aliases(name: bytes, octets: bytes, count: int) -> bytes | None:
    """Where an answer's aliases lead from a name; None without any, or if the answer has records of that end. In lower case."""
    owners, targets = set(), {}
    for start, fixed, end, rtype, _ in walk(octets, 0, count):
        owner = octets[start:fixed].lower()
        if rtype == types.CNAME:
            targets[owner] = octets[fixed + 10 : end].lower()
        elif rtype != types.RRSIG:
            owners.add(owner)
    if name not in targets:
        return None
    for _ in range(len(targets)):
        name = targets.get(name, name)
    return None if name in owners or name in targets else name
