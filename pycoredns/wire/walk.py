"""Going through the records of a message without taking them apart: where each begins, its type and TTL, where it ends."""

import struct
from struct import Struct
from typing import NamedTuple

from pycoredns.wire import types
from pycoredns.wire.message import BadMessageError

_POINTER = 0xC0
_USUAL = frozenset(b"\xc0\x0c" + rtype.to_bytes(2, "big") for rtype in (types.A, types.AAAA, types.TXT))
"""How records begin that belong to the name that was asked, and hold no names."""
_ADDRESSES = frozenset(rtype.to_bytes(2, "big") + types.IN.to_bytes(2, "big") for rtype in (types.A, types.AAAA))
_fixed = Struct("!HHIH").unpack_from
_beginning = Struct("!4s6xH").unpack_from
_TTL = Struct("!I")
_new = tuple.__new__  # each record of a relayed answer is made so: 0.2 µs less than by the class


class Found(NamedTuple):
    """A record's place in a message.

    Its owner is ``[start:fixed]``, its TTL ``[fixed + 4:fixed + 8]``, its RDATA ``[fixed + 10:end]``.
    """

    start: int
    fixed: int
    end: int
    rtype: int
    ttl: int


def walk(wire: bytes, place: int, count: int) -> list[Found]:
    """So many records from a place on, compressed or not; raises BadMessageError where they are cut off."""
    found = []
    try:
        for _ in range(count):
            start = place
            while 0 < (length := wire[place]) < _POINTER:
                place += length + 1
            place += 2 if length else 1
            rtype, _, ttl, size = _fixed(wire, place)
            end = place + 10 + size
            found.append(_new(Found, (start, place, end, rtype, ttl)))
            place = end
    except (IndexError, struct.error):
        raise BadMessageError("record is cut off") from None
    if place > len(wire):
        raise BadMessageError("record is cut off")
    return found


def end_of_usual(wire: bytes, place: int, count: int) -> int:
    """Where so many records end if all belong to the name that was asked and hold no names; 0 for others, or if they are cut off.

    It takes half the bytecodes of finding where each of them begins.
    """
    try:
        for _ in range(count):
            beginning, size = _beginning(wire, place)
            if beginning not in _USUAL:
                return 0
            place += 12 + size
    except struct.error:
        return 0
    return place if place <= len(wire) else 0


def is_run_of_addresses(wire: bytes, start: int, end: int) -> bool:
    """Are the records there addresses, with owners of two octets, that differ in nothing but these?"""
    beginning, size = wire[start : start + 12], 12 + (wire[start + 10] << 8 | wire[start + 11])
    return beginning[2:6] in _ADDRESSES and all(wire.startswith(beginning, place) for place in range(start, end, size))


def with_one_ttl(wire: bytes, fixed: int, count: int, ttl: int) -> bytes:
    """A message with another TTL in seconds; the type of its first record stands at ``fixed``, others are usual ones."""
    if count > 1:
        return with_ttl(wire, walk(wire, fixed - 2, count), ttl)
    return b"%b%b%b" % (wire[: fixed + 4], _TTL.pack(ttl), wire[fixed + 8 :])


def with_ttl(wire: bytes, found: list[Found], ttl: int) -> bytes:
    """The same records with one TTL in seconds, save OPT records, whose TTL is none."""
    changed, packed = bytearray(wire), _TTL.pack(ttl)
    for each in found:
        if each.rtype != 41:
            changed[each.fixed + 4 : each.fixed + 8] = packed
    return bytes(changed)
