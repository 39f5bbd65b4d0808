"""What the octets of a query say besides its name: its header and its tail, each parsed once per distinct octets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING

from pycoredns.spelling import COOKIE_HEAD, COOKIE_SIZE
from pycoredns.wire import edns, types
from pycoredns.wire.base64 import HOLD_BASE64
from pycoredns.wire.message import BadMessageError, Record, read_record

if TYPE_CHECKING:
    from pycoredns.direct import Shape
    from pycoredns.relayed import Plainness

SMALLEST_LIMIT = 512
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
"""Bits of a header's second word (RFC 1035 §4.1.1, RFC 2535 §6.1)."""
OPCODE = 0x7800
"""Bits of the same word."""
KEPT_BITS = TC | RD | RA | AD | CD
"""What CoreDNS leaves of a header in its answer to what it could not read."""
_KEPT_HEADERS, _KEPT_TAILS, _USUAL_TAIL = 64, 512, 15  # 17 MB at most, and hardly ever more than some hundred tails
COUNTS = Struct("!HHHHH")
"""A header behind its ID: the bits, then how many records there are of each section."""
_QUESTION = Struct("!HH")
_OPT_FIXED = Struct("!HBBHH")
OPT_HEAD = b"\0" + types.OPT.to_bytes(2, "big")
BESIDE_NAME = 16
"""Octets of a plain question's message besides its name."""
_OPT_SIZE = 11
_COOKIE_OPTION_SIZE = len(COOKIE_HEAD) + COOKIE_SIZE
_COOKIE_ONLY = _COOKIE_OPTION_SIZE.to_bytes(2, "big") + COOKIE_HEAD
"""In an OPT record with a client's cookie only: the size of all options, then the option."""


class Malformed(Exception):
    """A query that gets an error at once: ``reply_bits`` is the answer's second header word, ``question`` what it echoes."""

    def __init__(self, reply_bits: int, question: bytes = b"") -> None:
        """Takes the answer's flags with its response code, and the question section it echoes, if any."""
        super().__init__(types.rcode_text(reply_bits & 15))
        self.reply_bits = reply_bits
        self.question = question


class Header:
    """What the ten octets behind a query's ID say: parsed once per distinct octets (RFC 1035 §4.1.1)."""

    __slots__ = (
        "additionals",
        "bits",
        "direct",
        "heads",
        "opcode",
        "plain",
        "plainness",
        "reply_bits",
        "skip",
        "tails",
        "with_ad",
    )

    def __init__(self, octets: bytes) -> None:
        """Raises Malformed for what is no question, which gets no answer, or for what gets an error before it is read."""
        bits, questions, answers, authorities, additionals = COUNTS.unpack(octets)
        if bits & QR:
            raise Malformed(0)
        self.bits = bits
        self.opcode = bits >> 11 & 15
        if self.opcode not in (types.QUERY, types.NOTIFY):
            raise Malformed(bits & (OPCODE | KEPT_BITS) | QR | types.NOTIMP)
        if questions != 1 or answers > 1 or authorities > 1 or additionals > 2:
            raise Malformed(bits & KEPT_BITS | QR | types.FORMERR)
        self.skip = answers + authorities
        self.additionals = additionals
        self.plain = not self.skip and additionals < 2
        self.tails: dict[bytes, Tail] = {}
        """The usual tails of queries with this header, by their octets."""
        self.with_ad = COUNTS.pack(bits | AD, questions, answers, authorities, additionals)
        """The ten octets with AD set: the wish to see that bit in the answer (RFC 6840 §5.7)."""
        self.reply_bits = QR | bits & OPCODE | (bits & (RD | CD) if self.opcode == types.QUERY else 0)
        self.direct = self.plain and self.opcode == types.QUERY and not bits & CD
        """Does its answer depend on the rest of the query only?"""
        self.heads: tuple[dict[Shape, bytes], dict[Shape, bytes]] = {}, {}
        """Of answers to such queries, by what they have in common: without an OPT record, and with one."""
        self.plainness: dict[bytes, Plainness] = {}
        """Of answers from elsewhere, by the ten octets behind their ID; see ``pycoredns.relayed.plainness``."""

    def forget(self) -> None:
        """Lets go of all that was learned with it: remembered replies may hold it for long."""
        for learned in (self.tails, self.plainness, *self.heads):
            learned.clear()


