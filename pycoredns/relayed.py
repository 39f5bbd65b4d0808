"""Answers of other name servers."""

from __future__ import annotations

from struct import Struct
from typing import Self, TypeAlias

from pycoredns.errors import ServerFailure
from pycoredns.meaning import Meaning
from pycoredns.query import AA, AD, CD, OPCODE, QR, RA, RD, SMALLEST_LIMIT, TC, Header
from pycoredns.request import Request
from pycoredns.response import Response, Walked, pack_head
from pycoredns.wire import message, types
from pycoredns.wire.message import BadMessageError, Sections
from pycoredns.wire.walk import Found, end_of_usual, walk, with_ttl

_RELAYED_FLAGS, _REPEATED_FLAGS = AA | TC | RA | AD, RD | CD
_CARRIED = frozenset(
    {"opt", "until", "counts_down", "born", "memorable", "outlasts_changes", "repeated", "orders", "error", "withheld"}
)
_HEAD = Struct("!HHHHH")
_MOST_HEADS = 256
_DENIALS = {types.NOERROR: Meaning.NO_DATA, types.NXDOMAIN: Meaning.NO_NAME}
"""What a SOA record alone says, by the response code (RFC 2308 §2)."""


Plainness: TypeAlias = tuple[Meaning | None, int, int]
"""What a plain answer says, None if it is not plain; its response code, and how many records answer."""


class Head:
    """What the ten octets behind an answer's ID say: parsed once per distinct octets (RFC 1035 §4.1.1)."""

    __slots__ = ("answers_only", "asks", "counts", "flags", "rcode", "records", "to_one", "withheld")

    def __init__(self, octets: bytes) -> None:
        """Takes any."""
        bits, questions, *counts = _HEAD.unpack(octets)
        self.to_one = bits >= QR and questions == 1
        """Is it an answer, and to one question?"""
        self.rcode = bits & 15
        self.flags = bits & (_RELAYED_FLAGS | _REPEATED_FLAGS)
        """With RD and CD, which are passed on whatever the question says, as CoreDNS does."""
        self.withheld = ~bits & _REPEATED_FLAGS
        self.asks = bits & ~(_RELAYED_FLAGS | 15)
        """The bits of a question, with QR, that has this answer just as it is."""
        self.counts: tuple[int, int, int] = tuple(counts)
        self.records = sum(counts)
        self.answers_only = 0 if bits & (OPCODE | TC | 15) or self.records > counts[0] else self.records
        """How many records answer a plain question, where nothing else is in the message; 0 if it is any other."""


heads: dict[bytes, Head] = {}
"""Those seen so far, by their octets."""


def head_of(wire: bytes) -> Head:
    """The head of a message of at least twelve octets."""
    octets = wire[2:12]
    head = heads.get(octets)
    if head is None:
        if len(heads) >= _MOST_HEADS:
            heads.clear()
        head = heads[octets] = Head(octets)
    return head


def plainness(header: Header, octets: bytes) -> Plainness:
    """Is an answer plain whose ten octets behind the ID are these, to a query with this header? It is remembered.

    It is if they fit it just as they are, if it is for everybody, as AD is not, and if nothing else is in the message than the
    records that answer, or one that says why there are none, behind aliases maybe, and perhaps an OPT record where one is in
    the query. Whether they are such records is still to be seen.
    """
    head = head_of(b"\0\0" + octets)
    answers, authorities, additionals = head.counts
    meaning = None
    if head.asks == header.reply_bits and additionals <= header.additionals and not head.flags & (TC | AD):
        if not authorities:
            meaning = Meaning.ANSWER if answers and not head.rcode else None
        elif authorities == 1 and not (answers and head.rcode):
            meaning = _DENIALS.get(head.rcode)
    if len(header.plainness) >= _MOST_HEADS:
        header.plainness.clear()
    plain = header.plainness[octets] = meaning, head.rcode, answers
    return plain


