"""A question as it came: wire first, the rest read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from pycoredns.query import BESIDE_NAME, COUNTS, KEPT_BITS, NOTHING, QR, Header, Malformed, Tail, header_of, records_of, tail_of
from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError, Record

if TYPE_CHECKING:
    from pycoredns.listener import Listener
    from pycoredns.metadata import RequestMetadata
    from pycoredns.tsig import Verified


class Request:
    """A question and where it came from.

    It is never changed: ``replace`` makes another. ``name`` is in lower-case wire form, ``asked`` the same with the client's
    case. Who reads ``client`` makes the answer depend on it, so that it is not remembered for others.
    """

    __slots__ = (
        "_internal",
        "_metadata",
        "_verified",
        "asked",
        "authentic",
        "header",
        "listener",
        "name",
        "peer",
        "personal",
        "received",
        "tail",
        "terms",
        "wire",
    )

    _verified: Verified
    _metadata: RequestMetadata
    _internal: int

    depth = 0
    """How many questions of the server's own led to this one."""

    def __init__(
        self, wire: bytes, header: Header, asked: bytes, tail: Tail, peer: object, listener: Listener, received: int
    ) -> None:
        """``received`` is the time of arrival in nanoseconds of ``time.perf_counter_ns``."""
        self.wire = wire
        self.header = header
        self.asked = asked
        self.name = asked.lower()
        self.tail = tail
        self.terms = tail
        """The tail in whose terms (size, DO, options) the answer is sent; see ``answer_in``."""
        self.peer = peer
        self.listener = listener
        self.received = received
        self.personal = False
        self.authentic = False
        """Are other servers to be asked whether the answer is authentic (AD), even though the client does not?"""

    @property
    def origin(self) -> Request:
        """The client's question that this one was made from, or is."""
        return self

    @property
    def id(self) -> int:
        """The query's ID."""
        return self.wire[0] << 8 | self.wire[1]

    @property
    def qtype(self) -> int:
        """The type asked for."""
        return self.tail.qtype

    @property
    def qclass(self) -> int:
        """The class asked for."""
        return self.tail.qclass

    @property
    def do(self) -> bool:
        """Does the client want DNSSEC records (RFC 3225)?"""
        return self.tail.do

    @property
    def limit(self) -> int:
        """The largest answer in octets that the client takes."""
        return self.listener.limit or self.terms.limit

    @property
    def client(self) -> tuple[str, int]:
        """Address and port of the client; reading them keeps the answer from being remembered."""
        self.origin.personal = True
        return self.listener.client(self.peer)

    @property
    def local(self) -> tuple[str, int]:
        """Address and port the question was sent to; reading them keeps the answer from being remembered."""
        self.origin.personal = True
        return self.listener.local(self.peer)

    @property
    def endpoint(self) -> tuple[bytes, bytes]:
        """The client as the wire has it: address (4 or 16 octets) and port; reading it keeps the answer from being remembered."""
        self.origin.personal = True
        return self.listener.endpoint(self.peer)

    def answer_in(self, tail: Tail) -> None:
        """Has the answer, also one to an error, sent in the terms of another tail than the query's own."""
        if not self.depth:
            self.origin.terms = tail

    @property
    def metadata(self) -> RequestMetadata | None:
        """What plugins tell of it, where the plugin metadata collects that."""
        return getattr(self if self.depth else self.origin, "_metadata", None)

    @metadata.setter
    def metadata(self, metadata: RequestMetadata) -> None:
        (self if self.depth else self.origin)._metadata = metadata

    @property
    def verified(self) -> Verified | None:
        """The client's signature and what it is worth, where the plugin tsig has looked at it (RFC 8945)."""
        return getattr(self.origin, "_verified", None)

    def signed_with(self, verified: Verified) -> None:
        """Has the plugins behind know the client's signature, and the answer not remembered."""
        origin = self.origin
        origin._verified, origin.personal = verified, True

    def count_internal(self) -> int:
        """How many questions of the server's own the client's has led to, with one more."""
        origin = self.origin
        origin._internal = getattr(origin, "_internal", 0) + 1
        return origin._internal

    def records(self) -> Iterator[Record]:
        """The records behind its question."""
        return records_of(self.wire, BESIDE_NAME + len(self.asked), self.header)

    def records_size(self) -> int:
        """Octets of these before compression (a NOTIFY has some, or an IXFR), but for the OPT record that counts."""
        return sum(len(each.wire()) for each in self.records()) - len(self.tail.record())

    def make_personal(self) -> None:
        """Keeps the answer from being remembered: it depends on chance, time or the client."""
        self.personal = True

    def replace(self, name: bytes | None = None, tail: Tail | None = None, deeper: bool = False) -> Request:
        """The same question with another name (wire form) or tail; ``deeper`` for one the server asks itself."""
        asked = self.asked if name is None else name
        tail = tail or self.tail
        opt = tail.record()
        counts = (self.header.bits, 1, 0, 0, bool(opt))
        wire = b"%b%b%b%b%b" % (self.wire[:2], COUNTS.pack(*counts), asked, tail.question, opt)
        return _Derived(self, wire, asked, tail, self.listener, self.depth + deeper)

    def at(self, listener: Listener) -> Request:
        """The same question as if it came there, and nobody waited for the answer."""
        return _Derived(self, self.wire, self.asked, self.tail, listener, self.depth, alone=True)

    def with_flags(self, given: int, taken: int) -> Request:
        """The same question with bits of its header set and cleared; an answer repeats what it now says (RFC 1035 §4.1.1)."""
        bits = self.header.bits & ~taken | given
        wire = b"%b%b%b" % (self.wire[:2], bits.to_bytes(2, "big"), self.wire[4:])
        changed = _Derived(self, wire, self.asked, self.tail, self.listener, self.depth)
        if not self.depth:
            self.origin.header = changed.header
        return changed

    @classmethod
    def read(cls, wire: bytes, peer: object, listener: Listener, received: int) -> Self:
        """A query from its wire form, checked in full; raises Malformed. A mere header has no name, and NOTHING for a tail."""
        header = header_of(wire[2:12])
        if len(wire) == 12:
            return cls(wire, header, b"", NOTHING, peer, listener, received)
        format_error, question = header.bits & KEPT_BITS | QR | types.FORMERR, b""
        try:
            asked, end = names.read(wire, 12)
            if end != 12 + len(asked):
                raise BadMessageError("compressed question")
            question = wire[12 : end + 4] if len(wire) >= end + 4 else b""
            tail = tail_of(wire, end, header)
        except (names.BadNameError, BadMessageError):
            raise Malformed(format_error, question) from None
        return cls(wire, header, asked, tail, peer, listener, received)


class _Derived(Request):
    """A question made from another: what it learns of the client is told to the first."""

    __slots__ = ("_origin", "depth")

    def __init__(
        self, of: Request, wire: bytes, asked: bytes, tail: Tail, listener: Listener, depth: int, alone: bool = False
    ) -> None:
        """``alone``: nobody waits for the answer."""
        super().__init__(wire, header_of(wire[2:12]), asked, tail, of.peer, listener, of.received)
        self.authentic = of.authentic
        self._origin = None if alone else of.origin
        self.depth = depth
        if depth and depth == of.depth and of.metadata is not None:
            self._metadata = of.metadata

    @property
    def origin(self) -> Request:
        """The client's question."""
        return self._origin or self

    def make_personal(self) -> None:
        """Keeps the answer to the client's question from being remembered."""
        self.origin.personal = True
