"""Master files (RFC 1035 §5), with $INCLUDE and $GENERATE: plain lines by themselves, all others by dnspython's reader."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import sleep, time_ns
from typing import TypeAlias, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.tokenizer
import dns.transaction
import dns.zonefile

from pycoredns.wire import names, types
from pycoredns.zone.building import BadZoneError, Builder
from pycoredns.zone.generating import BadGenerateError, generated
from pycoredns.zone.plain import DEFAULT_TTL, LONGEST_STRING, SPECIAL, TEXT, NotPlain, PlainLines
from pycoredns.zone.zone import Zone

Take: TypeAlias = Callable[[bytes, int, int, bytes], None]
"""Is given owner, type, TTL and RDATA of each record."""
Version: TypeAlias = tuple[int, ...]
"""What differs once a file has been written or replaced; nothing of one that is missing."""
DEEPEST_INCLUDE = 7
"""Files that may include each other in turn, as in CoreDNS."""
LONGEST_ENTRY = 1 << 20
"""Characters of one record, however many lines it has."""
_GENERATED_TTL = 3600
"""Seconds that records of $GENERATE are kept where no TTL has been said, as in CoreDNS."""
_TOO_LONG = "a record is too long, or a parenthesis or quote is not closed"
_TICK = 20_000_000
"""Nanoseconds: two of a kernel's slowest ticks."""
_PARTS = re.compile(r'(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<unclosed>".*)|\\.|;[^\n]*|[()]', re.DOTALL)
_BREAK = re.compile(r"\\.|\n", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[0-9]{3}|.)", re.DOTALL)
_COMMENT = re.compile(r";[^\n]*")
_LONE_HOST = re.compile(r"""(\sHINFO\s+)"([^"\\]*)"\s*\Z""")
"""Processor and system in one string, which CoreDNS divides at its first space."""
_INCLUDE = re.compile(r'\$INCLUDE[ \t]+(?:"([^"]+)"|([^\s;"]+))(?:[ \t]+([^\s;]+))?[ \t]*(?:;.*)?\s*', re.IGNORECASE)
_SAYS_NO_TTL = re.compile(r"(?:[^\s(]*[\s(]+IN|(?=\s))[\s(]+(?!IN[\s(])[A-Z]", re.IGNORECASE)
"""A record whose type stands behind a class, or first in a line, so that there is no TTL."""
_CAUGHT = re.compile(r"^.*?:\d+: |caught exception <class '[^']*'>: ")


def read_zone(path: Path, origin: bytes) -> Zone:
    """The zone that a master file holds; raises BadZoneError, which names file and line, and OSError."""
    return Reading(path, origin).zone()


def read_serial(path: Path, origin: bytes) -> int | None:
    """The serial of the zone's first SOA record in a file; None where something before it cannot be read. Raises OSError."""
    found: list[int] = []

    def take(name: bytes, rtype: int, ttl: int, rdata: bytes) -> None:
        if rtype == types.SOA and names.within(name.lower(), origin):
            found.append(int.from_bytes(rdata[-20:-16], "big"))
            raise _Enough

    with suppress(BadZoneError, _Enough):
        Reading(path, origin).read(take)
    return found[0] if found else None


def version_of(found: os.stat_result) -> Version:
    """Time, size and number of a file."""
    return found.st_mtime_ns, found.st_size, found.st_ino


def _settled(file: int) -> Version:
    """The same of a file that is to be read, once whoever writes it later must leave another time.

    File systems take the time from a clock that stands still for a tick: what is written twice within one has the same size and
    time, maybe. (Some count in seconds, as FAT does; there it may still be missed.)
    """
    found = os.fstat(file)
    if abs(time_ns() - found.st_mtime_ns) < _TICK:
        sleep(_TICK / 1e9)
        found = os.fstat(file)
    return version_of(found)


class _Enough(Exception):
    """The rest of the file does not matter."""


