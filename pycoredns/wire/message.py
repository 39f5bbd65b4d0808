"""Whole messages: records out of them, records into them, with name compression where it is wanted (RFC 1035 §4)."""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from pycoredns.wire import base64, names, types

HEADER = Struct("!HHHHHH")
RECORD = Struct("!HHIH")
_COMPRESSIBLE = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15})
_HIGHEST_POINTER = 0x3FFF

NAME, STRING = -1, -2
"""Parts of a layout that are not so many octets: a name, a character string."""
LAYOUTS: dict[int, tuple[int, ...]] = {
    **dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12, 39), (NAME,)),
    **dict.fromkeys((15, 18, 21, 36), (2, NAME)),
    **dict.fromkeys((14, 17), (NAME, NAME)),
    6: (NAME, NAME, 20),
    26: (2, NAME, NAME),
    33: (6, NAME),
    35: (4, STRING, STRING, STRING, NAME),
    46: (18, NAME),
    47: (NAME,),
}
"""RDATA that holds names: octets, names and character strings in their order; what follows is taken as it is."""


class BadMessageError(ValueError):
    """Bytes that are not a DNS message."""


class Record(NamedTuple):
    """A resource record; its names are whole (not compressed), ``ttl`` in seconds."""

    name: bytes
    rtype: int
    rclass: int
    ttl: int
    rdata: bytes

    def wire(self) -> bytes:
        """The record as it stands in an uncompressed message."""
        return self.name + RECORD.pack(self.rtype, self.rclass, self.ttl, len(self.rdata)) + self.rdata


class Sections(NamedTuple):
    """The records of a message."""

    answer: list[Record]
    authority: list[Record]
    additional: list[Record]


def record(name: bytes, rtype: int, ttl: int, rdata: bytes, rclass: int = types.IN) -> bytes:
    """One record in uncompressed wire form."""
    return b"%b%b%b" % (name, RECORD.pack(rtype, rclass, ttl, len(rdata)), rdata)


def read_record(message: bytes, place: int, known: dict[int, bytes] | None = None) -> tuple[Record, int]:
    """The record at a place of a message, and the place behind it; names in its RDATA are made whole.

    For ``known`` see ``names.read``.
    """
    try:
        name, place = names.read(message, place, known)
        if place + 10 > len(message):
            raise BadMessageError("record is cut off")
        rtype, rclass, ttl, size = RECORD.unpack_from(message, place)
        place += 10
        end = place + size
        if end > len(message):
            raise BadMessageError("RDATA is cut off")
        layout = LAYOUTS.get(rtype)
        rdata = message[place:end] if layout is None or not size else _whole_rdata(message, place, end, layout, known)
    except names.BadNameError as error:
        raise BadMessageError(str(error)) from None
    return Record(name, rtype, rclass, ttl, rdata), end


def _whole_rdata(message: bytes, place: int, end: int, layout: Iterable[int], known: dict[int, bytes] | None) -> bytes:
    """RDATA with its compressed names made whole."""
    parts = []
    for part in layout:
        if part == NAME:
            name, behind = names.read(message, place, known)
            parts.append(name)
        else:
            behind = place + (part if part > 0 else 1 + message[place] if place < end else 1)
            parts.append(message[place:behind])
        if behind > end:
            raise BadMessageError("RDATA is shorter than its type needs")
        place = behind
    parts.append(message[place:end])
    return b"".join(parts)


def read_records(message: bytes, place: int, count: int, known: dict[int, bytes] | None = None) -> tuple[list[Record], int]:
    """So many records from a place on, and the place behind them. For ``known`` see ``names.read``."""
    found = []
    for _ in range(count):
        each, place = read_record(message, place, known)
        found.append(each)
    return found, place


def each_record(message: bytes, count: int) -> Iterator[Record]:
    """So many records from the beginning on, each read when its turn comes."""
    place = 0
    for _ in range(count):
        each, place = read_record(message, place)
        yield each


