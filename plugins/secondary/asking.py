"""Asking a primary: which version it has, and for the zone or what changed in it (RFC 5936, RFC 1995)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from struct import Struct
from time import monotonic, time

from pycoredns.background import in_background
from pycoredns.corefile.servers import ServerAddress
from pycoredns.output import logger
from pycoredns.plugins.secondary.incoming import Incoming, TransferError, serial_of
from pycoredns.tsig import BadTSIGError, Key, Verifier, sign
from pycoredns.wire import message, names, types
from pycoredns.wire.message import BadMessageError, Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.journal import Difference
from pycoredns.zone.zone import Zone

log = logger("plugin/secondary")
CONNECT_PATIENCE, PATIENCE, LONGEST = 5.0, 15.0, 3600.0
"""Seconds for a connection, for the next message, and for a whole transfer."""
WHOLE_ONLY = 600.0
"""Seconds in which a primary that could not give the changes of a zone is not asked for them again."""
_OCTETS_A_RECORD = 200
"""What a record takes on average, at most, where all of a transfer's records are counted."""
_SMALLEST_BOUND = 1 << 26
_INLINE = 4096
"""Octets of a message that are read at once; more are read by a thread, while others are answered."""
_HEADER = Struct("!HHHHHH")
_QR_OPCODE_TC = 0xFA00


@dataclass
class Primary:
    """A name server that has one of our zones; ``key`` signs what it is asked."""

    server: ServerAddress
    key: Key | None = None
    whole_until: float = 0.0
    """Until then it is asked for the whole zone only."""


class Conversation:
    """One question to a primary over a connection, and the messages that answer it."""

    def __init__(self, reader: asyncio.StreamReader, origin: bytes, wire: bytes, verifier: Verifier | None) -> None:
        """``wire`` is the question as it was sent; ``verifier`` takes each message that answers a signed one."""
        self._reader = reader
        self._origin = origin
        self._identity = wire[:2]
        self._qtype = wire[12 + len(origin) : 14 + len(origin)]
        self._verifier = verifier
        self._first = True
        self.octets = 0

    async def next(self) -> list[Record]:
        """The answer section of the next message; raises TransferError, OSError or TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            try:
                size = int.from_bytes(await self._reader.readexactly(2), "big")
                wire = await self._reader.readexactly(size)
            except asyncio.IncompleteReadError:
                raise TransferError("the connection was closed too early") from None
        self.octets += size
        return await in_background(lambda: self._read(wire)) if size > _INLINE else self._read(wire)

    def _read(self, wire: bytes) -> list[Record]:
        self._verify(wire)
        if len(wire) < _HEADER.size:
            raise TransferError("a message is cut off")
        _, bits, questions, answers, _, _ = _HEADER.unpack_from(wire)
        if wire[:2] != self._identity or bits & _QR_OPCODE_TC != 0x8000:
            raise TransferError("a message does not answer our question")
        if bits & 15:
            raise TransferError(f"the primary says {types.rcode_text(bits & 15)}")
        try:
            place = self._behind_question(wire, questions)
            return message.read_records(wire, place, answers, {})[0]
        except (names.BadNameError, BadMessageError) as error:
            raise TransferError(f"a message cannot be read: {error}") from None

    def _verify(self, wire: bytes) -> None:
        if self._verifier is not None:
            try:
                self._verifier.feed(wire, time())
            except BadTSIGError as error:
                raise TransferError(f"TSIG: {error}{_refusal(wire)}") from None

    def _behind_question(self, wire: bytes, questions: int) -> int:
        """Where the answers begin; only the first message must repeat the question (RFC 5936 §2.2.1)."""
        if questions > 1 or (self._first and not questions):
            raise TransferError("a message does not repeat our question")
        self._first = False
        if not questions:
            return _HEADER.size
        name, place = names.read(wire, _HEADER.size)
        if name.lower() != self._origin or wire[place : place + 2] != self._qtype:
            raise TransferError("a message answers another question")
        return place + 4

    def finish(self) -> None:
        """All messages have come; raises TransferError where the last one was not signed and had to be."""
        if self._verifier is not None:
            try:
                self._verifier.finish()
            except BadTSIGError as error:
                raise TransferError(f"TSIG: {error}") from None


def _refusal(wire: bytes) -> str:
    """The response code of a message that is not signed as it should be, for who looks for the reason."""
    rcode = wire[3] & 15 if len(wire) > 3 else 0
    return f" (the primary says {types.rcode_text(rcode)})" if rcode else ""


@asynccontextmanager
async def asking(primary: Primary, origin: bytes, qtype: int, ours: Record | None = None) -> AsyncIterator[Conversation]:
    """Asks a primary about a zone; ``ours`` is the SOA of the version that IXFR starts from. Raises OSError or TimeoutError."""
    authority = ours.wire() if ours is not None else b""
    number = secrets.randbits(16)
    wire = _HEADER.pack(number, 0, 1, 0, bool(authority), 0) + origin + qtype.to_bytes(2, "big") + b"\0\1" + authority
    verifier = None
    sent = wire
    if primary.key is not None:
        sent, mac = sign(wire, primary.key, time())
        verifier = Verifier(primary.key, mac)
    async with asyncio.timeout(CONNECT_PATIENCE):
        reader, writer = await asyncio.open_connection(primary.server.host, primary.server.port)
    try:
        writer.write(len(sent).to_bytes(2, "big") + sent)
        yield Conversation(reader, origin, wire, verifier)
    finally:
        writer.transport.abort()


async def serial_at(primary: Primary, origin: bytes) -> int:
    """The serial of a primary's version; raises TransferError, OSError or TimeoutError."""
    async with asking(primary, origin, types.SOA) as conversation:
        records = await conversation.next()
        conversation.finish()
    for each in records:
        if each.rtype == types.SOA and each.name.lower() == origin and len(each.rdata) >= 22:
            return serial_of(each)
    raise TransferError("the primary does not say its SOA")


