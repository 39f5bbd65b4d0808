"""Proofs that something is not there, made for each question: they cover as little as can be (RFC 4470, RFC 7129 appendix B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, TypeAlias

from pycoredns.dnssec.bitmaps import hashed_label, nsec3_hash, shifted, type_bitmap
from pycoredns.plugins.dnssec.keyring import ZoneKeys
from pycoredns.wire import names, types
from pycoredns.wire.names import LONGEST_LABEL, LONGEST_NAME

NXNAME = 128
"""The type that stands for a name that does not exist (RFC 9824 §2)."""
_LONGEST_PARENT = LONGEST_NAME - 2
"""Octets of a name below which there is room for a label."""
_A, _HINFO, _TXT, _LOC, _CERT, _SSHFP, _TLSA, _HIP, _OPENPGPKEY, _SPF = 1, 13, 16, 29, 37, 44, 52, 55, 61, 99
_CLAIMED = frozenset(
    {_A, _HINFO, _TXT, types.AAAA, _LOC, types.SRV, _CERT, _SSHFP, types.RRSIG, types.NSEC, _TLSA, _HIP, _OPENPGPKEY, _SPF}
)
"""Types that CoreDNS claims of every name."""
_ALSO_AT_APEX = frozenset({types.NS, types.SOA, types.MX, types.DNSKEY})
_ALSO_ELSEWHERE = frozenset({types.PTR, types.MX, 35, 53, 64, 65, 256, 257})
"""What names have besides, and CoreDNS does not claim: NAPTR, SMIMEA, SVCB, HTTPS, URI, CAA. Never CNAME or DNAME, which would
contradict a denial (RFC 6840 §4.3), nor NS, which would say that another zone begins there."""
_HASHING = b"\1\0\0\0\0"  # SHA-1, no flags, no iterations, no salt (RFC 9276 §3.1)


Proof: TypeAlias = tuple[bytes, int, bytes]
"""Owner, type and RDATA of an NSEC or NSEC3 record that is still to be signed."""


class Denial(Protocol):
    """A way to prove that something is not there."""

    says_missing: bool
    """Does the response code say that a name is not there, or only the proof?"""
    shown: dict[int, tuple[bytes, ...]]
    """RDATA that it shows at a zone's apex, by type."""

    refused: frozenset[int]
    """Types that are nothing to be asked for."""

    def missing(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """The name, which is not the zone's apex, is not there."""

    def without(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """The name has no such type."""

    def insecure(self, keys: ZoneKeys, cut: bytes) -> Sequence[Proof]:
        """A zone begins there that has no DS record."""


def _bitmaps(rtypes: frozenset[int]) -> dict[int, bytes]:
    """What a name is said to have, by the type that was asked for: all of these but that; for NSEC, and any other type, all."""
    return {types.NSEC: type_bitmap(rtypes), **{rtype: type_bitmap(rtypes - {rtype}) for rtype in rtypes - {types.NSEC}}}


class Claims:
    """What is said of a zone's apex, with CDS and CDNSKEY or without, and of the names below."""

    def __init__(self, at_apex: frozenset[int], elsewhere: frozenset[int]) -> None:
        """Takes the types of both."""
        self._apex = _bitmaps(at_apex)
        self.elsewhere = _bitmaps(elsewhere)
        """What is said of names below the apex, by the type that was asked for."""
        self._naming_apex = _bitmaps(at_apex | {types.CDS, types.CDNSKEY})

    def lacking(self, keys: ZoneKeys, name: bytes, qtype: int) -> bytes:
        """The bitmap of a name without a type; NSEC itself is there where it is asked for."""
        bitmaps = self.elsewhere if name != keys.origin else self._naming_apex if keys.named else self._apex
        return bitmaps.get(qtype) or bitmaps[types.NSEC]


class BlackLies:
    """One NSEC at the name itself, which says that it is there without the type: CoreDNS's way."""

    says_missing = False
    shown: dict[int, tuple[bytes, ...]]
    refused: frozenset[int] = frozenset()
    _claims: ClassVar[Claims] = Claims(_CLAIMED | _ALSO_AT_APEX, _CLAIMED)
    _cut: ClassVar[bytes] = type_bitmap(_CLAIMED | {types.NS})

    def __init__(self) -> None:
        """Shows nothing."""
        self.shown = {}

    def missing(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """As if the name were there, without the type."""
        bitmap = self._claims.elsewhere.get(qtype) or self._claims.elsewhere[types.NSEC]
        first_below = b"\1\0" + name if len(name) <= _LONGEST_PARENT else successor(name, keys.origin)
        return ((name, types.NSEC, first_below + bitmap),)

    def without(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """Covers nothing but the name."""
        return ((name, types.NSEC, successor(name, keys.origin) + self._claims.lacking(keys, name, qtype)),)

    def insecure(self, keys: ZoneKeys, cut: bytes) -> Sequence[Proof]:
        """Covers the names below the cut too."""
        return ((cut, types.NSEC, _next_sibling(cut, keys.origin) + self._cut),)


class Compact(BlackLies):
    """The same, and NXNAME in the NSEC of a name that is not there (RFC 9824)."""

    refused = frozenset({NXNAME})  # RFC 9824 §3.5
    _claims = Claims(_CLAIMED | _ALSO_AT_APEX | _ALSO_ELSEWHERE, _CLAIMED | _ALSO_ELSEWHERE)
    _cut = type_bitmap({types.NS, types.RRSIG, types.NSEC})
    _missing: ClassVar[bytes] = type_bitmap({types.RRSIG, types.NSEC, NXNAME})

    def missing(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """The only types that it has are those of its proof."""
        return ((name, types.NSEC, successor(name, keys.origin) + self._missing),)


class WhiteLies:
    """NSEC3 records that match or cover one hash each (RFC 5155 §7.2, RFC 7129 appendix B)."""

    says_missing = True
    shown: dict[int, tuple[bytes, ...]]
    refused: frozenset[int] = frozenset()
    _claims: ClassVar[Claims] = Claims(
        (_CLAIMED | _ALSO_AT_APEX | _ALSO_ELSEWHERE | {types.NSEC3PARAM}) - {types.NSEC},
        (_CLAIMED | _ALSO_ELSEWHERE) - {types.NSEC},
    )
    _cut: ClassVar[bytes] = type_bitmap({types.NS})

    def __init__(self) -> None:
        """Shows how it hashes."""
        self.shown = {types.NSEC3PARAM: (_HASHING,)}

    def missing(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """The parent is there, the name is not, and no wildcard in its place (RFC 5155 §7.2.2).

        To say that the parent is there denies nothing of the other names, which an earlier ancestor would.
        """
        parent = names.parent(name)
        encloser = _matching(keys, parent, self._claims.lacking(keys, parent, types.NSEC))
        wildcard = b"\1*" + parent
        return (encloser, _covering(keys, name)) + ((_covering(keys, wildcard),) if wildcard != name else ())

    def without(self, keys: ZoneKeys, name: bytes, qtype: int) -> Sequence[Proof]:
        """RFC 5155 §7.2.3."""
        return (_matching(keys, name, self._claims.lacking(keys, name, qtype)),)

    def insecure(self, keys: ZoneKeys, cut: bytes) -> Sequence[Proof]:
        """RFC 5155 §7.2.7."""
        return (_matching(keys, cut, self._cut),)


def _matching(keys: ZoneKeys, name: bytes, bitmap: bytes) -> Proof:
    """The NSEC3 of a name that is there."""
    digest = nsec3_hash(name)
    return _nsec3(keys, digest, shifted(digest, 1), bitmap)


def _covering(keys: ZoneKeys, name: bytes) -> Proof:
    """An NSEC3 that leaves room for no hash but that of a name which is not there."""
    digest = nsec3_hash(name)
    return _nsec3(keys, shifted(digest, -1), shifted(digest, 1), b"")


def _nsec3(keys: ZoneKeys, digest: bytes, following: bytes, bitmap: bytes) -> Proof:
    rdata = b"%b%b%b%b" % (_HASHING, bytes((len(following),)), following, bitmap)
    return hashed_label(digest) + keys.origin, types.NSEC3, rdata


def successor(name: bytes, origin: bytes) -> bytes:
    """The next name in canonical order: the first below it, or beside it where there is no room below (RFC 4471 §3.1)."""
    if len(name) <= _LONGEST_PARENT:
        return b"\1\0" + name
    return _next_sibling(name, origin)


def _next_sibling(name: bytes, origin: bytes) -> bytes:
    """The next name that is not below it; behind the last of a zone comes its apex."""
    if name == origin:
        return origin
    label, rest = name[1 : name[0] + 1], name[name[0] + 1 :]
    if len(name) < LONGEST_NAME and len(label) < LONGEST_LABEL:
        label += b"\0"
    else:
        label = label.rstrip(b"\xff")
        if not label:
            return _next_sibling(rest, origin)
        last = label[-1] + 1
        label = label[:-1] + bytes((0x5B if last == 0x41 else last,))  # there are no upper-case letters in canonical names
    return bytes((len(label),)) + label + rest


WAYS: dict[str, type[BlackLies] | type[WhiteLies]] = {"nsec": BlackLies, "nsec3": WhiteLies, "compact": Compact}
"""The ways to deny, by their words in a Corefile."""
