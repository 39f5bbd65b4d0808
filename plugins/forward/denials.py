"""What denials end with, their zone's SOA record (RFC 2308 §2): read once for all names that it is sent for."""

from __future__ import annotations

from typing import NamedTuple

from pycoredns.request import SMALLEST_LIMIT
from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError, read_record
from pycoredns.wire.walk import walk

_HEADER_SIZE = 12
_POINTER = 0xC0
_MOST_READ = 2048


class Authority(NamedTuple):
    """A SOA record in a message."""

    fixed: int
    """Where its type stands."""
    end: int
    ttl: int
    """In seconds."""
    grown: int
    """Octets that it is longer by where no names are compressed."""


_read: dict[tuple[int, int, bytes], Authority | None] = {}
"""By the place from which on all octets are that it depends on, the place of the record, and these octets. Names below the same
zone that are equally long have them in common."""


def authority_of(message: bytes, start: int) -> Authority | None:
    """The SOA record that stands there; None where there is another one, or none that could be read and remembered."""
    first = message[start]
    place = (first & ~_POINTER) << 8 | message[start + 1] if first >= _POINTER else start
    key = place, start, message[place:]
    if key in _read:
        return _read[key]
    if not _HEADER_SIZE <= place <= start or len(message) > SMALLEST_LIMIT:
        return None
    if len(_read) >= _MOST_READ:
        _read.clear()
    found = _read[key] = _authority(message, start, place)
    return found


def _authority(message: bytes, start: int, place: int) -> Authority | None:
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
    return Authority(fixed, end, soa.ttl, len(soa.wire()) - (end - start))


def _first_octet(message: bytes, place: int) -> int:
    """The first of all octets that the name at a place, which can be read, is made of."""
    first = place
    while length := message[place]:
        if length >= _POINTER:
            place = (length & ~_POINTER) << 8 | message[place + 1]
            first = min(first, place)
        else:
            place += length + 1
    return first