class Reading:
    """One go through a file and those it includes."""

    def __init__(self, path: Path, origin: bytes) -> None:
        """``origin`` is the zone's name in lower-case wire form."""
        self.files: dict[Path, Version] = {}
        """The files that were to be opened, as they were then; nothing of one that was written meanwhile."""
        self._path = path
        self._origin = origin

    def zone(self) -> Zone:
        """The zone; raises BadZoneError and OSError."""
        builder = Builder(self._origin)
        self.read(builder.add)
        try:
            return Zone(self._origin, builder.names())
        except BadZoneError as error:
            raise type(error)(str(self._path), error.cause) from None

    def read(self, take: Take) -> None:
        """Gives away each record; raises BadZoneError and OSError."""
        _MasterFile(self.files, self._path, self._origin, take).read()


class _MasterFile:
    """One file, and how far it has been read."""

    def __init__(
        self, files: dict[Path, Version], path: Path, origin: bytes, take: Take, within: _MasterFile | None = None
    ) -> None:
        """``origin`` is what relative names end in, ``within`` the file that includes this one."""
        self._files, self._path, self._take = files, path, take
        self._depth: int = within._depth + 1 if within else 0
        self._plain = PlainLines(origin)
        self._owner: bytes | None = None
        self._reader = dns.zonefile.Reader(
            dns.tokenizer.Tokenizer(""), dns.rdataclass.IN, cast(dns.transaction.Transaction, _Collector(self._take_read))
        )
        self._reader.current_origin = self._reader.last_name = _parsed(origin)
        if within is not None:
            for state in ("last_ttl", "last_ttl_known", "default_ttl", "default_ttl_known", "default_ttl_from_soa"):
                setattr(self._reader, state, getattr(within._reader, state))

    def read(self) -> None:
        """Reads all lines."""
        self._files[self._path] = ()
        # a byte order mark is no part of the first name; octets that are no UTF-8 are an error where they stand
        with self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            self._files[self._path] = _settled(file.fileno())
            number = 0
            try:
                # no more of a line than a record may have: a larger one, of a file that is none, is not looked through at once
                lines = enumerate(iter(partial(file.readline, LONGEST_ENTRY + 1), ""), 1)
                for number, line in lines:
                    if len(line) > LONGEST_ENTRY:
                        raise BadZoneError("", _TOO_LONG)
                    if not (self._read_plain(line) if SPECIAL.search(line) is None else self._read_text(line)):
                        self._read_entry(line, number, lines)
            except BadZoneError as error:
                raise error if error.place else BadZoneError(f"{self._path}:{number}", error.cause) from None
            if version_of(os.fstat(file.fileno())) != self._files[self._path]:
                self._files[self._path] = ()

    # --- plain lines: False where one is not

    def _read_plain(self, line: str) -> bool:
        words = line.split()
        if not words:
            return True
        try:
            if line[0] not in " \t":
                owner = self._plain.name(words.pop(0))
            elif (owner := self._owner or b"") == b"":
                return False
            return self._take_plain(owner, *self._plain.record(words))
        except NotPlain:
            return False

    def _read_text(self, line: str) -> bool:
        match = TEXT.fullmatch(line)
        if match is None:
            return self._read_ttl(line)
        try:
            owner = self._plain.name(match[1]) if match[1] else self._owner
        except NotPlain:
            return False
        if owner is None:
            return False
        text = match[3].encode("ascii")
        return self._take_plain(owner, int(match[2]) if match[2] else None, types.TXT, b"%c%b" % (len(text), text))

    def _read_ttl(self, line: str) -> bool:
        match = DEFAULT_TTL.fullmatch(line)
        if match is not None:
            self._reader.default_ttl, self._reader.default_ttl_known = int(match[1]), True
            self._reader.default_ttl_from_soa = False
        return match is not None

    def _take_plain(self, owner: bytes, ttl: int | None, rtype: int, rdata: bytes) -> bool:
        reader = self._reader
        if ttl is not None:
            reader.last_ttl, reader.last_ttl_known = ttl, True
        elif not reader.default_ttl_known:
            return False
        else:
            ttl = reader.default_ttl
        self._owner = owner
        self._take(owner, rtype, ttl, rdata)
        return True

    # --- all others

    def _read_entry(self, line: str, number: int, lines: Iterator[tuple[int, str]]) -> None:
        """Reads a record that may go on for some lines, or a directive."""
        entry, last = line, number
        depth, quoted = _left_open(line)
        broken = quoted
        while (depth > 0 or quoted) and len(entry) <= LONGEST_ENTRY:
            last, line = next(lines, (last, ""))
            if not line:
                break
            entry += line
            deeper, quoted = _left_open(f'"{line}' if quoted else line)
            depth += deeper
            broken = broken or quoted
        place = f"{self._path}:{number}"
        if len(entry) > LONGEST_ENTRY:
            raise BadZoneError(place, _TOO_LONG)
        if quoted:
            raise BadZoneError(place, f"a quote is not closed: {_shown(entry)}")
        if broken:
            entry = _PARTS.sub(_with_breaks, entry)
        try:
            if entry[:8].upper() == "$INCLUDE":
                self._include(entry, place)
            elif entry[:9].upper() == "$GENERATE":
                self._generate(entry, number)
            else:
                self._read_fully(entry, number)
        except BadGenerateError as error:
            raise BadZoneError(place, f"{error}: {_shown(entry)}") from None
        except dns.exception.DNSException as error:
            if self._read_unfolded(entry):
                return
            found = min(max(self._reader.tok.where()[1], number), last)
            raise BadZoneError(f"{self._path}:{found}", _cause(error, entry)) from None

    def _read_fully(self, entry: str, number: int) -> None:
        reader = self._reader
        reader.tok = _Tokens(_ESCAPE.sub(_as_digits, entry), str(self._path), _AS_IT_IS)
        reader.tok.line_number = number
        if self._owner is not None:
            reader.last_name = _parsed(self._owner)
        before = reader.current_origin
        # CoreDNS misses a TTL only where the type follows the owner; elsewhere it is 0 up to the first one that is said
        unsaid = not (reader.last_ttl_known or reader.default_ttl_known) and _SAYS_NO_TTL.match(entry) is not None
        if unsaid:
            reader.last_ttl, reader.last_ttl_known = 0, True
        reader.read()
        if unsaid:
            reader.last_ttl_known = False
        if reader.default_ttl_from_soa:  # a minimum is no TTL of those that say none (RFC 2308 §4)
            reader.default_ttl_known = reader.default_ttl_from_soa = False
        self._owner = reader.last_name.to_wire() if reader.last_name is not None else None
        if reader.current_origin is not before and reader.current_origin is not None:
            self._plain = PlainLines(reader.current_origin.to_wire() or names.ROOT)

    def _read_unfolded(self, entry: str) -> bool:
        """Reads a record that dnspython does not take, if it is a plain one but for comments and parentheses."""
        text = _LONE_HOST.sub(r"\1\2", _COMMENT.sub("", entry))
        line = text.replace("(", " ").replace(")", " ")
        return text.count("(") == text.count(")") and SPECIAL.search(line.replace(r"\#", "")) is None and self._read_plain(line)

    def _take_read(self, owner: bytes, rtype: int, ttl: int, rdata: bytes) -> None:
        """Takes what dnspython has read; to a SOA record without a TTL it gives the minimum, and CoreDNS none."""
        stated = self._reader.last_ttl_known or not self._reader.default_ttl_from_soa
        self._take(owner, rtype, ttl if stated else 0, rdata)

    def _generate(self, entry: str, number: int) -> None:
        reader = self._reader
        unsaid = not (reader.last_ttl_known or reader.default_ttl_known)
        for line in generated(entry):
            if line[0] == "$":
                raise BadGenerateError("$GENERATE makes records, not directives")
            if unsaid:
                reader.last_ttl, reader.last_ttl_known = _GENERATED_TTL, True
            if not (self._read_plain(line) if SPECIAL.search(line) is None else self._read_text(line)):
                self._read_fully(line, number)
        if unsaid:
            reader.last_ttl_known = False

    def _include(self, entry: str, place: str) -> None:
        match = _INCLUDE.fullmatch(entry)
        if match is None:
            raise BadZoneError(place, f"$INCLUDE needs the name of a file, and may have an origin: {_shown(entry)}")
        if self._depth >= DEEPEST_INCLUDE:
            raise BadZoneError(place, f"more than {DEEPEST_INCLUDE} files include each other")
        origin = self._plain.origin
        if match[3]:
            origin = dns.name.from_text(match[3], self._reader.current_origin, _AS_IT_IS).to_wire() or origin
        path = self._path.parent / (match[1] or match[2])
        try:
            _MasterFile(self._files, path, origin, self._take, self).read()
        except OSError as error:
            raise BadZoneError(place, f"{path} cannot be read: {error.strerror}") from None


