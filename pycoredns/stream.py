"""An answer of many messages: the records of a zone transfer, packed as the client takes them (RFC 5936 §2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from struct import Struct

from pycoredns.request import STREAM_LIMIT, Request
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import RECORD, BadMessageError, Record

USUAL_SIZE = 16384
"""Octets a message is filled to: what pointers reach (RFC 1035 §4.1.4), and what is packed without keeping others waiting."""
_HEADER = Struct("!HHHHHH")
_HIGHEST_POINTER = 0x3FFF
_TARGETS = {types.NS: 0, types.CNAME: 0, types.PTR: 0, types.MX: 2}
"""Types whose RDATA ends in a name that may be compressed, and the octets before it."""


class Stream(Response):
    """Goes out over a connection only. Its handler returns it through a ``Pending``, as one who waits.

    It is sent once: ``messages`` takes what ``records`` gives.
    """

    memorable = False
    seal: Callable[[bytes], bytes] | None = None
    """What each message goes through before it leaves, in their order: it signs them."""
    room: int = 0
    """Octets that ``seal`` adds at most."""

    def __init__(self, records: Iterable[Record], origin: bytes) -> None:
        """``records`` belong to the zone ``origin`` (lower-case wire form), in the order they are sent."""
        super().__init__()
        self.records = records
        self.origin = origin
        self.sent = 0

    def size(self, request: Request) -> int:
        """Octets of all messages that have been made so far."""
        return self.sent

    def messages(self, request: Request) -> Iterator[bytes]:
        """The messages with their ID, each made when it is asked for; raises BadMessageError for a record that fits none."""
        opt = request.terms.opt if self.opt is None else self.opt
        bits = request.header.reply_bits & ~self.withheld | self.flags
        question = request.asked + request.tail.question
        packed = pack(self.records, self.origin, question, request.asked, len(opt) + self.room)
        for count, octets in packed:
            head = _HEADER.pack(request.id, bits, 1, count, 0, bool(opt))
            message = b"%b%b%b%b" % (head, question, octets, opt)
            self.sent += len(message)
            yield self.seal(message) if self.seal else message


def pack(records: Iterable[Record], origin: bytes, question: bytes, asked: bytes, reserved: int) -> Iterator[tuple[int, bytes]]:
    """Records as they stand behind a header and question: how many there are in each message, and their octets.

    ``reserved`` octets of each message are left free.
    """
    rest = iter(records)
    begun = next(rest, None)
    while begun is not None:
        parts, begun = _fill(begun, rest, origin, asked, _HEADER.size + len(question), reserved)
        yield len(parts), b"".join(parts)


def _fill(
    first: Record, rest: Iterator[Record], origin: bytes, asked: bytes, size: int, reserved: int
) -> tuple[list[bytes], Record | None]:
    """The records of one message, of which ``size`` octets are there already, and the first that does not fit.

    Names are compressed where that costs little: owners, which end in the origin, and the targets of NS, MX and their like. This
    takes a third of the general way's time, for 1 % more octets.
    """
    parts: list[bytes] = []
    usual, largest = USUAL_SIZE - reserved, STREAM_LIMIT - reserved
    common = len(origin) if origin != names.ROOT else 0
    apex = _pointer(12) if asked == origin else b""  # else the first owner is written out, in the zone's own case
    owner = known = b""
    for each in chain((first,), rest):
        name, rtype, rclass, ttl, rdata = each
        if name == owner:
            shown = known
        else:
            shown = name[:-common] + apex if common and apex else name
            known = _pointer(size) or shown
        if rtype in _TARGETS and common and apex:
            rdata = _shortened(rdata, _TARGETS[rtype], origin, apex)
        part = b"%b%b%b" % (shown, RECORD.pack(rtype, rclass, ttl, len(rdata)), rdata)
        if size + len(part) > usual and parts:
            return parts, each
        if size + len(part) > largest:
            raise BadMessageError(f"a record of {len(part)} octets fits no message")
        apex = apex or _pointer(size + len(name) - common)
        owner = name
        parts.append(part)
        size += len(part)
    return parts, None


def _pointer(place: int) -> bytes:
    """A pointer to a place of the message; empty where none reaches (RFC 1035 §4.1.4)."""
    return (0xC000 | place).to_bytes(2, "big") if place <= _HIGHEST_POINTER else b""


def _shortened(rdata: bytes, before: int, origin: bytes, apex: bytes) -> bytes:
    """RDATA whose name, behind so many octets, points to the origin where it ends in it."""
    if rdata.endswith(origin) and names.within(rdata[before:], origin):
        return rdata[: -len(origin)] + apex
    return rdata
