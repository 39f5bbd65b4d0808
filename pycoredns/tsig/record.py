"""The TSIG record of a message: found, read and written (RFC 8945 §4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError
from pycoredns.wire.walk import Found, walk

_COUNTS = Struct("!HHHH")
_ANY_CLASS_NO_TTL = b"\0\xff\0\0\0\0"
_TYPE = types.TSIG.to_bytes(2, "big")
_HEAD = _TYPE + _ANY_CLASS_NO_TTL
_ONE_RECORD = b"\0\1\0\0\0\0\0\1"
"""The counts of a message with one question and one additional record."""
_TIMERS = Struct("!HIH")
_SIZE = Struct("!H")
_ERROR = Struct("!HH")
_FIXED = Struct("!HHH")
_BEFORE_RDATA = 10
_FIXED_OCTETS = _BEFORE_RDATA + _TIMERS.size + _SIZE.size + _FIXED.size
_MOST_KEPT = 256
_read_names: dict[bytes, bytes] = {}
"""The names of keys and algorithms that were read, in lower case, by their octets: few come again and again."""


class BadTSIGError(ValueError):
    """A TSIG record that is malformed or out of its place, or does not prove what it should; the text says which."""


class Signature(NamedTuple):
    """What a TSIG record says; ``key`` and ``algorithm`` are names in lower-case wire form, ``time`` and ``fudge`` in seconds."""

    start: int
    """Where the record begins in its message."""
    key: bytes
    algorithm: bytes
    time: int
    fudge: int
    mac: bytes
    id: int
    """The ID of the message as its author sent it."""
    error: int = types.NOERROR
    other: bytes = b""

    @property
    def timers(self) -> bytes:
        """Time and fudge, as they are signed (RFC 8945 §4.3.3)."""
        return timers(self.time, self.fudge)

    @property
    def variables(self) -> bytes:
        """All of the record that is signed (RFC 8945 §4.3.3)."""
        return variables(self.key, self.algorithm, self.timers, self.error, self.other)

    @property
    def size(self) -> int:
        """Octets of the record."""
        return _FIXED_OCTETS + len(self.key) + len(self.algorithm) + len(self.mac) + len(self.other)

    def wire(self) -> bytes:
        """The record, uncompressed."""
        return wire(self.key, self.algorithm, self.timers, self.mac, _SIZE.pack(self.id), self.error, self.other)


def timers(time: int, fudge: int) -> bytes:
    """A time of 48 bits and its fudge, in seconds."""
    return _TIMERS.pack(time >> 32 & 0xFFFF, time & 0xFFFFFFFF, fudge)


def variables(key: bytes, algorithm: bytes, clocks: bytes, error: int, other: bytes) -> bytes:
    """All of a record that is signed (RFC 8945 §4.3.3); ``clocks`` are from ``timers``."""
    return b"%b%b%b%b%b%b" % (key, _ANY_CLASS_NO_TTL, algorithm, clocks, _ERROR.pack(error, len(other)), other)


def wire(key: bytes, algorithm: bytes, clocks: bytes, mac: bytes, identity: bytes, error: int, other: bytes) -> bytes:
    """A record, uncompressed; ``identity`` is the message's ID as it stands there."""
    size = len(algorithm) + _TIMERS.size + _SIZE.size + len(mac) + _FIXED.size + len(other)
    head, end = key + _HEAD + _SIZE.pack(size), identity + _ERROR.pack(error, len(other))
    return b"%b%b%b%b%b%b%b" % (head, algorithm, clocks, _SIZE.pack(len(mac)), mac, end, other)


def find(message: bytes, behind: int = 0) -> Signature | None:
    """The message's TSIG record, None without one; ``behind`` is the place behind its question, where that is known.

    Raises BadTSIGError where it is malformed, not the last record or not the only one (RFC 8945 §5.1), or where the message's
    records cannot be read.
    """
    if _TYPE not in message[12:]:
        return None
    try:
        if behind and message[4:12] == _ONE_RECORD and (only := _only(message, behind)):
            return only
        records = _records(message)
        signed = [number for number, found in enumerate(records) if found.rtype == types.TSIG]
        if not signed:
            return None
        if signed != [len(records) - 1] or len(records) <= sum(_COUNTS.unpack_from(message, 4)[1:3]):
            raise BadTSIGError("a TSIG record is not the last one")
        return _read(message, records[-1], _name(message, records[-1].start)[0])
    except (names.BadNameError, BadMessageError) as error:
        raise BadTSIGError(str(error)) from None


