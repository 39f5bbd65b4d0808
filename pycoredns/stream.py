"""An answer of many messages: the records of a zone transfer, packed as the client takes them (RFC 5936 §2.2)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from struct import Struct
from typing import TypeAlias

from pycoredns.listener import STREAM_LIMIT
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names
from pycoredns.wire.message import BadMessageError

USUAL_SIZE = 32768
"""Octets a message is filled to: what is packed without keeping others waiting, and what a slow reader leaves with us."""
AT_ONCE = 512
"""Records that are made before somebody needs them, at most."""
_HEADER = Struct("!HHHHHH")
_TO_THE_QUESTION = b"\xc0\x0c"
Body: TypeAlias = tuple[bytes, bytes]
"""A record: its owner, and what stands behind that in a message."""


class Form:
    """How the records of a zone stand in a transfer: each owner ends in a pointer to the name in the question.

    No other name is compressed. So a record looks the same wherever it stands, and costs 0.4 us all in all, not 0.8; targets with
    pointers save octets only in zones that are full of aliases to themselves.
    """

    def __init__(self, origin: bytes, asked: bytes) -> None:
        """``origin`` is in lower-case wire form, ``asked`` as the client has it; owners get none of its capitals."""
        self.apex = _TO_THE_QUESTION if asked == origin != names.ROOT else origin
        """What stands at the end of an owner, in the place of the origin."""
        self.end = -len(origin)
        """Where an owner ends that this stands behind."""
        self.saved = len(origin) - len(self.apex)
        """Octets by which each record is shorter."""

    def lists(self, records: Iterable[Body]) -> Iterator[list[bytes]]:
        """Records one after the other, as they stand in the messages; some at a time."""
        end, apex, rest = self.end, self.apex, iter(records)
        while some := [name[:end] + apex + body for name, body in islice(rest, AT_ONCE)]:
            yield some


Records: TypeAlias = Callable[[Form], Iterable[list[bytes]]]
"""Gives the records of a transfer in a form, in lists as they come."""


class Stream(Response):
    """Goes out over a connection only. Its handler returns it through a ``Pending``, as one who waits.

    It is sent once: ``messages`` takes what ``records`` gives.
    """

    memorable = False
    seal: Callable[[bytes], bytes] | None = None
    """What each message goes through before it leaves, in their order: it signs them."""
    room: int = 0
    """Octets that ``seal`` adds at most."""

    def __init__(self, records: Records, origin: bytes, made: Callable[[int], None] | None = None) -> None:
        """``records`` belong to the zone ``origin`` (lower-case wire form), in the order they are sent.

        ``made`` is told their number when the last message has been made.
        """
        super().__init__()
        self.records = records
        self.origin = origin
        self.made = made
        self.sent = 0

    def size(self, request: Request) -> int:
        """Octets of all messages that have been made so far, before compression, as CoreDNS logs and counts them.

        The OPT record counts only where they are signed.
        """
        return self.sent

    def messages(self, request: Request) -> Iterator[bytes]:
        """The messages with their ID, each made when it is asked for; raises BadMessageError for a record that fits none."""
        opt = request.terms.opt if self.opt is None else self.opt
        bits = request.header.reply_bits & ~self.withheld | self.flags
        question = request.asked + request.tail.question
        form, total = Form(self.origin, request.asked), 0
        around = _HEADER.size + len(question)
        behind = len(opt) + self.room if self.seal else 0
        for records in portions(self.records(form), around + len(opt) + self.room):
            octets, count = b"".join(records), len(records)
            total += count
            self.sent += around + len(octets) + count * form.saved + behind
            head = _HEADER.pack(request.id, bits, 1, count, 0, bool(opt))
            message = b"%b%b%b%b" % (head, question, octets, opt)
            yield self.seal(message) if self.seal else message
        if self.made:
            self.made(total)


def portions(lists: Iterable[list[bytes]], reserved: int) -> Iterator[list[bytes]]:
    """The records of each message, of which ``reserved`` octets are for other things: as many as usual, or one that is larger."""
    usual, largest = USUAL_SIZE - reserved, STREAM_LIMIT - reserved
    waiting: list[bytes] = []
    size = 0
    for some in lists:
        waiting += some
        size += sum(map(len, some))
        while size > usual:
            end = max(bisect_right(list(accumulate(map(len, waiting))), usual), 1)
            portion, waiting = waiting[:end], waiting[end:]
            size = sum(map(len, waiting))
            if len(portion) == 1 and len(portion[0]) > largest:
                raise BadMessageError(f"a record of {len(portion[0])} octets fits no message")
            yield portion
    if waiting:
        yield waiting
