"""Zones from master files, read again when they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pycoredns.background import in_background
from pycoredns.corefile.configure import parse_directives
from pycoredns.corefile.kinds import Fallthrough, Ignored, Zone
from pycoredns.corefile.model import Directive
from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import Argument, Arguments, Context, Option, Repetition, zones_of_block
from pycoredns.durations import duration_text
from pycoredns.errors import StartError
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.wire.names import to_text
from pycoredns.zone.building import BadZoneError, OtherZoneError
from pycoredns.zone.files import ZoneFile
from pycoredns.zone.holder import HoldsZones

log = logger("plugin/file")


@changeable
class File(HoldsZones):
    """Answer for zones from master files, and read these again when their serial has changed."""

    repeated: ClassVar[Repetition] = "merged"

    file: Annotated[Path, Argument("the master file", placeholder="DBFILE")]
    zones: Annotated[tuple[Zone, ...], Arguments("zones that the file is read for", otherwise=zones_of_block)] = ()
    reload: Annotated[Duration, Option("how often the file is looked at; 0: only at the start", surplus=True)] = Duration(60)
    reload_by_mtime: Annotated[bool, Option("read a newer file even if its serial is the same")] = False
    through: Annotated[Fallthrough, Option("pass questions for missing names on", name="fallthrough")] = Fallthrough()
    upstream: Annotated[Ignored | None, Option("has no meaning any more")] = None

    @classmethod
    def from_directives(cls, directives: Sequence[Directive], context: Context) -> Self:
        """All lines of a block make one plugin, so that the longest zone answers; ``reload`` holds for the lines below it too."""
        first, *others = parse_directives(cls, directives, context)
        interval = first.reload
        for directive, other in zip(directives[1:], others, strict=True):
            interval = other.reload if any(line.name.text == "reload" for line in directive.lines) else interval
            first._join(other, interval)
        return first

    def __post_init__(self) -> None:
        """Reads nothing yet."""
        super().__post_init__()
        self._files = {bytes(zone): ZoneFile(self.file, bytes(zone), self.reload_by_mtime) for zone in self.zones}
        self._intervals = dict.fromkeys(self._files, float(self.reload))
        self._settle()

    def _join(self, other: File, interval: float) -> None:
        self._files |= other._files
        self._intervals |= dict.fromkeys(other._files, interval)
        self.zones = (*self.zones, *(zone for zone in other.zones if zone not in self.zones))
        self.through = other.through if other.through.zones else self.through
        self._settle()

    def _settle(self) -> None:
        for origin in self._files:
            self.hold(origin)
        self.fall_through(self.through)

    # --- reading

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads the files, and again when they have changed; raises StartError with all that is wrong with them."""
        faults = [fault async for fault in self._load_all()]
        if faults:
            raise StartError("\n".join(f"plugin/file: {fault}" for fault in faults))
        tasks = [asyncio.create_task(self._watch(origin)) for origin in self._files if self._intervals[origin]]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _load_all(self) -> AsyncIterator[str]:
        for origin, file in self._files.items():
            try:
                if file.has_changed():
                    await self._load(file)
            except OtherZoneError as error:
                log.error('Parsing zone "%s": %s', to_text(origin), error)
            except BadZoneError as error:
                yield str(error)
            except OSError as error:
                fault = f"open {file.path}: {(error.strerror or '').lower()}"
                if not self._may_come(origin, error):
                    yield fault
                else:
                    log.warning('Failed to open "%s": trying again in %s', fault, duration_text(self._intervals[origin]))
                    file.forget()  # one that does not come is told at the first look, too

    def _may_come(self, origin: bytes, error: OSError) -> bool:
        """May a file that cannot be read be there later? A folder will hardly become one."""
        return self._intervals[origin] > 0 and not isinstance(error, IsADirectoryError)

    async def _load(self, file: ZoneFile) -> bool:
        """Reads a file and serves it; False if its serial is the same."""
        loaded = await in_background(file.load)
        if loaded is not None:
            self.publish(*loaded)
        return loaded is not None

    async def _watch(self, origin: bytes) -> None:
        file = self._files[origin]
        while True:
            await asyncio.sleep(self._intervals[origin])
            try:
                await self._look(file)
            except Exception as error:  # a background step ends here; the next look may go better
                log.error("%s could not be read: %r", file.path, error, exc_info=error)

    async def _look(self, file: ZoneFile) -> None:
        """Reads a file again if it has changed; one that is broken or gone leaves what was read before, and is told once."""
        if not await asyncio.to_thread(file.has_changed):
            return
        try:
            if await self._load(file) and file.zone is not None:
                zone, serial = to_text(file.origin), file.zone.serial
                log.info('Successfully reloaded zone "%s" in "%s" with %d SOA serial', zone, file.path, serial)
        except BadZoneError as error:
            log.error('Parsing zone "%s": %s', to_text(file.origin), error)
        except OSError as error:
            told = (to_text(file.origin), file.path, file.path, (error.strerror or str(error)).lower())
            log.error('Failed to open zone "%s" in "%s": open %s: %s', *told)

    def faults(self) -> Iterator[BadZoneError]:
        """What is wrong with the files, which are read for that."""
        for file in self._files.values():
            try:
                file.load()
            except BadZoneError as error:
                yield error
            except OSError as error:
                if not self._may_come(file.origin, error):
                    yield BadZoneError(str(file.path), f"cannot be read: {error.strerror}")

    def doubts(self, served: Sequence[tuple[str, int]]) -> Iterator[str]:
        """Files that are not there yet."""
        for file in self._files.values():
            if self._intervals[file.origin] and not file.path.exists():
                yield f"{file.path} does not exist: {to_text(file.origin)} gets SERVFAIL until it does"

    def take_over(self, old: Self) -> None:
        """Keeps the zones of files that have not changed."""
        for origin, file in self._files.items():
            before, served = old._files.get(origin), old.zone(origin)
            if before is not None and before.path == file.path and served is not None:
                file.adopt(before, served)
                self.adopt(old, origin)
