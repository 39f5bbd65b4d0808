"""Answers from tables that are kept up to date with a file."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pycoredns.answer import Answer
from pycoredns.background import beside
from pycoredns.corefile.configure import parse_directive
from pycoredns.corefile.kinds import Fallthrough, Zone
from pycoredns.corefile.model import Directive
from pycoredns.corefile.numbers import Duration, Whole
from pycoredns.corefile.options import (
    Argument,
    Arguments,
    BadValueError,
    ConfigError,
    Context,
    Option,
    OtherLines,
    zones_of_block,
)
from pycoredns.direct import Direct, unless
from pycoredns.errors import ServerFailure
from pycoredns.frozen import changeable
from pycoredns.metrics import Gauge
from pycoredns.output import logger
from pycoredns.plugin import Plugin
from pycoredns.plugins.hosts.reading import read
from pycoredns.plugins.hosts.table import SMALLEST_RECORD, Records, Table
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types

if TYPE_CHECKING:
    from pycoredns.service import Service

log = logger("plugin/hosts")

ETC_HOSTS = Path("/etc/hosts")
_MANY = 1024
"""Records of a name that are given as they are: all count in the answer's size, and loadbalance may put any first."""
_MAPPED = names.from_text("f.f.f.f" + 20 * ".0" + ".ip6.arpa")
_MAPPED_SIZE = len(names.from_text(32 * "0." + "ip6.arpa"))


class HostTTL(Whole):
    """A TTL in whole seconds."""

    placeholder = "SECONDS"
    lowest, highest = 1, 65535


DEFAULT_TTL = HostTTL(3600)