class Tail:
    """What stands behind a query's name, that is type, class and OPT record: parsed once per distinct octets."""

    __slots__ = (
        "bare_opt",
        "beside",
        "cookie",
        "direct",
        "do",
        "edns",
        "expects_base64",
        "flags",
        "id_less_opt",
        "key",
        "limit",
        "opt",
        "options",
        "qclass",
        "qtype",
        "question",
        "size",
        "usual",
        "version",
    )

    def __init__(self, qtype: int, qclass: int, opt: Record | None = None) -> None:
        """Raises BadMessageError where an option of the OPT record is cut off."""
        self.qtype = qtype
        self.qclass = qclass
        self.question = _QUESTION.pack(qtype, qclass)
        self.edns = opt is not None
        self.size, ttl, self.options = (opt.rclass, opt.ttl, opt.rdata) if opt else (0, 0, b"")
        self.limit = max(SMALLEST_LIMIT, self.size)
        self.version = ttl >> 16 & 0xFF
        self.flags = ttl & 0xFFFF
        self.do = bool(ttl & edns.DO)
        self.key = self.question + (b"\1" if self.do else b"\0")
        """With the name, what answers are kept under: type, class and DO."""
        self.opt = edns.opt(self.size, ttl & 0xFF00, edns.echoed(self.options)) if opt else b""
        self.bare_opt = edns.opt(self.size, ttl & edns.DO) if opt else b""
        """The OPT record of an answer that says nothing of its own in it."""
        self.id_less_opt = 2 - len(self.opt)
        """What CoreDNS counts of a reply, less the reply without its ID: the octets of the ID, less those of the OPT record."""
        self.beside = BESIDE_NAME + (_OPT_SIZE + len(self.options) if opt else 0)
        """Octets of a question's message besides its name; 0 where there is more in it, or less, than it takes."""
        self.cookie = len(self.options) == _COOKIE_OPTION_SIZE and self.options.startswith(COOKIE_HEAD)
        """Is its only option a client's cookie (RFC 7873 §4)?"""
        asks_for_base64 = qtype in HOLD_BASE64 or qtype == types.ANY
        self.expects_base64 = self.do or asks_for_base64
        """May there be signatures or keys in the answer?"""
        self.usual = qclass == types.IN and qtype != types.DS and not self.version
        """Nothing to be checked before its block is known."""
        self.direct = self.usual and not asks_for_base64 and qtype not in types.TRANSFERS and (self.cookie or not self.options)
        """May its answer be looked up by name, type and DO alone (see ``pycoredns.direct``)? Its header has a say, too."""

    def with_cookie(self, cookie: bytes) -> Tail:
        """The same, which has no options, with a COOKIE as the only one, in wire form (RFC 7873 §4)."""
        other = object.__new__(Tail)
        other.qtype, other.qclass, other.question, other.key = self.qtype, self.qclass, self.question, self.key
        other.edns, other.size, other.limit, other.version = self.edns, self.size, self.limit, self.version
        other.flags, other.do, other.usual, other.expects_base64 = self.flags, self.do, self.usual, self.expects_base64
        other.direct, other.bare_opt = self.direct, self.bare_opt
        other.options, other.cookie, other.beside = cookie, True, self.beside + len(cookie)
        other.opt = self.opt[:-2] + _COOKIE_ONLY[:2] + cookie
        other.id_less_opt = 2 - len(other.opt)
        return other

    def record(self) -> bytes:
        """The query's OPT record, empty without EDNS."""
        return edns.opt(self.size, self.flags, self.options, version=self.version) if self.edns else b""

    def replace(
        self, qtype: int | None = None, size: int | None = None, do: bool | None = None, options: bytes | None = None
    ) -> Tail:
        """The same with another type, or another OPT record; ``size``, ``do`` or ``options`` add one where there is none."""
        opt = None
        if self.edns or (size, do, options) != (None, None, None):
            flags = self.flags if do is None else self.flags & ~edns.DO | edns.DO * do
            opt = Record(
                b"\0",
                types.OPT,
                (self.size or SMALLEST_LIMIT) if size is None else size,
                self.version << 16 | flags,
                self.options if options is None else options,
            )
        return Tail(self.qtype if qtype is None else qtype, self.qclass, opt)