async def fetch(primary: Primary, origin: bytes, ours: Zone | None, most: int) -> tuple[Zone, Difference | None]:
    """A primary's version of a zone, and what changed from ours.

    A primary that cannot give the changes, whatever the reason, is asked for the whole zone. Raises NothingNewer, TransferError,
    BadZoneError, OSError or TimeoutError; ``most`` is how many records there may be.
    """
    if ours is None or monotonic() < primary.whole_until:
        return await _transfer(primary, origin, types.AXFR, ours, most)
    try:
        return await _transfer(primary, origin, types.IXFR, ours, most)
    except (TransferError, BadZoneError, OSError) as error:  # it does not know IXFR, or its steps do not fit (RFC 1995 §4)
        log.info("Zone %s: the changes cannot be had from %s: %s", names.to_text(origin), primary.server, reason(error))
    found = await _transfer(primary, origin, types.AXFR, ours, most)
    primary.whole_until = monotonic() + WHOLE_ONLY  # not where it gives nothing at all
    return found


async def _transfer(primary: Primary, origin: bytes, qtype: int, ours: Zone | None, most: int) -> tuple[Zone, Difference | None]:
    incoming = Incoming(origin, ours, most)
    bound = max(most * _OCTETS_A_RECORD, _SMALLEST_BOUND)
    soa = ours.soa() if ours is not None and qtype == types.IXFR else None
    async with asyncio.timeout(LONGEST), asking(primary, origin, qtype, soa) as conversation:
        while not incoming.complete:
            records = await conversation.next()
            if not records:
                raise TransferError("a message has no records")
            if conversation.octets > bound:
                raise TransferError(f"it has more than {bound} octets")
            await _feed(incoming, records)
            await asyncio.sleep(0)  # small messages that are there already must not keep others waiting
        conversation.finish()
    return await in_background(incoming.zone)


async def _feed(incoming: Incoming, records: list[Record]) -> None:
    if len(records) < 100:
        incoming.feed(records)
    else:
        await in_background(lambda: incoming.feed(records))


def reason(error: Exception) -> str:
    """Why a primary could not be asked, in words."""
    if isinstance(error, TimeoutError) and not error.args:
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
