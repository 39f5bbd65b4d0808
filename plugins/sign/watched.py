"""A zone that is kept signed: its files are looked at often, its signatures when a file has changed or time has passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pycoredns.dnssec.keyfiles import read_by_all
from pycoredns.dnssec.keys import BadKeyError, Key
from pycoredns.plugins.sign.options import Keys, read_signing_key
from pycoredns.plugins.sign.state import HOUR, files_of, reason
from pycoredns.plugins.sign.work import Work
from pycoredns.wire import names
from pycoredns.zone.building import BadZoneError

REFRESH = 5 * HOUR
"""After so many seconds times are looked at although no file has changed."""
RETRY = 300
"""... or has failed."""
States = dict[Path, tuple[int, int, int]]
"""Inode, size and time of change of files that are there."""


class Watched:
    """A zone with what it is signed from and with."""

    def __init__(self, zone: bytes, source: Path, keys: Sequence[Keys], folder: Path) -> None:
        """Reads the keys; raises BadKeyError where one cannot be used."""
        self._zone, self._source, self._lines = zone, source, keys
        self._target = folder / f"db.{str(self).replace('/', '-')}signed"
        self._sources = [source]
        """The zone file, and those that it included when it was last looked into."""
        self._seen: States = {}
        self._next = 0.0
        self._read_keys()

    def __str__(self) -> str:
        """The zone's name."""
        return names.to_text(self._zone)

    def _read_keys(self) -> None:
        bases = self._bases()
        self._keys: list[Key] = [read_signing_key(base, self._zone) for base in bases]
        self.work = Work(self._zone, self._source, bases, self._target)

    def _bases(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(base for line in self._lines for base in line.bases(self._zone)))

    @property
    def tags(self) -> str:
        """The tags of the keys, as lines of the log have them."""
        return ",".join(str(key.tag) for key in self._keys)

    def fault(self) -> str | None:
        """What is wrong with the zone file, which is read for that."""
        from pycoredns.zone.reading import read_zone  # with dnspython, which only the process that signs needs otherwise

        try:
            read_zone(self._source, self._zone)
        except BadZoneError as error:
            return str(error)
        except OSError as error:
            return f"{self._source} cannot be read: {(error.strerror or str(error)).lower()}"
        return None

    def open_secrets(self) -> Iterator[str]:
        """Keys that are for the server alone to know, and are not."""
        for base in self.work.keys:
            with suppress(BadKeyError):
                if private := read_by_all(base):
                    yield f"{private} can be read by every user of this machine: chmod 600 it"

    def reason(self, now: float) -> str | None:
        """Why the zone must be signed now; None where it need not, or where nothing has changed since it was looked at."""
        if self._states() == self._seen and now < self._next:
            return None
        with suppress(OSError):
            self._sources = files_of(self._source)
        self._seen = self._states()
        why = self._why(now)
        self._next = now + (REFRESH if why is None else RETRY)
        return why

    def _why(self, now: float) -> str | None:
        try:
            self._read_keys()
        except BadKeyError as error:
            return f"its keys have changed: {error}"
        return reason(self.work, {(key.algorithm, key.tag) for key in self._keys}, now)

    def succeeded(self, now: float) -> float:
        """It has been signed: says when its times are looked at again; its files are the next time, as they may have changed."""
        self._seen, self._next = {}, now + REFRESH
        return self._next

    def failed(self) -> float:
        """It could not be signed: says when that is tried again, if no file changes before."""
        return self._next

    def _states(self) -> States:
        """The present states of all files that matter."""
        try:
            bases = self._bases()
        except BadKeyError:
            bases = self.work.keys
        keys = [base.with_name(base.name + ending) for base in bases for ending in (".key", ".private")]
        states = {path: _state(path) for path in (*self._sources, *keys, self._target)}
        return {path: state for path, state in states.items() if state is not None}


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