NOTHING = Tail(0, 0)
"""The tail of a message that ends where its question should begin."""
headers: dict[bytes, Header] = {}
"""The headers seen so far, by their ten octets behind the ID."""


def header_of(octets: bytes) -> Header:
    """The header of a query from the ten octets behind its ID; raises Malformed."""
    header = headers.get(octets)
    if header is None:
        header = Header(octets)
        if len(headers) >= _KEPT_HEADERS:
            for each in headers.values():
                each.forget()
            headers.clear()
        headers[octets] = header
    return header


def tail_of(wire: bytes, end: int, header: Header) -> Tail:
    """The tail of a query whose name ends before ``end``; raises BadMessageError."""
    tails, octets = header.tails, wire[end:]
    tail = tails.get(octets)
    if tail is None:
        if (
            octets[13:19] == _COOKIE_ONLY
            and len(octets) == 27
            and octets[4:7] == OPT_HEAD
            and header.additionals
            and header.plain
        ):
            # a client makes a new cookie for each query: the rest is known
            return tail_of(wire[: end + 13] + b"\0\0", end, header).with_cookie(octets[15:])
        tail = _read_tail(wire, end, header)
        tail.direct = tail.direct and header.direct
        if header.plain and not tail.options and len(octets) <= _USUAL_TAIL:
            if len(tails) >= _KEPT_TAILS:
                tails.clear()
            tails[octets] = tail
    return tail


def _read_tail(wire: bytes, end: int, header: Header) -> Tail:
    """Type, class and, among the records that follow, the last OPT."""
    present = len(wire) - end
    if present in (0, 2):  # CoreDNS takes a missing type or class for 0
        return Tail(int.from_bytes(wire[end : end + 2], "big"), 0)
    try:
        qtype, qclass = _QUESTION.unpack_from(wire, end)
        if header.plain and header.additionals and wire[end + 4 : end + 7] == OPT_HEAD:
            return _plain_tail(wire, end, qtype, qclass)
    except struct.error:
        raise BadMessageError("question is cut off") from None
    tail = Tail(qtype, qclass, _last_opt(wire, end + 4, header))
    if header.skip or header.additionals:
        tail.beside = 0
    return tail


def _plain_tail(wire: bytes, end: int, qtype: int, qclass: int) -> Tail:
    """The usual case: one OPT record right behind the question."""
    size, _, version, flags, length = _OPT_FIXED.unpack_from(wire, end + 7)
    options = wire[end + 15 : end + 15 + length]
    if len(options) < length:
        raise BadMessageError("OPT is cut off")
    edns.check(options)
    return Tail(qtype, qclass, Record(b"\0", types.OPT, size, version << 16 | flags, options))


def _last_opt(wire: bytes, place: int, header: Header) -> Record | None:
    """The last OPT of the additional section."""
    found = None
    for number, each in enumerate(records_of(wire, place, header)):
        if each.rtype == types.OPT:
            edns.check(each.rdata)
            found = each if number >= header.skip else found
    return found


def records_of(wire: bytes, place: int, header: Header) -> Iterator[Record]:
    """The records of a query; those that the counts promise but that are not there do not matter."""
    for _ in range(header.skip + header.additionals):
        if place >= len(wire):  # past it where the question's own type or class is missing
            break
        each, place = read_record(wire, place)
        yield each
