"""Questions as upstreams get them, and what upstreams send back, which may be anything."""

from __future__ import annotations

from collections.abc import Container
from itertools import filterfalse
from os import urandom
from struct import Struct

from pycoredns.errors import ServerFailure
from pycoredns.query import AA, AD, RA, TC
from pycoredns.relayed import Relayed, head_of
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types
from pycoredns.wire.message import BadMessageError

_FLAGS = AA | TC | RA | AD
ONE_QUESTION = b"\0\1"
_NOTHING = bytes(6)
_BARE_ERRORS = (types.FORMERR, types.SERVFAIL, types.NOTIMP, types.REFUSED)
_IDS = 4096


def behind_id(request: Request) -> bytes:
    """A question's message behind its ID, with AD where that is wanted, without octets that belong to no record."""
    wire, header, tail = request.wire, request.header, request.tail
    end = len(request.asked) + tail.beside if header.plain and header.additionals == tail.edns else None
    return header.with_ad + wire[12:end] if request.authentic else wire[2:end]


def is_bare_error(reply: bytes) -> bool:
    """Is a message an error without the question? Servers that could not read it may send that.

    Codes that say something of the name, such as NXDOMAIN, are no such error: they are worth forging (RFC 5452 §9.1).
    """
    return len(reply) >= 12 and reply[2] >= 0x80 and reply[3] & 15 in _BARE_ERRORS and reply[4:10] == _NOTHING


def read_answer(reply: bytes, asked: bytes, limit: int) -> Response:
    """An upstream's answer, empty and truncated where it is above ``limit`` octets, or says that it was cut and ends in a record.

    Raises BadMessageError or ServerFailure.
    """
    if len(reply) > limit:
        return _cut(reply)
    if reply[4:6] != ONE_QUESTION:
        return Response(reply[3] & 15, flags=(reply[2] << 8 | reply[3]) & _FLAGS)
    try:
        answer = Relayed.read(reply, asked)
        if answer.__class__ is Relayed and not answer.simple:
            answer.plain()  # follows all names now: nobody behind meets a broken one
    except (BadMessageError, ServerFailure):
        if reply[2] << 8 & TC:
            return _cut(reply)
        raise
    return answer


def _cut(reply: bytes) -> Response:
    """What is left of an answer that was cut: its header. So the client asks again over TCP (RFC 2181 §9)."""
    head = head_of(reply)
    answer = Response(head.rcode, flags=head.flags | TC)
    answer.withheld = head.withheld
    return answer


_split = Struct("2s" * _IDS).unpack
_left: list[bytes] = []


def new_ids(taken: Container[bytes], count: int) -> list[bytes]:
    """So many IDs of two octets that are not among those ``taken``; they cannot be guessed (RFC 5452 §9.2)."""
    numbers: dict[bytes, None] = {}
    while (missing := count - len(numbers)) > 0:
        if len(_left) < missing:
            _left.extend(_split(urandom(2 * _IDS)))  # system calls are dear: 4096 IDs cost one
        numbers |= dict.fromkeys(filterfalse(taken.__contains__, _left[-missing:]))
        del _left[-missing:]
    return list(numbers)


def new_id(taken: Container[bytes]) -> bytes:
    """One such ID."""
    (number,) = new_ids(taken, 1)
    return number