def _left_open(line: str) -> tuple[int, bool]:
    """How many parentheses a line opens more than it closes, and whether it ends within quotes."""
    depth, quoted = 0, False
    for part in _PARTS.finditer(line):
        depth += (part[0] == "(") - (part[0] == ")")
        quoted = part["unclosed"] is not None
    return depth, quoted


def _with_breaks(part: re.Match[str]) -> str:
    """Line breaks in quotes as CoreDNS takes them, for a part of the text (RFC 1035 §5.1: any character but a quote)."""
    return _BREAK.sub(lambda found: r"\010" if found[0].endswith("\n") else found[0], part[0]) if part["quoted"] else part[0]


def _as_digits(escape: re.Match[str]) -> str:
    """A digit after a backslash is itself where there are no three, as in CoreDNS: NAPTR records are written with such."""
    return escape[0][1:] if len(escape[0]) == 2 and escape[0][1].isdigit() else escape[0]


def _cause(error: dns.exception.DNSException, entry: str) -> str:
    """What is wrong, in the reader's words, and with what."""
    text = str(error)
    while (shorter := _CAUGHT.sub("", text)) != text:
        text = shorter
    return f"{_shown(text).rstrip('.') or 'syntax error'}: {_shown(entry)}"


def _shown(entry: str) -> str:
    """A record of a file, as it can stand in a line of a log."""
    text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in " ".join(entry.split()))
    return text if len(text) <= 200 else f"{text[:197]}..."


