"""An answer: sections in wire form, and how long and for whom it holds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from math import inf
from struct import Struct
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from pycoredns.listener import STREAM_LIMIT
from pycoredns.query import AA, SMALLEST_LIMIT, TC
from pycoredns.request import Request
from pycoredns.wire import edns, message, types
from pycoredns.wire.base64 import may_hold, surplus
from pycoredns.wire.message import Record, Sections
from pycoredns.wire.walk import Found, walk, with_ttl

if TYPE_CHECKING:
    from pycoredns.plugin import Outcome

pack_head = Struct("!HHHHH").pack
_HEADER_SIZE = 12
_BESIDE_NAME = _HEADER_SIZE + 4
"""Octets of a question's message besides the name."""
_ALWAYS_FITS = SMALLEST_LIMIT - 2
Walked: TypeAlias = tuple[bytes, list[Found]]
"""A section's records: the octets they stand in, and where there."""


class Response:
    """An answer that is there: sections as uncompressed records in wire form, with the number of records of each.

    It is its own awaitable, so that ``await self.next(request)`` works for every handler. ``flags`` are bits of the header (AA,
    TC, RA, AD, and RD or CD where they do not depend on the question); the question's own (RD, CD, opcode) are added when it is
    sent, as is the OPT record, unless it has an ``opt`` of its own. Once returned it may be remembered and sent again, so it is
    not changed: ``alike`` and ``replace`` make another.
    """

    opt: bytes | None = None
    """An OPT record of its own; size, version and DO are those of the query when it has EDNS."""
    until: float = inf
    """Until when it may be given again, in seconds of ``time.monotonic``; its TTLs count down meanwhile if ``counts_down``."""
    counts_down: bool = False
    born: float = 0.0
    """When its TTLs were true, in seconds of ``time.monotonic``."""
    memorable: bool = True
    """May the same bytes be sent to whoever asks the same?"""
    outlasts_changes: bool = False
    """Does it hold even when its plugin's data changes? A cached answer does."""
    repeated: Callable[[Outcome], None] | None = None
    """Told how many more times (``outcome.times``) it was given from memory."""
    orders: Callable[[], Sequence[Response]] | None = None
    """Makes the answers that are given in turn from memory, where they differ by the order of their records only."""
    error: Exception | None = None
    """What went wrong although there is an answer."""
    any_case: bool = False
    """Are its records the same whatever the case of the question's letters is? Those of a cache are, as it has kept them."""
    _begun_anew: ClassVar[Mapping[str, object]] = {"gist": b"", "any_case": False}
    """Attributes that a copy does not inherit."""
    wildcard: bytes = b""
    """The wildcard its records were made from, in wire form, if it was one."""
    gist: bytes = b""
    """What many answers have in common that differ in names, addresses or signatures only: with the same response code and
    gist, all say as much, with the same TTLs."""
    withheld: int = 0
    """Bits of the question's header (RD, CD) that the answer does not repeat: an upstream did not."""

    def __init__(
        self,
        rcode: int = types.NOERROR,
        answer: bytes = b"",
        answers: int = 0,
        authority: bytes = b"",
        authorities: int = 0,
        additional: bytes = b"",
        additionals: int = 0,
        flags: int = AA,
    ) -> None:
        """Takes each section's records and their number."""
        self.opt = None  # an object's own is found more quickly than its class's
        self.rcode = rcode
        self.answer = answer
        self.answers = answers
        self.authority = authority
        self.authorities = authorities
        self.additional = additional
        self.additionals = additionals
        self.flags = flags

    def __await__(self) -> Generator[None, None, Response]:
        """Is there at once."""
        return self
        yield

    @classmethod
    def of(
        cls,
        answer: Iterable[Record] = (),
        authority: Iterable[Record] = (),
        additional: Iterable[Record] = (),
        rcode: int = types.NOERROR,
        flags: int = AA,
    ) -> Response:
        """An answer from records."""
        packed = [[each.wire() for each in section] for section in (answer, authority, additional)]
        first, second, third = packed
        return cls(rcode, b"".join(first), len(first), b"".join(second), len(second), b"".join(third), len(third), flags)

    def sections(self) -> Sections:
        """Its records, without OPT."""
        return Sections(
            message.read_records(self.answer, 0, self.answers)[0],
            message.read_records(self.authority, 0, self.authorities)[0],
            message.read_records(self.additional, 0, self.additionals)[0],
        )

    def walk(self) -> tuple[Walked, Walked, Walked]:
        """Each section's records: the octets they stand in, and where there."""
        return (
            (self.answer, walk(self.answer, 0, self.answers)),
            (self.authority, walk(self.authority, 0, self.authorities)),
            (self.additional, walk(self.additional, 0, self.additionals)),
        )

    def alike(self, **changes: object) -> Self:
        """The same records with other values of its attributes."""
        if self.orders is not None:  # they know nothing of the changes
            changes = {"orders": None, "memorable": False, **changes}
        other = object.__new__(self.__class__)
        other.__dict__ = {**self.__dict__, **self._begun_anew, **changes}
        return other

    def with_ttl(self, ttl: int, **changes: object) -> Self:
        """The same with one TTL (in seconds) on all records, and other changes."""
        if self.answers:
            changes["answer"] = with_ttl(self.answer, walk(self.answer, 0, self.answers), ttl)
        if self.authorities:
            changes["authority"] = with_ttl(self.authority, walk(self.authority, 0, self.authorities), ttl)
        if self.additionals:
            changes["additional"] = with_ttl(self.additional, walk(self.additional, 0, self.additionals), ttl)
        return self.alike(**changes)

    def first_section(self) -> Self:
        """The same without authority, additional and OPT records."""
        return self.alike(authority=b"", authorities=0, additional=b"", additionals=0, opt=None)

    def replace(self, **changes: object) -> Response:
        """A copy, uncompressed, with other values of its attributes."""
        return self.plain().alike(**changes)

    def plain(self) -> Response:
        """The same with its sections uncompressed, which they are."""
        return self

    @property
    def authoritative(self) -> bool:
        """The AA bit."""
        return bool(self.flags & AA)

    @property
    def truncated(self) -> bool:
        """The TC bit."""
        return bool(self.flags & TC)

    def size(self, request: Request) -> int:
        """Octets of the answer before compression, with its own OPT but not with the query's: what CoreDNS logs and counts."""
        size = _BESIDE_NAME + len(request.asked) + len(self.answer)
        if self.authorities or self.additionals or self.opt:
            size += len(self.authority) + len(self.additional) + len(self.opt or b"")
        return size + self._surplus() if request.tail.expects_base64 else size

    def _surplus(self) -> int:
        """What CoreDNS counts too many for signatures and keys."""
        sections = (self.answer, self.answers), (self.authority, self.authorities), (self.additional, self.additionals)
        found = [(octets, each) for octets, count in sections if may_hold(octets) for each in walk(octets, 0, count)]
        return sum([surplus(each.rtype, octets[each.fixed + 10 : each.end]) for octets, each in found])

    def flags_to(self, request: Request) -> int:
        """The flags of the message, where it need not be cut: its own, and those of the question that it repeats."""
        flags: int = request.header.reply_bits & ~self.withheld | self.flags
        return flags

    def reply(self, request: Request) -> bytes:
        """The message behind its ID, as this client takes it (RFC 1035 §4.1, RFC 6891 §7)."""
        opt = request.terms.opt if self.opt is None else self._own_opt(request)
        head = pack_head(
            request.header.reply_bits & ~self.withheld | self.flags | self.rcode & 15,
            1,
            self.answers,
            self.authorities,
            self.additionals + 1 if opt else self.additionals,
        )
        reply = b"%b%b%b%b%b%b%b" % (
            head,
            request.asked,
            request.tail.question,
            self.answer,
            self.authority,
            self.additional,
            opt,
        )
        if len(reply) > _ALWAYS_FITS and len(reply) + 2 > min(request.listener.comfortable, request.limit):
            return self._compressed(request, opt)
        return reply

    def _own_opt(self, request: Request) -> bytes:
        """The answer's own OPT record, in the terms of the query's."""
        terms = request.terms
        if not self.opt or not terms.edns:
            return self.opt or b""
        extended, flags = self.opt[5], terms.flags & edns.DO | int.from_bytes(self.opt[7:9], "big") & 0xFF00
        return edns.opt(terms.size, flags, self.opt[11:], extended)

    def _compressed(self, request: Request, opt: bytes) -> bytes:
        """The message with names compressed, cut to the client's size with TC set if it must be (RFC 2181 §9).

        Records are read one by one until there is no more room, as there may be thousands where some dozens fit.
        """
        parts = (self.answer, self.answers), (self.authority, self.authorities), (self.additional, self.additionals)
        sections = (message.each_record(octets, number) for octets, number in parts)
        beginning = bytes(_HEADER_SIZE) + request.asked + request.tail.question
        wire, counts = message.fit(beginning, request.asked, sections, min(request.limit, STREAM_LIMIT) - len(opt))
        cut = counts != (self.answers, self.authorities, self.additionals)
        bits = request.header.reply_bits & ~self.withheld | self.flags | (TC if cut else 0) | self.rcode & 15
        return pack_head(bits, 1, counts[0], counts[1], counts[2] + bool(opt)) + wire[_HEADER_SIZE:] + opt


class _NoAnswer(Response):
    """Stands in an outcome where nothing was sent."""

    memorable = False

    def size(self, request: Request) -> int:
        """None at all."""
        return 0


NO_ANSWER = _NoAnswer(flags=0)
"""What those who count and log see where a question was dropped."""
