"""An answer: sections in wire form, and how long and for whom it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from math import inf
from struct import Struct
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, TypeVar

from pycoredns.errors import ServerFailure, forget_way
from pycoredns.listener import STREAM_LIMIT
from pycoredns.request import AA, AD, CD, RA, RD, SMALLEST_LIMIT, TC, Request
from pycoredns.wire import edns, message, types
from pycoredns.wire.message import BadMessageError, Record, Sections
from pycoredns.wire.walk import Found, walk, with_ttl

if TYPE_CHECKING:
    from pycoredns.plugin import Outcome

_pack_head = Struct("!HHHHH").pack
_unpack_counts = Struct("!HHH").unpack_from
_HEADER_SIZE = 12
_BESIDE_NAME = _HEADER_SIZE + 4
"""Octets of a question's message besides the name."""
_ALWAYS_FITS = SMALLEST_LIMIT - 2
Walked: TypeAlias = tuple[bytes, list[Found]]
"""A section's records: the octets they stand in, and where there."""


class Response:
    """An answer that is there: sections as uncompressed records in wire form, with the number of records of each.

    It is its own awaitable, so that ``await self.next(request)`` works for every handler. ``flags`` are bits of the header (AA,
    TC, RA, AD); the question's own (RD, CD, opcode) are added when it is sent, as is the OPT record, unless it has an ``opt`` of
    its own. Once returned it may be remembered and sent again, so it is not changed: ``alike`` and ``replace`` make another.
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
    _begun_anew: ClassVar[Mapping[str, object]] = {"gist": b""}
    """Attributes that a copy does not inherit."""
    wildcard: bytes = b""
    """The wildcard its records were made from, in wire form, if it was one."""
    gist: bytes = b""
    """Where each answer has an authority section of its own: one that means the same, with the same TTL, for many of them."""
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
        other.__dict__ = {**self.__dict__, **changes, **self._begun_anew}
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

    def replace(self, sections: Sections | None = None, **changes: object) -> Response:
        """A copy with other sections or other values of its attributes."""
        made = Response.of(*sections, self.rcode, self.flags).__dict__ if sections else {}
        return self.plain().alike(**{**made, **changes})

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
        return size

    def reply(self, request: Request) -> bytes:
        """The message behind its ID, as this client takes it (RFC 1035 §4.1, RFC 6891 §7)."""
        opt = request.terms.opt if self.opt is None else self._own_opt(request)
        head = _pack_head(
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
        """The message with names compressed, cut to the client's size with TC set if it must be (RFC 2181 §9)."""
        sections = self.sections()
        beginning = bytes(_HEADER_SIZE) + request.asked + request.tail.question
        wire, counts = message.fit(beginning, request.asked, sections, min(request.limit, STREAM_LIMIT) - len(opt))
        cut = counts != (len(sections.answer), len(sections.authority), len(sections.additional))
        bits = request.header.reply_bits & ~self.withheld | self.flags | (TC if cut else 0) | self.rcode & 15
        return _pack_head(bits, 1, counts[0], counts[1], counts[2] + bool(opt)) + wire[_HEADER_SIZE:] + opt


class _NoAnswer(Response):
    """Stands in an outcome where nothing was sent."""

    memorable = False

    def size(self, request: Request) -> int:
        """None at all."""
        return 0


NO_ANSWER = _NoAnswer(flags=0)
"""What those who count and log see where a question was dropped."""

Answer: TypeAlias = Awaitable[Response]
"""What a handler returns: a Response, or something that will be one."""


