"""What stands in plain answers that are not just records of the name that was asked: aliases before them, or a denial's SOA."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from pycoredns.query import SMALLEST_LIMIT
from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError, read_record
from pycoredns.wire.walk import walk

_HEADER_SIZE = 12
_POINTER, _LABEL = 0xC0, 0x3F
_TO_QUESTION = _POINTER << 8 | _HEADER_SIZE
_ALIAS = types.CNAME.to_bytes(2, "big") + types.IN.to_bytes(2, "big")
_MOST_READ = 2048
_record = Struct("!H4sIH").unpack_from


class Records(NamedTuple):
    """The records of a message, behind its question."""

    first: int
    """Where that one begins that answers, or denies."""
    fixed: int
    """Where the type of the very first stands."""
    end: int
    number: int
    """How many they are."""
    ttl: int
    """The least, in seconds."""
    grown: int
    """Octets that they are longer by where no names are compressed."""
    even: bool
    """Have they all the same TTL?"""


# --- aliases (RFC 1034 §3.6.2), as most servers send them: each of the one before, then what was asked for


def chain_of(message: bytes, start: int, asked: bytes, question: bytes, count: int) -> Records | None:
    """So many records from there on, with owners that are pointers; None where they are any others.

    ``question`` is type and class asked for, of records that hold no names, or of aliases where there are no others. Raises
    struct.error where they are cut off.
    """
    place, owner, length, grown, first = start, _TO_QUESTION, len(asked), 0, 0
    known, ttls = {_HEADER_SIZE: asked}, set()
    for _ in range(count):
        pointer, kind, ttl, size = _record(message, place)
        rdata = place + 12
        place = rdata + size
        grown += length - 2
        if pointer != owner:
            return None
        if kind == _ALIAS and not first:
            try:
                target, behind = names.read(message, rdata, known)
            except names.BadNameError:
                return None
            if behind != place:
                return None
            length = len(target)
            grown += length - size
            owner = message[rdata] << 8 | message[rdata + 1] if size == 2 else _POINTER << 8 | rdata
        elif kind == question:
            first = first or rdata - 12
        else:
            return None
        ttls.add(ttl)
    return Records(first, start + 2, place, count, min(ttls), grown, len(ttls) == 1) if first or question == _ALIAS else None


def dead_end_of(message: bytes, start: int, asked: bytes, aliases: int) -> Records | None:
    """So many aliases from there on, and the SOA record of a denial behind them (RFC 2308 §2.2); None where there are others."""
    chain = chain_of(message, start, asked, _ALIAS, aliases)
    if chain is None or (authority := authority_of(message, chain.end)) is None:
        return None
    ttl, even = min(chain.ttl, authority.ttl), chain.even and chain.ttl == authority.ttl
    return Records(start, chain.fixed, authority.end, aliases + 1, ttl, chain.grown + authority.grown, even)


# --- the SOA record of a denial (RFC 2308 §2), read once for all names that it is sent for

_read: dict[tuple[int, int, bytes], Records | None] = {}
"""By the place from which on all octets are that it depends on, the place of the record, and these octets. Names below the same
zone that are equally long have them in common."""


def authority_of(message: bytes, start: int) -> Records | None:
    """The SOA record that stands there; None where there is another one, or none that could be read and remembered.

    Raises IndexError where there is nothing at all.
    """
    octet = message[start]
    place = (octet & _LABEL) << 8 | message[start + 1] if octet >= _POINTER else start
    key = place, start, message[place:]
    if key in _read:
        return _read[key]
    if not _HEADER_SIZE <= place <= start or len(message) > SMALLEST_LIMIT:
        return None
    if len(_read) >= _MOST_READ:
        _read.clear()
    found = _read[key] = _authority(message, start, place)
    return found


def _authority(message: bytes, start: int, place: int) -> Records | None:
    """The same, read anew, if all of its names stand from ``place`` on."""
    try:
        soa, end = read_record(message, start)
        if soa.rtype != types.SOA:
            return None
        fixed = walk(message, start, 1)[0].fixed
        server = fixed + 10
        _, mailbox = names.read(message, server)
    except (BadMessageError, names.BadNameError):
        return None
    if min(_first_octet(message, name) for name in (start, server, mailbox)) < place:
        return None
    return Records(start, fixed, end, 1, soa.ttl, len(soa.wire()) - (end - start), True)


def _first_octet(message: bytes, place: int) -> int:
    """The first of all octets that the name at a place, which can be read, is made of."""
    first = place
    while length := message[place]:
        if length >= _POINTER:
            place = (length & _LABEL) << 8 | message[place + 1]
            first = min(first, place)
        else:
            place += length + 1
    return first