def _parsed(name: bytes) -> dns.name.Name:
    return dns.name.Name([*names.labels(name), b""])


class _AsItIs(dns.name.IDNACodec):
    """Takes letters beyond ASCII for the octets they are written in, as CoreDNS does."""

    def encode(self, label: str) -> bytes:
        """UTF-8, or whatever octets stand there."""
        return label.encode("utf-8", "surrogateescape")


_AS_IT_IS: dns.name.IDNACodec = _AsItIs()  # type: ignore[no-untyped-call]  # its base class has no types there


class _Tokens(dns.tokenizer.Tokenizer):
    """Takes a text that is too long for one string as several, as CoreDNS does."""

    def get_remaining(self, max_tokens: int | None = None) -> list[dns.tokenizer.Token]:
        """The strings of a TXT record."""
        return [part for token in super().get_remaining(max_tokens) for part in _strings(token)]


def _strings(token: dns.tokenizer.Token) -> Iterator[dns.tokenizer.Token]:
    octets = token.unescape_to_bytes().value if len(token.value) > LONGEST_STRING else b""
    if len(octets) <= LONGEST_STRING:
        yield token
        return
    for place in range(0, len(octets), LONGEST_STRING):
        escaped = "".join(f"\\{octet:03d}" for octet in octets[place : place + LONGEST_STRING])
        yield dns.tokenizer.Token(token.ttype, escaped, True)


class _Collector:
    """Gives what dnspython reads away at once, where dnspython would build a zone of it."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self.manager = self

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        """Records outside the zone come too; whoever takes them decides."""
        return dns.name.root, False, dns.name.root

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        self._take(name.to_wire() or b"", rdata.rdtype, ttl, rdata.to_wire() or b"")

    def check_put_rdataset(self, check: object) -> None:
        """What may stand beside what is for others to say."""

    def add_unicode(self, version: str) -> None:
        """$UNICODE is no news."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """$ORIGIN is looked up in the reader."""
