"""Type bitmaps of NSEC and NSEC3, and the hashes of NSEC3 (RFC 4034 §4.1.2, RFC 5155)."""

from __future__ import annotations

import hashlib
from base64 import b32hexencode
from collections.abc import Iterable

HASH_SIZE = 20
"""Octets of a SHA-1 hash."""


def type_bitmap(rtypes: Iterable[int]) -> bytes:
    """The types as windows of bits."""
    windows: dict[int, bytearray] = {}
    for rtype in sorted(rtypes):
        bits = windows.setdefault(rtype >> 8, bytearray())
        place = rtype >> 3 & 31
        bits.extend(bytes(place + 1 - len(bits)))
        bits[place] |= 0x80 >> (rtype & 7)
    return b"".join(bytes((window, len(bits))) + bits for window, bits in windows.items())


def nsec3_hash(name: bytes, salt: bytes = b"", iterations: int = 0) -> bytes:
    """The hash of a lower-case wire name (RFC 5155 §5); without salt and iterations, as RFC 9276 §3.1 wants it."""
    digest = hashlib.sha1(name + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt, usedforsecurity=False).digest()
    return digest


def hashed_label(digest: bytes) -> bytes:
    """The first label of an NSEC3's owner, with its length octet (RFC 5155 §3, RFC 4648 §7)."""
    text = b32hexencode(digest).lower()
    return bytes((len(text),)) + text


def shifted(digest: bytes, by: int) -> bytes:
    """The hash so far before or after another, around the circle of all hashes."""
    return ((int.from_bytes(digest, "big") + by) % (1 << 8 * HASH_SIZE)).to_bytes(HASH_SIZE, "big")
