"""A zone's records with what DNSSEC adds: keys, signatures and the chain of NSEC records (RFC 4034, RFC 4035 §2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from pycoredns.dnssec.bitmaps import type_bitmap
from pycoredns.dnssec.canonical import lower_names
from pycoredns.dnssec.keys import SHA256, Key
from pycoredns.dnssec.signing import rrsig
from pycoredns.wire import types
from pycoredns.wire.message import RECORD, Record
from pycoredns.zone.denial import canonical
from pycoredns.zone.packed import Node, bodies, sets_of
from pycoredns.zone.zone import Zone

_ZONEMD = 63
OURS = frozenset({types.DNSKEY, types.CDS, types.CDNSKEY, types.RRSIG, types.NSEC, types.NSEC3, types.NSEC3PARAM, _ZONEMD})
"""Types of which those in the zone file are left out: they are made here, or would no longer be true."""
_SIGNED_AT_CUTS = frozenset({types.DS, types.NSEC})
_SHA1 = 1


class Lifetime(NamedTuple):
    """From when until when signatures hold, in seconds since 1970."""

    inception: int
    expiration: int


class Set(NamedTuple):
    """The records of one type at one name, with the TTL that all of them get."""

    rtype: int
    ttl: int
    rdatas: tuple[bytes, ...]


class SignedZone:
    """Makes the records of a signed zone, one name after the other."""

    def __init__(self, zone: Zone, keys: Sequence[Key], serial: int, lifetime: Lifetime) -> None:
        """``keys`` are those of the zone; all of them sign everything."""
        soa = zone.soa()
        self.serial = serial
        self._zone, self._keys, self._lifetime = zone, keys, lifetime
        self._soa = soa._replace(rdata=soa.rdata[:-20] + serial.to_bytes(4, "big") + soa.rdata[-16:])
        self._denial_ttl = min(soa.ttl, int.from_bytes(soa.rdata[-4:], "big"))  # RFC 9077 §3.2
        with_authority = [name for name, node in zone.nodes.items() if next(_sets(node, name), None)]
        self._names = sorted(chain(with_authority, zone.cuts), key=canonical)

    def records(self) -> Iterator[Record]:
        """All of them, SOA first, names in canonical order (RFC 4034 §6.1), then what lies below delegations, unsigned."""
        following = chain(self._names[1:], self._names[:1])
        for name, next_name in zip(self._names, following, strict=True):
            yield from self._name(name, next_name)
        for name in sorted(self._zone.hidden, key=canonical):
            for each in _sets(self._zone.hidden[name], name):
                yield from _records(name, each)

    def _name(self, name: bytes, next_name: bytes) -> Iterator[Record]:
        """The sets of a name, each with its signatures, and its NSEC record (RFC 4035 §2.3)."""
        zone, cut = self._zone, name in self._zone.cuts
        sets = self._apex() if name == zone.origin else list(_sets((zone.cuts if cut else zone.nodes)[name], name))
        types_here = [each.rtype for each in sets if not cut or each.rtype in (types.NS, types.DS)]
        present = (*types_here, types.RRSIG, types.NSEC)
        sets.append(Set(types.NSEC, self._denial_ttl, (next_name + type_bitmap(present),)))
        for each in sets:
            yield from _records(name, each)
            if not cut or each.rtype in _SIGNED_AT_CUTS:
                for key in self._keys:
                    yield rrsig(key, name, each.rtype, each.ttl, each.rdatas, *self._lifetime)

    def _apex(self) -> list[Set]:
        """The sets of the zone's own name, SOA first, with its keys and what tells the parent of them (RFC 7344)."""
        origin, ttl = self._zone.origin, self._soa.ttl
        sets = [each for each in _sets(self._zone.nodes[origin], origin) if each.rtype != types.SOA]
        keys = tuple(key.rdata for key in self._keys)
        delegations = tuple(rdata for key in self._keys for rdata in (_sha1(key), key.ds(SHA256).rdata))
        return [
            Set(types.SOA, ttl, (self._soa.rdata,)),
            *sets,
            Set(types.DNSKEY, ttl, keys),
            Set(types.CDS, ttl, delegations),
            Set(types.CDNSKEY, ttl, keys),
        ]


def _sha1(key: Key) -> bytes:
    """The RDATA of a CDS with SHA-1, which CoreDNS gives too."""
    digest = hashlib.sha1(key.zone + key.rdata, usedforsecurity=False).digest()
    return key.tag.to_bytes(2, "big") + bytes((key.algorithm, _SHA1)) + digest


def _sets(node: Node, name: bytes) -> Iterator[Set]:
    """A name's sets, without those that are made here; each record once, all with the smallest TTL (RFC 2181 §5)."""
    for packed in sets_of(node):
        rtype = int.from_bytes(packed[:2], "big")
        found = list(bodies(packed, name))
        if found and rtype not in OURS:
            ttl = min(RECORD.unpack_from(body)[2] for body in found)
            different = {lower_names(rtype, body[RECORD.size :]): body[RECORD.size :] for body in found}  # RFC 4034 §6.3
            yield Set(rtype, ttl, tuple(different.values()))


def _records(name: bytes, records: Set) -> Iterator[Record]:
    return (Record(name, records.rtype, types.IN, records.ttl, rdata) for rdata in records.rdatas)
