"""Questions as upstreams get them, and what upstreams send back, which may be anything."""

from __future__ import annotations

from collections.abc import Container
from os import urandom

from pycoredns.request import AA, AD, RA, TC, Request
from pycoredns.response import Relayed, Response
from pycoredns.wire import types

_FLAGS = AA | TC | RA | AD
_ONE_QUESTION = b"\0\1"
_NOTHING = bytes(6)
_OPT_SIZE = 11
_IDS = 4096
_NAMELESS = frozenset({types.A, types.AAAA, types.TXT})


def behind_id(request: Request) -> bytes:
    """A question's message behind its ID, without octets that belong to no record."""
    tail = request.tail
    size = 16 + len(request.asked) + (_OPT_SIZE + len(tail.options) if tail.edns else 0)
    if len(request.wire) == size or not (request.header.plain and request.header.additionals == tail.edns):
        return request.wire[2:]
    return request.wire[2:size]


def is_answer(reply: bytes, question: bytes) -> bool:
    """Is a message with the right ID an answer to this question (name, type and class as they were sent)?

    Servers that could not read the question may leave it out of their error (RFC 1035 §4.1.1).
    """
    if reply.startswith(question, 12):
        return reply[2] >= 0x80 and reply[4:6] == _ONE_QUESTION
    return len(reply) >= 12 and reply[2] >= 0x80 and reply[3] & 15 > 0 and reply[4:10] == _NOTHING


def read_answer(reply: bytes, asked: bytes, limit: int) -> Response:
    """An upstream's answer, empty and truncated where it is above ``limit`` octets; raises BadMessageError or ServerFailure."""
    flags = (reply[2] << 8 | reply[3]) & _FLAGS
    if reply[4:6] != _ONE_QUESTION:
        return Response(reply[3] & 15, flags=flags)
    if len(reply) > limit:
        return Response(reply[3] & 15, flags=flags | TC)
    answer = Relayed.read(reply, asked)
    if isinstance(answer, Relayed) and not _simple(answer):
        answer.plain()  # follows all names now: nobody behind meets a broken one
    return answer


def _simple(answer: Relayed) -> bool:
    """Do all records belong to the name that was asked, and hold none?"""
    wire = answer.wire
    return all(wire[start] == 0xC0 and wire[start + 1] == 12 and rtype in _NAMELESS for start, _, _, rtype, _ in answer.found)


class IDs:
    """Random message IDs of two octets, which cannot be guessed (RFC 5452 §9.2)."""

    def __init__(self) -> None:
        """Asks the system for many at once."""
        self._left: list[bytes] = []

    def take(self, taken: Container[bytes]) -> bytes:
        """One that is not among those ``taken``, a container that is far from holding all."""
        while True:
            if not self._left:
                octets = urandom(2 * _IDS)
                self._left = [octets[place : place + 2] for place in range(0, len(octets), 2)]
            number = self._left.pop()
            if number not in taken:
                return number


ids = IDs()