def _only(message: bytes, start: int) -> Signature | None:
    """The record where nothing but a question stands before it, as is usual; None where all must be looked at.

    It takes 12,000 instructions, and with a walk over names and records 45,000.
    """
    try:
        key, fixed = _name(message, start)
    except names.BadNameError:
        return None
    end = fixed + _BEFORE_RDATA + int.from_bytes(message[fixed + 8 : fixed + _BEFORE_RDATA], "big")
    if message[fixed : fixed + 2] != _TYPE or end > len(message):
        return None
    return _read(message, Found(start, fixed, end, types.TSIG, 0), key)


def _records(message: bytes) -> list[Found]:
    """The message's records; those that its counts promise but that are not there do not matter."""
    questions, *counts = _COUNTS.unpack_from(message, 4)
    place = 12
    for _ in range(questions):
        _, place = names.read(message, place)
        place += 4
    try:
        return walk(message, place, sum(counts))
    except BadMessageError:
        return list(_present(message, place, sum(counts)))


def _present(message: bytes, place: int, count: int) -> Iterator[Found]:
    """The records up to the message's end; raises BadMessageError where one is cut off."""
    while count and place < len(message):
        (found,) = walk(message, place, 1)
        yield found
        place, count = found.end, count - 1


def _read(message: bytes, found: Found, key: bytes) -> Signature:
    """The fields of a record, whose owner is known; nothing in it may be missing or left over."""
    if message[found.fixed + 2 : found.fixed + 8] != _ANY_CLASS_NO_TTL:
        raise BadTSIGError("a TSIG record is not of class ANY with TTL 0")
    algorithm, place = _name(message, found.fixed + _BEFORE_RDATA)
    rdata = message[place : found.end]
    if len(rdata) < 16:
        raise BadTSIGError("a TSIG record is cut off")
    high, low, fudge = _TIMERS.unpack_from(rdata)
    mac_end = 10 + _SIZE.unpack_from(rdata, 8)[0]
    if len(rdata) < mac_end + _FIXED.size:
        raise BadTSIGError("the MAC of a TSIG record is cut off")
    identity, error, size = _FIXED.unpack_from(rdata, mac_end)
    other = rdata[mac_end + _FIXED.size :]
    if len(other) != size:
        raise BadTSIGError("the other data of a TSIG record have not the length they should")
    return Signature(found.start, key, algorithm, high << 32 | low, fudge, rdata[10:mac_end], identity, error, other)


def _name(message: bytes, start: int) -> tuple[bytes, int]:
    """A name in lower case, and the place behind it; raises BadNameError."""
    place = message.find(0, start) + 1
    known = _read_names.get(message[start:place])  # there are whole names only, so that this is one
    if known is not None:
        return known, place
    name, place = names.read(message, start)
    if place - start == len(name):
        if len(_read_names) >= _MOST_KEPT:
            _read_names.clear()
        _read_names[name] = name.lower()
    return name.lower(), place


def unsigned(message: bytes, signature: Signature) -> bytes:
    """The message as it was before its TSIG record was added, with the ID its author gave it (RFC 8945 §4.3.2)."""
    additionals = int.from_bytes(message[10:12], "big") - 1
    head = b"%b%b%b" % (_SIZE.pack(signature.id), message[2:10], _SIZE.pack(additionals))
    return head + message[12 : signature.start]


def with_record(message: bytes, added: bytes) -> bytes:
    """The message with one more record at its end."""
    return b"%b%b%b%b" % (message[:10], _SIZE.pack(int.from_bytes(message[10:12], "big") + 1), message[12:], added)


def prefixed(mac: bytes) -> bytes:
    """A MAC as it is signed again: behind its length (RFC 8945 §4.3.1)."""
    return _SIZE.pack(len(mac)) + mac if mac else b""