class Pending:
    """An answer that will come by a callback, without a task of its own."""

    __slots__ = ("_callback", "_error", "_response")

    def __init__(self) -> None:
        """Begins without an answer."""
        self._response: Response | None = None
        self._error: BaseException | None = None
        self._callback: Callable[[Pending], object] | None = None

    @property
    def done(self) -> bool:
        """Has the answer, or an error, come?"""
        return self._response is not None or self._error is not None

    def result(self) -> Response:
        """The answer; raises the error that came in its place."""
        if self._response is not None:
            return self._response
        raise self._error or RuntimeError("no answer has come yet")

    def resolve(self, response: Response) -> None:
        """The answer is there: all who wait are called. Later calls do nothing."""
        if self._response is None and self._error is None:
            self._response = response
            self._call_back()

    def fail(self, error: BaseException) -> None:
        """No answer will come, for this reason. Later calls do nothing."""
        if not self.done:
            self._error = error
            self._call_back()

    def _call_back(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self)
            if self._error is not None:
                forget_way(self._error)

    def when_done(self, callback: Callable[[Pending], object]) -> None:
        """Calls back with this object, at once if it is done."""
        if self._response is not None:
            callback(self)
        elif self._error is not None:
            callback(self)
            forget_way(self._error)
        elif self._callback is None:
            self._callback = callback
        else:
            first = self._callback
            self._callback = lambda done: (first(done), callback(done))

    def __await__(self) -> Generator[object, None, Response]:
        """Waits in a coroutine."""
        if not self.done:
            from asyncio import get_running_loop

            future = get_running_loop().create_future()
            self.when_done(lambda _: None if future.done() else future.set_result(None))
            yield from future
        return self.result()


T = TypeVar("T")


def then(answer: Answer, change: Callable[[Response], Answer]) -> Answer:
    """Changes an answer now if it is there, or when it comes."""
    if isinstance(answer, Response):
        return change(answer)
    if isinstance(answer, Pending):
        changed = Pending()
        answer.when_done(lambda done: _pass_on(done, change, changed))
        return changed
    return _wait_and_change(answer, change)


def _pass_on(done: Pending, change: Callable[[Response], Answer], changed: Pending) -> None:
    """Gives a changed answer to those who wait for it."""
    try:
        answer = change(done.result())
    except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
        changed.fail(error)
        return
    if isinstance(answer, Response):
        changed.resolve(answer)
    elif isinstance(answer, Pending):
        answer.when_done(lambda later: _pass_on(later, lambda response: response, changed))
    else:
        _start(answer, changed)


def pending(answer: Answer) -> Pending:
    """Any answer as one that calls back: a coroutine runs in a task of its own."""
    if isinstance(answer, Pending):
        return answer
    later = Pending()
    if isinstance(answer, Response):
        later.resolve(answer)
    else:
        _start(answer, later)
    return later


def attempt(ask: Callable[[], Answer]) -> Pending:
    """What somebody answers, now or later, with an answer or an error."""
    try:
        return pending(ask())
    except Exception as error:  # noqa: BLE001  whoever waits gets it
        (failed := Pending()).fail(error)
        return failed


def _start(answer: Answer, changed: Pending) -> None:
    """Waits for a coroutine in a task, and passes its answer on."""
    from asyncio import ensure_future

    async def wait() -> None:
        try:
            changed.resolve(await answer)
        except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
            changed.fail(error)

    _tasks.add(task := ensure_future(wait()))
    task.add_done_callback(_tasks.discard)


_tasks: set[Awaitable[None]] = set()


async def _wait_and_change(answer: Answer, change: Callable[[Response], Answer]) -> Response:
    return await change(await answer)


class Relayed(Response):
    """An upstream's answer, passed on as its bytes and taken apart only when somebody wants to look into it.

    The sections stay compressed: their pointers hold as long as the question's name is the same, to the letter.
    """

    _begun_anew = {"_plain": None}  # noqa: RUF012  declared above
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
        head = _pack_head(bits, 1, self.answers, self.authorities, self.additionals + 1 if opt else self.additionals)
        return b"%b%b%b%b%b" % (head, request.asked, request.tail.question, self.wire[self._place :], opt)


_RELAYED_FLAGS, _REPEATED_FLAGS = AA | TC | RA | AD, RD | CD


def _simple(wire: bytes, found: list[Found]) -> bool:
    for each in found:  # half of what all() costs
        start = each[0]
        if wire[start : start + 4] not in _NAMELESS:
            return False
    return True


_CARRIED = frozenset(
    {"opt", "until", "counts_down", "born", "memorable", "outlasts_changes", "repeated", "orders", "error", "withheld"}
)
_NAMELESS = frozenset(b"\xc0\x0c" + rtype.to_bytes(2, "big") for rtype in (types.A, types.AAAA, types.TXT))
"""How records begin that belong to the name that was asked, and hold no names."""
