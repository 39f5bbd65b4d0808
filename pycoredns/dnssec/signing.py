"""Signatures over record sets, in wire form (RFC 4034 §3 and §6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from struct import Struct

from pycoredns.dnssec.canonical import lower_names
from pycoredns.dnssec.keys import Key
from pycoredns.wire import types
from pycoredns.wire.message import Record

_NUMBERS = Struct("!HBBIIIH")
_FIXED = Struct("!HHI")
_SIZE = Struct("!H")


def rrsig(key: Key, owner: bytes, rtype: int, ttl: int, rdatas: Iterable[bytes], inception: int, expiration: int) -> Record:
    """The RRSIG over a record set of class IN: its owner, type, original TTL in seconds and all its RDATA, in any order and case.

    The signature holds from ``inception`` to ``expiration``, in seconds since 1970. A wildcard's set is signed under its own
    name, ``*.`` and so on.
    """
    lowered = owner.lower()
    signed = canonical_set(lowered, rtype, ttl, [lower_names(rtype, rdata) for rdata in rdatas])
    rdata = signature(key, rtype, label_count(lowered), ttl, signed, inception, expiration)
    return Record(owner, types.RRSIG, types.IN, ttl, rdata)


def signature(key: Key, rtype: int, labels: int, ttl: int, signed: bytes, inception: int, expiration: int) -> bytes:
    """The RDATA of an RRSIG over a canonical set, whose owner has so many labels (RFC 4034 §3.1)."""
    begun = beginning(key, rtype, labels, ttl, inception, expiration)
    return begun + key.signer.sign(begun + signed)


def beginning(key: Key, rtype: int, labels: int, ttl: int, inception: int, expiration: int) -> bytes:
    """All of an RRSIG's RDATA that stands before the signature, and is signed too."""
    times = expiration & 0xFFFFFFFF, inception & 0xFFFFFFFF
    return _NUMBERS.pack(rtype, key.algorithm, labels, ttl, *times, key.tag) + key.zone


def canonical_set(owner: bytes, rtype: int, ttl: int, rdatas: Collection[bytes]) -> bytes:
    """The records as they are signed: in the order of their RDATA, none twice; all names are lower-case (RFC 4034 §6)."""
    head = owner + _FIXED.pack(rtype, types.IN, ttl)
    if len(rdatas) == 1:
        (rdata,) = rdatas
        return b"%b%b%b" % (head, _SIZE.pack(len(rdata)), rdata)
    return b"".join([b"%b%b%b" % (head, _SIZE.pack(len(rdata)), rdata) for rdata in sorted(set(rdatas))])


def label_count(owner: bytes) -> int:
    """The labels field of an RRSIG: neither the root nor a leading ``*`` counts (RFC 4034 §3.1.3)."""
    place, count = 0, 0
    while length := owner[place]:
        place += length + 1
        count += 1
    return count - 1 if owner.startswith(b"\1*") else count
