"""An answer that gets its TSIG record as it leaves, behind all that the plugins before may change in it."""

from __future__ import annotations

from time import time

from pycoredns.query import AD
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.tsig import Verified

_OF_ALL = {"memorable": False, "orders": None, "error": None}


class Signed(Response):
    """The answer to a signed request; its record is the last one, and the other records leave it room (RFC 8945 §5.3)."""

    verified: Verified
    room: int
    """Octets of its record."""

    def __init__(self, answer: Response, verified: Verified) -> None:
        """Takes an answer for all it says, but for AD: who gave it to us did not sign it (RFC 8945 §5.5)."""
        plain = answer.plain()
        self.__dict__ = {**plain.__dict__, "verified": verified, "room": verified.size, "flags": plain.flags & ~AD, **_OF_ALL}

    def size(self, request: Request) -> int:
        """Octets before compression, with the OPT and the TSIG record, as CoreDNS logs and counts them."""
        opt = len(request.terms.opt) if self.opt is None else 0
        return super().size(request) + opt + self.room + self.verified.surplus

    def reply(self, request: Request) -> bytes:
        """The message behind its ID, signed."""
        reply = super().reply(request)
        if 2 + len(reply) + self.room > request.limit:
            reply = super().reply(_Narrowed(request, self.room))
        return self.verified.answer(request.wire[:2] + reply, time())[2:]


class _Narrowed(Request):
    """A request whose answer may have fewer octets."""

    __slots__ = ("_room",)

    def __init__(self, request: Request, room: int) -> None:
        """``room`` is what must be left free."""
        super().__init__(
            request.wire, request.header, request.asked, request.tail, request.peer, request.listener, request.received
        )
        self.terms = request.terms
        self._room = room

    @property
    def limit(self) -> int:
        """What is left of the largest answer that the client takes."""
        return super().limit - self._room