class Relayed(Response):
    """An upstream's answer, passed on as its bytes and taken apart only when somebody wants to look into it.

    The sections stay compressed: their pointers hold as long as the question's name is the same, to the letter.
    """

    _begun_anew = {**Response._begun_anew, "_plain": None, "_found": None, "head": None}  # noqa: RUF012  declared above
    _plain: Response | None = None
    _found: list[Found] | None = None
    head: Head | None
    """What its header said, just as it came; None if it was changed."""

    def __init__(self, wire: bytes, asked: bytes, head: Head, simple: bool) -> None:
        """``wire`` is the message without its OPT record; it must have the records that are counted.

        ``simple``: all records belong to the name that was asked, and hold no names.
        """
        self.wire = wire
        self.asked = asked
        self.simple = simple
        self.opt = self.error = None  # an object's own is found more quickly than its class's
        self.rcode = head.rcode
        self.flags = head.flags
        self.withheld = head.withheld
        self.answers, self.authorities, self.additionals = head.counts
        self.head = head

    @classmethod
    def read(cls, wire: bytes, asked: bytes) -> Response:
        """An answer whose question, with ``asked`` as its name, has been checked; raises BadMessageError."""
        head, place = head_of(wire), 16 + len(asked)
        answers, authorities, additionals = head.counts
        end = end_of_usual(wire, place, answers + authorities)
        found = walk(wire, end, additionals) if end else walk(wire, place, head.records)
        opts = [each for each in found[-additionals:] if each.rtype == types.OPT] if additionals else []
        if not opts:
            whole = cls(wire[: found[-1].end if found else end], asked, head, not found)
            whole._found = None if end else found
            return whole
        if opts != found[-1:]:  # pointers behind it would be wrong without it
            relayed = cls(wire, asked, head, False).plain()
        else:
            relayed = rest = cls(wire[: opts[0].start], asked, head, bool(end) and additionals == 1)
            rest.additionals -= 1
            rest._found = None if end else found[:-1]
        relayed.opt = b"\0" + wire[opts[-1].fixed : opts[-1].end]
        relayed.rcode |= relayed.opt[5] << 4
        return relayed

    def with_ttl(self, ttl: int, **changes: object) -> Self:
        """The same with one TTL (in seconds) on all records, and other changes."""
        return self.alike(wire=with_ttl(self.wire, self.found, ttl), **changes)

    def first_section(self) -> Self:
        """The same without authority, additional and OPT records."""
        end = self.found[self.answers - 1].end if self.answers else self._place
        return self.alike(wire=self.wire[:end], authorities=0, additionals=0, opt=None)

    @property
    def _place(self) -> int:
        """Where the records begin."""
        return 16 + len(self.asked)

    @property
    def found(self) -> list[Found]:
        """Where its records are, of all sections."""
        if self._found is None:
            self._found = walk(self.wire, self._place, self.answers + self.authorities + self.additionals)
        return self._found

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
        known = {12: self.asked}
        try:
            answer, place = message.read_records(self.wire, self._place, self.answers, known)
            authority, place = message.read_records(self.wire, place, self.authorities, known)
            additional, _ = message.read_records(self.wire, place, self.additionals, known)
        except BadMessageError as error:
            raise ServerFailure(f"an upstream's answer cannot be read: {error}") from None
        return Sections(answer, authority, [each for each in additional if each.rtype != types.OPT])

    def plain(self) -> Response:
        """The same, uncompressed."""
        if self._plain is None:
            plain = Response.of(*self.sections(), rcode=self.rcode, flags=self.flags)
            plain.__dict__.update({name: self.__dict__[name] for name in _CARRIED.intersection(self.__dict__)})
            self._plain = plain
        return self._plain

    def size(self, request: Request) -> int:
        """Octets before compression."""
        if self.simple:
            grown = (self.answers + self.authorities) * (len(self.asked) - 2)
            return len(self.wire) + grown + (len(self.opt) if self.opt else 0)
        return self.plain().size(request)

    def reply(self, request: Request) -> bytes:
        """The upstream's octets behind this question, or the records anew where they do not fit it."""
        opt = request.terms.opt if self.opt is None else self._own_opt(request)
        wire, asked, question = self.wire, self.asked, request.tail.question
        size = len(wire) + len(opt)
        if request.asked != asked or (size > SMALLEST_LIMIT and size > request.limit):
            return self.plain().reply(request)
        head = self.head
        if head is not None and head.asks == request.header.reply_bits and not opt and wire.startswith(question, 12 + len(asked)):
            return wire[2:]
        bits = request.header.reply_bits & ~self.withheld | self.flags | self.rcode & 15
        beginning = pack_head(bits, 1, self.answers, self.authorities, self.additionals + 1 if opt else self.additionals)
        return b"%b%b%b%b%b" % (beginning, asked, question, wire[self._place :], opt)
