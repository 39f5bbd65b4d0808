"""Questions as upstreams get them, and what upstreams send back, which may be anything."""

from __future__ import annotations

from collections.abc import Container
from itertools import filterfalse
from os import urandom
from struct import Struct

from pycoredns.errors import ServerFailure
from pycoredns.query import AA, AD, BESIDE_NAME, COUNTS, RA, TC
from pycoredns.relayed import Relayed, head_of
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import edns, types
from pycoredns.wire.message import BadMessageError
from pycoredns.wire.walk import walk

_FLAGS = AA | TC | RA | AD
ONE_QUESTION = b"\0\1"
_NOTHING = bytes(6)
_BARE_ERRORS = (types.FORMERR, types.SERVFAIL, types.NOTIMP, types.REFUSED)
_IDS = 4096
_OPT_SIZE = 11
MOST_PLAIN = 8 * 65535
"""Octets of an answer's records without compression, where they hold names: what is larger is made to keep us busy. Pointers to
long names make 65 octets of each that comes, which all who look at the records would go through."""


def behind_id(request: Request) -> bytes:
    """A question's message behind its ID, with AD where that is wanted; counts and octets are those of the records there are.

    A type or class that is missing becomes 0, as which it has been read.
    """
    wire, header, counts = request.wire, request.header, []
    place = behind = BESIDE_NAME + len(request.asked)
    for promised in COUNTS.unpack_from(wire, 2)[2:]:
        present = 0
        while present < promised and place < len(wire):
            place, present = walk(wire, place, 1)[0].end, present + 1
        counts.append(present)
    head = COUNTS.pack(header.bits | (AD if request.authentic else 0), 1, *counts)
    return head + request.asked + request.tail.question + wire[behind:place]


def is_bare_error(reply: bytes) -> bool:
    """Is a message an error without the question? Servers that could not read it may send that.

    Codes that say something of the name, such as NXDOMAIN, are no such error: they are worth forging (RFC 5452 §9.1).
    """
    return len(reply) >= 12 and reply[2] >= 0x80 and reply[3] & 15 in _BARE_ERRORS and reply[4:10] == _NOTHING


def read_answer(reply: bytes, asked: bytes, limit: int) -> Response:
    """An upstream's answer, empty and truncated where it is above ``limit`` octets, or says that it was cut and ends in a record.

    Raises BadMessageError where it ends in a record and does not say so, ServerFailure where its names cannot be read.
    """
    if len(reply) > limit:
        return cut(reply)
    if reply[4:6] != ONE_QUESTION:
        return Response(reply[3] & 15, flags=(reply[2] << 8 | reply[3]) & _FLAGS)
    try:
        answer = _read(reply, asked)
        if answer.__class__ is Relayed and not answer.simple:
            _check_size(answer.plain())  # follows all names now: nobody behind meets a broken one
    except (BadMessageError, ServerFailure):
        if reply[2] << 8 & TC:
            return cut(reply)
        raise
    if answer.opt:
        _check_options(answer.opt)
    return answer


def _check_size(plain: Response) -> None:
    """Raises ServerFailure where the records of an answer are too large without compression."""
    size = len(plain.answer) + len(plain.authority) + len(plain.additional)
    if size > MOST_PLAIN:
        raise ServerFailure(f"an upstream's answer cannot be read: its records take {size} octets, more than {MOST_PLAIN}")


def _check_options(opt: bytes) -> None:
    """Clients are not to meet options that cannot be read either."""
    try:
        edns.check(opt[_OPT_SIZE:])
    except BadMessageError as error:
        raise ServerFailure(f"an upstream's answer cannot be read: {error}") from None


def _read(reply: bytes, asked: bytes) -> Response:
    """The same. Additional records may be missing: some servers count an OPT record that only the question has."""
    try:
        return Relayed.read(reply, asked)
    except BadMessageError:
        answers, authorities, additionals = head_of(reply).counts
        place, present = 16 + len(asked), -answers - authorities
        while place < len(reply):
            place, present = walk(reply, place, 1)[0].end, present + 1
        if not 0 <= present < additionals:
            raise
        return Relayed.read(reply[:10] + present.to_bytes(2, "big") + reply[12:], asked)


def cut(reply: bytes) -> Response:
    """What is left of an answer that was cut: its header. So the client asks again over TCP (RFC 2181 §9)."""
    head = head_of(reply)
    answer = Response(head.rcode, flags=head.flags | TC)
    answer.withheld = head.withheld
    return answer


def spelling_of(reply: bytes, request: Request) -> bytes:
    """The name in the question of an answer to this request, in whatever letters; nothing if it answers another one."""
    end = 12 + len(request.asked)
    name = reply[12:end]
    answers = name.lower() == request.name and reply.startswith(request.tail.question, end) and head_of(reply).to_one
    return name if answers else b""


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
