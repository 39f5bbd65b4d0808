"""An answer of many messages: the records of a zone transfer, packed as the client takes them (RFC 5936 §2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from struct import Struct
from typing import TypeAlias

from pycoredns.listener import STREAM_LIMIT
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError

USUAL_SIZE = 16384
"""Octets a message is filled to: what pointers reach (RFC 1035 §4.1.4), and what is packed without keeping others waiting."""
_HEADER = Struct("!HHHHHH")
_HIGHEST_POINTER = 0x3FFF
_FIXED = 10
_TARGETS = {each.to_bytes(2, "big"): _FIXED for each in (types.NS, types.CNAME, types.PTR)} | {
    types.MX.to_bytes(2, "big"): _FIXED + 2
}
"""Types whose RDATA ends in a name that may be compressed, and where it begins behind the owner."""
Body: TypeAlias = tuple[bytes, bytes]
"""A record: its owner, and what stands behind that in a message."""


class Stream(Response):
    """Goes out over a connection only. Its handler returns it through a ``Pending``, as one who waits.

    It is sent once: ``messages`` takes what ``records`` gives.
    """

    memorable = False
    seal: Callable[[bytes], bytes] | None = None
    """What each message goes through before it leaves, in their order: it signs them."""
    room: int = 0
    """Octets that ``seal`` adds at most."""

    def __init__(self, records: Iterable[Body], origin: bytes, made: Callable[[int], None] | None = None) -> None:
        """``records`` belong to the zone ``origin`` (lower-case wire form), in the order they are sent.

        ``made`` is told their number when the last message has been made.
        """
        super().__init__()
        self.records = records
        self.origin = origin
        self.made = made
        self.sent = 0

    def size(self, request: Request) -> int:
        """Octets of all messages that have been made so far, before compression and without OPT: what CoreDNS logs and counts."""
        return self.sent

    def messages(self, request: Request) -> Iterator[bytes]:
        """The messages with their ID, each made when it is asked for; raises BadMessageError for a record that fits none."""
        opt = request.terms.opt if self.opt is None else self.opt
        bits = request.header.reply_bits & ~self.withheld | self.flags
        question = request.asked + request.tail.question
        packed = pack(self.records, self.origin, question, request.asked, len(opt) + self.room)
        records = 0
        for count, octets, whole in packed:
            records += count
            self.sent += _HEADER.size + len(question) + whole
            head = _HEADER.pack(request.id, bits, 1, count, 0, bool(opt))
            message = b"%b%b%b%b" % (head, question, octets, opt)
            yield self.seal(message) if self.seal else message
        if self.made:
            self.made(records)


def pack(
    records: Iterable[Body], origin: bytes, question: bytes, asked: bytes, reserved: int
) -> Iterator[tuple[int, bytes, int]]:
    """Records as they stand behind a header and question: of each message their number, octets, and size before compression.

    ``reserved`` octets of each message are left free.
    """
    rest = iter(records)
    begun = next(rest, None)
    while begun is not None:
        parts, whole, begun = _fill(begun, rest, origin, asked, _HEADER.size + len(question), reserved)
        yield len(parts), b"".join(parts), whole


def _fill(
    first: Body, rest: Iterator[Body], origin: bytes, asked: bytes, size: int, reserved: int
) -> tuple[list[bytes], int, Body | None]:
    """The records of a message, of which ``size`` octets are there already, their size before compression, and what does not fit.

    Names are compressed where that costs little: owners, which end in the origin, and the targets of NS, MX and their like. With
    0.4 us for a record this takes a fifth of the general way's time.
    """
    parts: list[bytes] = []
    whole = 0
    usual, largest = USUAL_SIZE - reserved, STREAM_LIMIT - reserved
    common = len(origin) if origin != names.ROOT else 0
    apex = _pointer(12) if asked == origin and common else b""  # else the first owner is written out, in the zone's own case
    owner, place, shown = b"", 0, b""
    for each in chain((first,), rest):
        name, body = each
        if name == owner:
            if len(shown) > 2:  # else it is a pointer already
                shown = _pointer(place) or shown
        else:
            owner, place = name, size
            if apex:
                shown = name[:-common] + apex
            else:
                shown, apex = name, _pointer(size + len(name) - common) if common else b""
        if body[:2] in _TARGETS and apex:
            body = _shortened(body, origin, apex)
        part = shown + body
        size += len(part)
        if size > usual and (parts or size > largest):
            if not parts:
                raise BadMessageError(f"a record of {len(part)} octets fits no message")
            return parts, whole, each
        parts.append(part)
        whole += len(name) + len(each[1])
    return parts, whole, None


def _pointer(place: int) -> bytes:
    """A pointer to a place of the message; empty where none reaches (RFC 1035 §4.1.4)."""
    return (0xC000 | place).to_bytes(2, "big") if place <= _HIGHEST_POINTER else b""


def _shortened(body: bytes, origin: bytes, apex: bytes) -> bytes:
    """A record whose last name points to the origin, where it ends in it."""
    if not body.endswith(origin) or not names.within(body[_TARGETS[body[:2]] :], origin):
        return body
    return body[:8] + (len(body) - _FIXED - len(origin) + len(apex)).to_bytes(2, "big") + body[_FIXED : -len(origin)] + apex
