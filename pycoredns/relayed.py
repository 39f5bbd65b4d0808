"""Answers of other name servers."""

from __future__ import annotations

from struct import Struct
from typing import Self

from pycoredns.errors import ServerFailure
from pycoredns.request import AA, AD, CD, RA, RD, SMALLEST_LIMIT, TC, Request
from pycoredns.response import Response, Walked, pack_head
from pycoredns.wire import message, types
from pycoredns.wire.message import BadMessageError, Sections
from pycoredns.wire.walk import Found, walk, with_ttl

_RELAYED_FLAGS, _REPEATED_FLAGS = AA | TC | RA | AD, RD | CD
_CARRIED = frozenset(
    {"opt", "until", "counts_down", "born", "memorable", "outlasts_changes", "repeated", "orders", "error", "withheld"}
)
_NAMELESS = frozenset(b"\xc0\x0c" + rtype.to_bytes(2, "big") for rtype in (types.A, types.AAAA, types.TXT))
"""How records begin that belong to the name that was asked, and hold no names."""
_unpack_counts = Struct("!HHH").unpack_from


class Relayed(Response):
    """An upstream's answer, passed on as its bytes and taken apart only when somebody wants to look into it.

    The sections stay compressed: their pointers hold as long as the question's name is the same, to the letter.
    """

    _begun_anew = {**Response._begun_anew, "_plain": None}  # noqa: RUF012  declared above
    _plain: Response | None = None

    def __init__(self, wire: bytes, asked: bytes, found: list[Found], counts: tuple[int, int, int]) -> None:
        """``wire`` is the message without its OPT record, ``found`` its records, ``counts`` those of each section."""
        bits = wire[2] << 8 | wire[3]
        self.wire = wire
        self.asked = asked
        self.rcode = bits & 15
        self.flags = bits & _RELAYED_FLAGS
        self.withheld = ~bits & _REPEATED_FLAGS
        self.answers, self.authorities, self.additionals = counts
        self.found = found
        self._place = 16 + len(asked)
        self.simple = _simple(wire, found)
        """Do all records belong to the name that was asked, and hold no names?"""

    @classmethod
    def read(cls, wire: bytes, asked: bytes) -> Response:
        """An answer whose question, with ``asked`` as its name, has been checked; raises BadMessageError."""
        counts = _unpack_counts(wire, 6)
        answers, authorities, additionals = counts
        place = 16 + len(asked)
        found = walk(wire, place, answers + authorities + additionals)
        opts = [each for each in found[answers + authorities :] if each.rtype == types.OPT] if additionals else None
        if not opts:
            return cls(wire[: found[-1].end if found else place], asked, found, counts)
        if opts != found[-1:]:  # pointers behind it would be wrong without it
            relayed = cls(wire, asked, found, counts).plain()
        else:
            relayed = cls(wire[: opts[0].start], asked, found[:-1], (answers, authorities, additionals - 1))
        relayed.opt = b"\0" + wire[opts[-1].fixed : opts[-1].end]
        relayed.rcode |= relayed.opt[5] << 4
        return relayed

    def with_ttl(self, ttl: int, **changes: object) -> Self:
        """The same with one TTL (in seconds) on all records, and other changes."""
        found = [Found(each.start, each.fixed, each.end, each.rtype, ttl) for each in self.found]
        return self.alike(wire=with_ttl(self.wire, found, ttl), found=found, **changes)

    def first_section(self) -> Self:
        """The same without authority, additional and OPT records."""
        found = self.found[: self.answers]
        end = found[-1].end if found else self._place
        return self.alike(wire=self.wire[:end], found=found, authorities=0, additionals=0, opt=None)

    def walk(self) -> tuple[Walked, Walked, Walked]:
        """Each section's records: all stand in the message."""
        authority, additional = self.answers, self.answers + self.authorities
        return (
            (self.wire, self.found[:authority]),
            (self.wire, self.found[authority:additional]),
            (self.wire, self.found[additional:]),
        )

    # made when they are asked for; by properties, as a class with __getattr__ reads all of its attributes slowly (0.1 µs each)
    answer = property(lambda self: self.plain().answer)
    authority = property(lambda self: self.plain().authority)
    additional = property(lambda self: self.plain().additional)

    def sections(self) -> Sections:
        """Its records, with whole names, without OPT; raises ServerFailure where they cannot be read."""
        try:
            answer, place = message.read_records(self.wire, self._place, self.answers)
            authority, place = message.read_records(self.wire, place, self.authorities)
            additional, _ = message.read_records(self.wire, place, self.additionals)
        except BadMessageError as error:
            raise ServerFailure(f"an upstream's answer cannot be read: {error}") from None
        return Sections(answer, authority, [each for each in additional if each.rtype != types.OPT])

    def plain(self) -> Response:
        """The same, uncompressed."""
        if self._plain is None:
            plain = Response.of(*self.sections(), rcode=self.rcode, flags=self.flags)
            plain.__dict__.update({name: value for name, value in self.__dict__.items() if name in _CARRIED})
            self._plain = plain
        return self._plain

    def size(self, request: Request) -> int:
        """Octets before compression."""
        if self.simple:
            grown = len(self.found) * (len(self.asked) - 2)
            return len(self.wire) + grown + (len(self.opt) if self.opt else 0)
        return self.plain().size(request)

    def reply(self, request: Request) -> bytes:
        """The upstream's octets behind this question, or the records anew where they do not fit it."""
        opt = request.terms.opt if self.opt is None else self._own_opt(request)
        size = len(self.wire) + len(opt)
        if request.asked != self.asked or (size > SMALLEST_LIMIT and size > request.limit):
            return self.plain().reply(request)
        bits = request.header.reply_bits & ~self.withheld | self.flags | self.rcode & 15
        head = pack_head(bits, 1, self.answers, self.authorities, self.additionals + 1 if opt else self.additionals)
        return b"%b%b%b%b%b" % (head, request.asked, request.tail.question, self.wire[self._place :], opt)


def _simple(wire: bytes, found: list[Found]) -> bool:
    for each in found:  # half of what all() costs
        start = each[0]
        if wire[start : start + 4] not in _NAMELESS:
            return False
    return True
