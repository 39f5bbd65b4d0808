"""Zones from the files of a folder, which is looked through again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pycoredns.answer import Answer
from pycoredns.background import beside, in_background
from pycoredns.corefile.kinds import Ignored, Zone
from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import Arguments, BadValueError, Option, Repetition, zones_of_block
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugins.auto.folder import Look, look, shown
from pycoredns.plugins.auto.naming import WORKING_DIRECTORY, ZoneFiles
from pycoredns.request import Request
from pycoredns.wire import names
from pycoredns.wire.names import to_text
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.files import Loaded, ZoneFile
from pycoredns.zone.holder import HoldsZones

log = logger("plugin/auto")
reload_log = logger("plugin/file")  # CoreDNS's auto reads changed files by its file plugin, in whose name they are told
_AT_ONCE = 0.02
"""Seconds for which files are read before what has been read is served."""


@changeable
class Auto(HoldsZones):
    """Serve all zones whose master files lie in a folder: new files, changed serials and missing files are noticed."""

    repeated: ClassVar[Repetition] = "each"
    needs_all: ClassVar[bool] = False

    zones: Annotated[tuple[Zone, ...], Arguments("zones whose names are answered", otherwise=zones_of_block)] = ()
    directory: Annotated[ZoneFiles, Option("the folder, and how the names of its files name their zones")] = WORKING_DIRECTORY
    reload: Annotated[Duration, Option("how often it is looked through; 0: only at the start", surplus=True)] = Duration(60)
    upstream: Annotated[Ignored | None, Option("has no meaning any more")] = None

    def __post_init__(self) -> None:
        """Reads nothing yet; a folder that is not there may still come."""
        super().__post_init__()
        self._files: dict[bytes, ZoneFile] = {}
        self._told: set[str] = set()
        self._partly = False
        """Is a zone held of which only a part is to be answered?"""
        try:
            if not self.directory.dir.exists():
                log.warning("Directory does not exist: %s", self.directory.dir)
        except OSError as error:
            raise BadValueError(f'directory: "{self.directory.dir}" cannot be accessed: {error.strerror}') from error

    # --- questions

    def handle(self, request: Request) -> Answer:
        """Answers from the zone with the longest name that holds the one asked for, if that is to be answered here."""
        if self._partly and not self._answers(request.name):
            return self.next(request)
        return super().handle(request)

    def _answers(self, name: bytes) -> bool:
        return any(names.within(name, zone) for zone in self.zones)

    def elsewhere(self, request: Request) -> Answer:
        """Names without a file are passed on; where nobody stands behind, they are refused."""
        return super().elsewhere(request) if self._answers(request.name) else self.next(request)

    def notified(self, request: Request, origin: bytes) -> Answer:
        """A NOTIFY gets the zone's SOA record, as with CoreDNS, so that its sender does not try again."""
        return self.answered(request, origin)

    def counted_zone(self, name: bytes) -> bytes | None:
        """Each zone is counted for itself."""
        return self.origin_of(name)

    # --- the folder

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads all files, and then those that change."""
        await self._refresh()
        async with beside(self._watch()) if self.reload else nullcontext():
            yield

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.reload)
            try:
                await self._refresh()
            except Exception as error:  # a background step ends here; the next look may go better
                log.error("%s could not be looked through: %r", self.directory.dir, error, exc_info=error)

    async def _refresh(self) -> None:
        """Looks through the folder once, reads what is new, and drops what is gone."""
        seen, changed = await in_background(self._look)
        self._complain(seen.complaints)
        self._drop_missing(seen)
        while changed:
            for file, outcome in await in_background(partial(_load, changed)):
                self._take(file, outcome)

    def _look(self) -> tuple[Look, list[ZoneFile]]:
        """What is in the folder, and the files that are to be read, the next at the end; in a thread of its own."""
        seen, changed = look(self.directory), []
        for origin, path in reversed(seen.files.items()):
            file = self._files.get(origin)
            if file is None:
                changed.append(ZoneFile(Path(path), origin))
                continue
            file.path = Path(path)
            if file.has_changed():
                changed.append(file)
        return seen, changed

    def _complain(self, complaints: Sequence[str]) -> None:
        """Tells what is wrong once, until it is right again."""
        for complaint in complaints:
            if complaint not in self._told:
                log.warning("%s", complaint)
        self._told = set(complaints)

    def _drop_missing(self, seen: Look) -> None:
        for origin in self._files.keys() - seen.files.keys():
            if seen.knows(self._files[origin].path):
                del self._files[origin]
                self._drop(origin)

    def _drop(self, origin: bytes) -> None:
        """A file that never held a zone leaves none."""
        if self.zone(origin) is not None:
            self.drop(origin)
            log.info("Deleting zone `%s'", to_text(origin))

    def _take(self, file: ZoneFile, outcome: Loaded | Exception | None) -> None:
        """Serves what was read; where that failed, what was read before is served on."""
        self._files[file.origin] = file
        origin, path, is_new = to_text(file.origin), shown(file.path), self.zone(file.origin) is None
        if isinstance(outcome, Loaded):
            self._partly = self._partly or not self._answers(file.origin)
            self.publish(*outcome)
            if is_new:
                log.info("Inserting zone `%s' from: %s", origin, path)
            else:
                serial = outcome.zone.serial
                reload_log.info('Successfully reloaded zone "%s" in "%s" with %d SOA serial', origin, path, serial)
        elif outcome is None:
            reload_log.info('Zone "%s" is served as before: "%s" has changed, its SOA serial has not', origin, path)
        else:
            self._tell(path, origin, outcome, is_new)

    def _tell(self, path: str, origin: str, error: Exception, is_new: bool) -> None:
        """Why a file could not be read."""
        cause = f"open {path}: {(error.strerror or str(error)).lower()}" if isinstance(error, OSError) else str(error)
        if is_new:
            text = "Opening %s failed: %s" if isinstance(error, OSError) else "Parse zone `%s': %s"
            log.warning(text, path if isinstance(error, OSError) else origin, cause)
        elif isinstance(error, OSError):
            reload_log.error('Failed to open zone "%s" in "%s": %s', origin, path, cause)
        else:
            reload_log.error('Parsing zone "%s": %s', origin, cause)

    def faults(self) -> Iterator[BadZoneError]:
        """What is wrong with the files, which are read for that."""
        for origin, path in look(self.directory).files.items():
            try:
                ZoneFile(Path(path), origin).load()
            except BadZoneError as error:
                yield error
            except OSError as error:
                yield BadZoneError(path, f"cannot be read: {error.strerror}")

    def take_over(self, old: Self) -> None:
        """Keeps the zones of a folder that is looked through in the same way; their files are read only if they have changed."""
        if self.directory == old.directory:
            for origin, before in old._files.items():
                file, served = ZoneFile(before.path, origin), old.zone(origin)
                self._files[origin] = file
                file.adopt(before, served)
                if served is not None:
                    self.adopt(old, origin)
                    self._partly = self._partly or not self._answers(origin)


def _load(changed: list[ZoneFile]) -> list[tuple[ZoneFile, Loaded | Exception | None]]:
    """Reads files from the end of a list, which gets shorter, for a little while; in a thread of its own."""
    done, until = list[tuple[ZoneFile, Loaded | Exception | None]](), time.monotonic() + _AT_ONCE
    while changed and (not done or time.monotonic() < until):
        file = changed.pop()
        try:
            done.append((file, file.load()))
        except (BadZoneError, OSError) as error:
            done.append((file, error))
        except Exception as error:  # noqa: BLE001  a background step ends here: no file is to keep the others from being read
            done.append((file, BadZoneError(str(file.path), repr(error))))
    return done
