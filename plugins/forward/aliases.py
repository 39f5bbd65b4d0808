"""Answers behind aliases (RFC 1034 §3.6.2) as most servers send them: each alias of the one before, then what was asked for."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from pycoredns.wire import names, types

_ALIAS = types.CNAME.to_bytes(2, "big") + types.IN.to_bytes(2, "big")
_POINTER = 0xC000
_record = Struct("!H4sIH").unpack_from


class Chain(NamedTuple):
    """Such records."""

    end: int
    ttl: int
    """The least, in seconds."""
    grown: int
    """Octets that they are longer by where no names are compressed."""
    even: bool
    """Have they all the same TTL?"""


def chain_of(message: bytes, start: int, asked: bytes, question: bytes, count: int) -> Chain | None:
    """So many records from there on, with owners that are pointers; None where they are any others.

    ``question`` is type and class asked for, of records that hold no names. Raises struct.error where they are cut off.
    """
    place, owner, length, grown, answered = start, _POINTER | 12, len(asked), 0, False
    known, ttls = {12: asked}, set()
    for _ in range(count):
        pointer, kind, ttl, size = _record(message, place)
        rdata = place + 12
        place = rdata + size
        grown += length - 2
        if pointer != owner:
            return None
        if kind == question:
            answered = True
        elif kind == _ALIAS and not answered:
            try:
                target, behind = names.read(message, rdata, known)
            except names.BadNameError:
                return None
            if behind != place:
                return None
            length = len(target)
            grown += length - size
            owner = message[rdata] << 8 | message[rdata + 1] if size == 2 else _POINTER | rdata
        else:
            return None
        ttls.add(ttl)
    return Chain(place, min(ttls), grown, len(ttls) == 1) if answered else None
