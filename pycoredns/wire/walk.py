"""Going through the records of a message without taking them apart: where each begins, its type and TTL, where it ends."""

import struct
from struct import Struct
from typing import NamedTuple

from pycoredns.wire.message import BadMessageError

_POINTER = 0xC0
_fixed = Struct("!HHIH").unpack_from
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


def with_ttl(wire: bytes, found: list[Found], ttl: int) -> bytes:
    """The same records with one TTL in seconds, save OPT records, whose TTL is none."""
    changed, packed = bytearray(wire), _TTL.pack(ttl)
    for each in found:
        if each.rtype != 41:
            changed[each.fixed + 4 : each.fixed + 8] = packed
    return bytes(changed)