def read_sections(message: bytes) -> Sections:
    """The three sections of a message with one question or none; raises BadMessageError."""
    if len(message) < 12:
        raise BadMessageError("header is cut off")
    _, _, questions, answers, authorities, additionals = HEADER.unpack_from(message)
    place = 12
    known: dict[int, bytes] = {}
    for _ in range(questions):
        try:
            place = names.read(message, place, known)[1] + 4
        except names.BadNameError as error:
            raise BadMessageError(str(error)) from None
    answer, place = read_records(message, place, answers, known)
    authority, place = read_records(message, place, authorities, known)
    additional, _ = read_records(message, place, additionals, known)
    return Sections(answer, authority, additional)


class Packer:
    """Appends records to a message that begins with a header and question, compressing names (RFC 1035 §4.1.4).

    Names are compared with their case, so that each leaves as it was given.
    """

    def __init__(self, beginning: bytes, question: bytes) -> None:
        """``beginning`` ends with the question whose name is ``question``, at offset 12."""
        self.wire = bytearray(beginning)
        self.surplus = 0
        """Octets that CoreDNS would count besides."""
        self._places: dict[bytes, int] = {}
        self._note(question, 12, len(question))

    def _note(self, name: bytes, at: int, until: int) -> None:
        """Remembers where the first ``until`` octets' suffixes of a name were written."""
        place = 0
        while place < until and name[place]:
            if at + place <= _HIGHEST_POINTER:
                self._places.setdefault(name[place:], at + place)
            place += name[place] + 1

    def _known(self, name: bytes) -> tuple[int, int | None]:
        """How many octets of a name must be written, and where its rest stands."""
        place = 0
        while name[place]:
            at = self._places.get(name[place:])
            if at is not None:
                return place, at
            place += name[place] + 1
        return len(name), None

    def name(self, name: bytes, compress: bool = True) -> None:
        """Writes a name, its known ending as a pointer if that may be."""
        length, at = self._known(name)
        here = len(self.wire)
        if at is None or not compress:
            self.wire += name
        else:
            self.wire += name[:length] + (0xC000 | at).to_bytes(2, "big")
        self._note(name, here, length)

    def record(self, record: Record) -> None:
        """Writes a record."""
        self.name(record.name)
        self.wire += RECORD.pack(record.rtype, record.rclass, record.ttl, 0)
        here = len(self.wire)
        layout = LAYOUTS.get(record.rtype)
        if layout is None or not record.rdata:
            self.wire += record.rdata
        else:
            self._rdata(record.rdata, layout, record.rtype in _COMPRESSIBLE)
        self.wire[here - 2 : here] = (len(self.wire) - here).to_bytes(2, "big")

    def _rdata(self, rdata: bytes, layout: Iterable[int], compress: bool) -> None:
        place = 0
        for part in layout:
            if part == NAME:
                name, behind = names.read(rdata, place)
                self.name(name, compress)
            else:
                behind = place + (part if part > 0 else 1 + rdata[place])
                self.wire += rdata[place:behind]
            place = behind
        self.wire += rdata[place:]

    def fit(self, records: Iterable[Record], size: int) -> tuple[int, bool]:
        """Writes records until one would make the message longer than ``size`` octets; how many, and whether those are all."""
        number = 0
        for each in records:
            here = len(self.wire)
            self.record(each)
            surplus = self.surplus + base64.surplus(each.rtype, each.rdata)
            if len(self.wire) + surplus > size:
                del self.wire[here:]
                return number, False
            self.surplus = surplus
            number += 1
        return number, True


def fit(beginning: bytes, question: bytes, sections: Iterable[Iterable[Record]], size: int) -> tuple[bytes, tuple[int, int, int]]:
    """A compressed message of at most ``size`` octets, and how many records of each of three sections it holds.

    Once a record does not fit, no further one is written, as CoreDNS cuts its answers, nor is any asked for.
    """
    packer = Packer(beginning, question)
    counts = [0, 0, 0]
    for index, records in enumerate(sections):
        counts[index], complete = packer.fit(records, size)
        if not complete or len(packer.wire) + packer.surplus >= size:
            break
    return bytes(packer.wire), (counts[0], counts[1], counts[2])
