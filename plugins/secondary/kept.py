"""Zones kept on disk, so that they are served right after a restart though no primary answers."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from urllib.parse import quote
from weakref import WeakValueDictionary

from pycoredns.background import in_background
from pycoredns.output import logger
from pycoredns.wire import message, names
from pycoredns.wire.message import BadMessageError, Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.zone import Zone

log = logger("plugin/secondary")
_BEGINNING = b"pycoredns zone 1\n"
PAUSE = 5.0
"""Seconds between two versions of a zone that are written."""
_DIGEST_SIZE = 32
_CHUNK = 1 << 20
_LONGEST_FILE_NAME = 200


class Shelf:
    """A folder with a file for each zone: a line, the records in uncompressed wire form, and the SHA-256 of both.

    A file's time of change says when a primary last had this version, so that its expiry counts on while the server is down.
    """

    def __init__(self, folder: Path) -> None:
        """The folder exists."""
        self._folder = folder
        self._waiting: dict[bytes, Zone] = {}
        self._writing: dict[bytes, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()
        self._dropped: set[bytes] = set()
        """Zones whose files are not to come back when they have been written."""
        self._failed: set[bytes] = set()
        """Zones whose newest versions could not be written."""
        self._placing = threading.Lock()
        """A file comes or goes; held by whoever does that."""

    def path(self, origin: bytes) -> Path:
        """The file of a zone."""
        name = quote(names.to_text(origin), safe="")
        if len(name) > _LONGEST_FILE_NAME:
            name = sha256(origin).hexdigest() + "."
        return self._folder / f"{name}zone"

    def keep(self, zone: Zone) -> None:
        """Puts a version in the place of the last one, soon; of several in a short time only the newest is written."""
        self._waiting[zone.origin] = zone
        if zone.origin not in self._writing:
            self._writing[zone.origin] = asyncio.get_running_loop().create_task(self._write_newest(zone.origin))

    async def _write_newest(self, origin: bytes) -> None:
        while (zone := self._waiting.pop(origin, None)) is not None:
            self._dropped.discard(origin)
            await self.write(zone)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), PAUSE)
        del self._writing[origin]
        self._dropped.discard(origin)

    async def write(self, zone: Zone) -> None:
        """Puts a version in the place of the last one; what goes wrong is logged."""
        try:
            await in_background(lambda: self._write(zone))
            self._failed.discard(zone.origin)
        except OSError as error:
            self._failed.add(zone.origin)
            name = names.to_text(zone.origin)
            log.error("Zone %s cannot be kept in %s: %s", name, self._folder, error.strerror or error)

    async def close(self) -> None:
        """Writes what is still to be written."""
        self._closing.set()
        await asyncio.gather(*self._writing.values(), return_exceptions=True)
        self._closing.clear()

    def _write(self, zone: Zone) -> None:
        """Whoever looks sees the old file or the whole new one, also after a loss of power."""
        descriptor, temporary = tempfile.mkstemp(prefix=".", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                digest = sha256()
                for chunk in _chunks(zone):
                    digest.update(chunk)
                    file.write(chunk)
                file.write(digest.digest())
                file.flush()
                os.fsync(file.fileno())
            with self._placing:
                if zone.origin not in self._dropped:
                    Path(temporary).replace(self.path(zone.origin))
        finally:
            Path(temporary).unlink(missing_ok=True)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def confirm(self, origin: bytes) -> bool:
        """A primary still has this version; False where it is not kept: its file is gone, or could not be written."""
        if origin in self._waiting:
            return True
        if origin in self._failed:
            return origin in self._writing
        try:
            os.utime(self.path(origin))
        except OSError as error:  # where a file may not be touched none can take its place
            return origin in self._writing or not isinstance(error, FileNotFoundError)
        return True

    def drop(self, origin: bytes) -> None:
        """The zone is served no more."""
        self._waiting.pop(origin, None)
        self._failed.discard(origin)
        with self._placing, suppress(OSError):
            if origin in self._writing:
                self._dropped.add(origin)
            self.path(origin).unlink()

    def load(self, origin: bytes) -> tuple[Zone, float] | None:
        """A zone, and for how many seconds no primary has confirmed it; None where it is not there or cannot be read."""
        path = self.path(origin)
        try:
            octets, changed = path.read_bytes(), path.stat().st_mtime
            zone = Zone.of(origin, _records(octets))
        except FileNotFoundError:
            return None
        except (OSError, BadMessageError, BadZoneError) as error:
            log.error("%s is passed over: %s", path, error)
            return None
        return zone, max(0.0, time() - changed)


_shelves: WeakValueDictionary[Path, Shelf] = WeakValueDictionary()


def shelf_in(folder: Path) -> Shelf:
    """The one shelf of a folder: also a reloaded server and the one before it write a zone's versions in their order."""
    return _shelves.setdefault(folder.resolve(), Shelf(folder))


def _chunks(zone: Zone) -> Iterator[bytes]:
    """The file of a zone, without the digest."""
    chunk = bytearray(_BEGINNING)
    for each in zone.records():
        chunk += each.wire()
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _records(octets: bytes) -> Iterator[Record]:
    """The records of a file; raises BadMessageError where it is not whole."""
    end = len(octets) - _DIGEST_SIZE
    if not octets.startswith(_BEGINNING) or sha256(memoryview(octets)[:end]).digest() != octets[end:]:
        raise BadMessageError("it is not a zone that was kept, or not all of it")
    place = len(_BEGINNING)
    while place < end:
        each, place = message.read_record(octets, place)
        yield each
