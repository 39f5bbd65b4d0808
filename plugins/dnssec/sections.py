"""Whole sections of an answer: their sets of records, and the signatures that go with them (RFC 4035 §3.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from struct import Struct
from time import time
from typing import NamedTuple, TypeAlias

from pycoredns.dnssec.canonical import HOLD_NAMES, lower_names
from pycoredns.dnssec.signing import canonical_set
from pycoredns.listener import STREAM_LIMIT
from pycoredns.plugins.dnssec.denial import Proof
from pycoredns.plugins.dnssec.keyring import ZoneKeys
from pycoredns.plugins.dnssec.signatures import ORIGINAL_TTL, Signatures, Signed, Tally
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.walk import walk

FindKeys: TypeAlias = Callable[[bytes, int], ZoneKeys | None]
"""The keys for a name and a type; None outside of the zones that are signed."""
_FIXED = {types.NSEC: b"\0\x2f\0\1", types.NSEC3: b"\0\x32\0\1"}
_RRSIG = b"\0\x2e\0\1"
"""Type and class of records, in wire form."""
_size = Struct("!H").pack
_join = b"".join  # takes two thirds of the instructions that formatting by % does
_MOST_REMEMBERED = 256
_SIGNER = 18  # octets before the signer's name in an RRSIG's RDATA
_TAG = slice(16, 18)
_AT_FIRST = len(Response().__dict__)
"""How many attributes of its own an answer has of which no more is said than its records."""


class Section(NamedTuple):
    """Records in wire form."""

    octets: bytes = b""
    number: int = 0
    until: float = inf
    """Until when its signatures are given, in seconds since 1970."""
    sets: int = 0
    """How many sets are signed in it."""
    cut: bool = False
    """Are there sets left that are not signed, as nobody would see it?"""


NOTHING = Section()


class Authority:
    """An authority section that is the same for many questions."""

    __slots__ = ("count", "octets", "rtypes", "signed", "ttl")

    def __init__(self, octets: bytes, count: int) -> None:
        """Nobody has asked for its signatures so far."""
        found = walk(octets, 0, count)
        self.octets, self.count = octets, count
        self.rtypes = tuple([each.rtype for each in found])
        self.ttl = octets[found[0].fixed + 4 : found[0].fixed + 8] if found else bytes(4)
        """The TTL of its first record, in wire form."""
        self.signed: Section | None = None


class Signer:
    """Signs sections. Authority sections, which are the same for many questions, are remembered by their octets."""

    def __init__(self, signatures: Signatures, find_keys: FindKeys) -> None:
        """``find_keys`` tells who signs what."""
        self.signatures = signatures
        self._find_keys = find_keys
        self._authorities: dict[bytes, Authority] = {}

    def forget(self) -> None:
        """Drops what is remembered: the keys have changed."""
        self._authorities.clear()

    def authority(self, octets: bytes, count: int) -> Authority:
        """What is in an authority section."""
        known = self._authorities.get(octets)
        if known is None:
            if len(self._authorities) >= _MOST_REMEMBERED:
                self._authorities.clear()
            self._authorities[octets] = known = Authority(octets, count)
        return known

    def signed_authority(self, authority: Authority, tally: Tally, room: int = STREAM_LIMIT) -> Section:
        """An authority section with its signatures; for ``room`` see ``signed``."""
        known = authority.signed
        if known is not None and time() < known.until:
            tally.hits.value += known.sets
            return known
        known = self.signed(authority.octets, authority.count, tally, room=room)
        if not known.cut:
            authority.signed = known
        return known

    def signed(self, octets: bytes, count: int, tally: Tally, only: int = 0, room: int = STREAM_LIMIT) -> Section:
        """A section with signatures behind its records; ``only`` for sets of that type.

        Where signatures take more than ``room``, octets that the message may have, no more are made: it will be cut before them.
        There may be thousands of sets, at 100 µs each.
        """
        if not count:
            return NOTHING
        number, until, sets = count, inf, 0
        for (owner, rtype), (shown, ttl, rdatas) in self._sets(octets, count).items():
            keys = self._find_keys(owner, rtype) if not only or rtype == only else None
            if keys is None:
                continue
            if room < 0:
                return Section(octets, number, until, sets, cut=True)
            signed_as = max(ttl, ORIGINAL_TTL)
            data = canonical_set(owner, rtype, int.from_bytes(signed_as, "big"), rdatas)
            signed = self.signatures.over(keys, owner, rtype, signed_as, data, tally)
            octets = _rrsigs(octets, shown, ttl, signed)
            number += len(signed[1])
            until = min(until, signed[0])
            sets += 1
            room -= sum(map(len, signed[1]))
        return Section(octets, number, until, sets)

    def signed_answer(self, request: Request, keys: ZoneKeys, response: Response, tally: Tally) -> Response:
        """The usual answer, one record of the very name and type that were asked for, by slices: 4 µs less than by sets.

        It begins with the name as it was asked, type and class.
        """
        name, tail, octets = request.name, request.tail, response.answer
        place = len(name) + 4
        ttl, sized = octets[place : place + 4], octets[place + 4 :]
        if tail.qtype in HOLD_NAMES:
            sized = sized[:2] + lower_names(tail.qtype, sized[2:])
        signed_as = max(ttl, ORIGINAL_TTL)
        data = _join((name, tail.question, signed_as, sized))
        until, made = self.signatures.over(keys, name, tail.qtype, signed_as, data, tally)
        octets = (request.asked + _RRSIG + ttl).join([octets, *made])
        return self.remade(response, response.rcode, octets, 1 + len(made), b"", 0, b"", 0, until, 1, tally)

    def remade(
        self,
        response: Response,
        rcode: int,
        answer: bytes,
        answers: int,
        authority: bytes,
        authorities: int,
        additional: bytes,
        additionals: int,
        until: float,
        sets: int,
        tally: Tally,
    ) -> Response:
        """An answer with other sections, in which so many sets are signed; it is given again no longer than their signatures."""
        said = response.__dict__
        if len(said) - ("until" in said) == _AT_FIRST:  # 3,500 instructions, `alike` takes 9,000
            made = Response(rcode, answer, answers, authority, authorities, additional, additionals, response.flags)
            made.opt = response.opt
            made.repeated = tally.once if sets == 1 else partial(tally.repeated, sets, None)
        else:
            made = response.alike(
                rcode=rcode,
                answer=answer,
                answers=answers,
                authority=authority,
                authorities=authorities,
                additional=additional,
                additionals=additionals,
                repeated=partial(tally.repeated, sets, response.repeated),
            )
        until += self.signatures.ahead
        made.until = until if until < response.until else response.until
        return made

    def _sets(self, octets: bytes, count: int) -> dict[tuple[bytes, int], tuple[bytes, bytes, list[bytes]]]:
        """The sets without signatures, by owner and type: owner and first TTL as they are written, canonical RDATA."""
        sets: dict[tuple[bytes, int], tuple[bytes, bytes, list[bytes]]] = {}
        done: list[tuple[bytes, int]] = []
        for start, fixed, end, rtype, _ in walk(octets, 0, count):
            shown, ttl, rdata = octets[start:fixed], octets[fixed + 4 : fixed + 8], octets[fixed + 10 : end]
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
        self, proofs: Iterable[Proof], keys: ZoneKeys, shown: bytes, ttl: bytes, tally: Tally, behind: Section = NOTHING
    ) -> Section:
        """The records of a denial with their signatures, behind other records.

        ``shown`` is the name as it was asked, for the owner that is that name.
        """
        octets, number, until, sets, _ = behind
        name, signed_as = shown.lower(), max(ttl, ORIGINAL_TTL)
        for owner, rtype, rdata in proofs:
            fixed, size = _FIXED[rtype], _size(len(rdata))
            data = _join((owner, fixed, signed_as, size, rdata))
            given, made = self.signatures.over(keys, owner, rtype, signed_as, data, tally)
            if owner == name:
                owner = shown
            record = _join((octets, owner, fixed, ttl, size, rdata))
            octets = (owner + _RRSIG + ttl).join([record, *made])
            number += 1 + len(made)
            if given < until:
                until = given
            sets += 1
        return Section(octets, number, until, sets)


def _rrsigs(octets: bytes, owner: bytes, ttl: bytes, signed: Signed) -> bytes:
    """Records with signatures behind them."""
    return (owner + _RRSIG + ttl).join([octets, *signed[1]])


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