@changeable
class Hosts(Plugin):
    """Answer A, AAAA and PTR questions from a file like /etc/hosts, and from such lines in the Corefile."""

    entries_gauge = Gauge(
        "entries", "Addresses and names, those of the file and of the Corefile together.", "hostsfile", alike=True
    )
    reload_gauge = Gauge(
        "reload_timestamp_seconds", "When the file that was read last had been changed, in seconds since 1970.", alike=True
    )

    file: Annotated[Path, Argument("lines of ADDRESS NAME...")] = ETC_HOSTS
    zones: Annotated[tuple[Zone, ...], Arguments("zones whose names are answered", otherwise=zones_of_block)] = ()
    entries: Annotated[tuple[Directive, ...], OtherLines("ADDRESS NAME...", "hosts beside those of the file")] = ()
    ttl: Annotated[HostTTL, Option("TTL of all records", surplus=True)] = DEFAULT_TTL
    no_reverse: Annotated[bool, Option("make no PTR records", surplus=True)] = False
    reload: Annotated[Duration, Option("how often the file is looked at; 0: only at the start")] = Duration(5)
    through: Annotated[Fallthrough, Option("pass questions for unknown names on", name="fallthrough")] = Fallthrough()
    fallthrough_unsupported: Annotated[bool, Option("pass other types than A, AAAA and PTR on, even for known names")] = False

    @classmethod
    def from_directive(cls, directive: Directive, context: Context) -> Self:
        """Entries must stand before ``fallthrough``."""
        plugin = parse_directive(cls, directive, context)
        passed = False
        for line in directive.lines:
            passed = passed or line.name.text == "fallthrough"
            if line.block is not None:
                raise ConfigError(line.place, f'hosts: unexpected "{{" behind "{line.name}"', "an entry has no block")
            if passed and line in plugin.entries:
                raise ConfigError(line.place, f'hosts: unknown option "{line.name}"', "entries stand before fallthrough")
        if directive.arguments:
            plugin.look_for_file()
        return plugin

    def __post_init__(self) -> None:
        """Reads the lines of the Corefile."""
        if self.fallthrough_unsupported and not self.through.zones:
            cause = "fallthrough_unsupported needs fallthrough"
            raise BadValueError(cause, "add a line fallthrough", "fallthrough_unsupported")
        self._inline = self._new_table()
        for line in self.entries:
            text = " ".join(word.text for word in line.words)
            if not self._inline.add(text.encode()):
                log.warning('%s: "%s" is no address with names; it is passed over', line.place, text)
        self._version: tuple[int, int] | None = None
        self._complaint = ""
        self._timestamp = self.reload_gauge.cell()
        table = self._new_table()
        table.extend(self._inline)
        self._use(table)

    def _new_table(self) -> Table:
        return Table(self.zones, self.ttl, not self.no_reverse)

    def _use(self, table: Table) -> None:
        self._table = table
        self._exact = table.exact

    def look_for_file(self) -> None:
        """Warns of a file that is not there yet; raises BadValueError for one that cannot be looked at."""
        try:
            if self.file.is_dir():
                log.warning('Hosts file "%s" is a directory', self.file)
            self.file.stat()
        except FileNotFoundError:
            log.warning("File does not exist: %s", self.file)
        except OSError as error:
            raise BadValueError(f'"{self.file}" cannot be accessed: {error.strerror}') from error

    # --- answering

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Passes on what is not known."""
        return unless(lambda name, tail: not self._passes_on(name, tail.qtype), following)

    def handle(self, request: Request) -> Answer:
        """A name with its own records needs two look-ups; all else is decided behind."""
        exact = self._exact.get(request.tail.qtype)
        if exact is not None:
            records = exact.get(request.name)
            if records is not None:
                return _answer(request, records)
        return self._handle_rest(request)

    def _handle_rest(self, request: Request) -> Answer:
        """Wildcards, other types, and what is not known."""
        name, qtype, table = request.name, request.qtype, self._table
        if self._passes_on(name, qtype):
            return self.next(request)
        if qtype == types.PTR:
            return _answer(request, table.exact[types.PTR][_unmapped(name)])
        if qtype in (types.A, types.AAAA) and (records := table.find(qtype, name)):
            return _answer(request, records)
        if table.knows(name):
            return Response()
        raise ServerFailure  # for want of a SOA, without which NXDOMAIN cannot be said (RFC 2308 §5)

    def _passes_on(self, name: bytes, qtype: int) -> bool:
        """Do the plugins behind have their say?"""
        table = self._table
        if qtype == types.PTR:
            return not table.exact[types.PTR].get(_unmapped(name))
        if not table.serves(name):
            return True
        if not self.through.covers(name):
            return False
        return (self.fallthrough_unsupported and qtype not in (types.A, types.AAAA)) or not table.knows(name)

    # --- keeping up with the file

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads the file, and again whenever it has changed."""
        await self.refresh()
        async with beside(self._watch()) if self.reload else nullcontext():
            yield

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.reload)
            try:
                await self.refresh()
            except Exception as error:  # a background step ends here; the next look may go better
                log.error("%s could not be read: %r", self.file, error, exc_info=error)

    async def refresh(self) -> None:
        """Reads the file if its size or time has changed; while it cannot be read, what was read before holds."""
        try:
            found = await asyncio.to_thread(self.file.stat)
            version = (found.st_mtime_ns, found.st_size)
            if version == self._version:
                return
            table = self._new_table()
            if stat.S_ISREG(found.st_mode):
                await read(self.file, table)
        except OSError as error:
            self._complain(error)
            return
        self._complaint = ""
        self._version = version
        log.debug("Parsed hosts file into %d entries", table.entries)
        table.extend(self._inline)
        self._use(table)
        self.entries_gauge.cell(str(self.file)).value = table.entries
        self._timestamp.value = found.st_mtime
        self.changed()

    def _complain(self, error: OSError) -> None:
        """Once, until it is read again; of a missing file the start has told."""
        complaint = error.strerror or str(error)
        if complaint != self._complaint and not isinstance(error, FileNotFoundError):
            log.warning("%s cannot be read: %s", self.file, complaint)
        self._complaint = complaint

    def take_over(self, old: Self) -> None:
        """Keeps what has been read if it would be read the same."""
        if self._content() == old._content():
            self._version = old._version
            self._use(old._table)

    def _content(self) -> tuple[object, ...]:
        """All that decides what the table holds."""
        entries = [[word.text for word in line.words] for line in self.entries]
        return self.file, self.zones, self.ttl, self.no_reverse, entries


def _answer(request: Request, records: Records) -> Response:
    """An answer with the owner in lower case; of very many records no more than the client's size can hold."""
    if len(records) > _MANY:
        records = records[: request.limit // SMALLEST_RECORD + 1]
    name = request.name
    return Response(types.NOERROR, name + name.join(records), len(records))


def _unmapped(name: bytes) -> bytes:
    """The reverse name of an IPv4 address, for that of its mapped form in ip6.arpa (RFC 4291 §2.5.5.2); else the name itself."""
    if len(name) != _MAPPED_SIZE or name[:16:2] != 8 * b"\1" or not name.endswith(_MAPPED):
        return name
    try:
        nibbles = bytes.fromhex(name[15::-2].decode())
    except ValueError:
        return name
    return names.from_text(".".join(map(str, reversed(nibbles))) + ".in-addr.arpa")
