"""A zone in a master file that is read again when it has changed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pycoredns.zone.building import BadZoneError
from pycoredns.zone.journal import Difference, difference
from pycoredns.zone.reading import Reading, Version, read_serial, version_of
from pycoredns.zone.zone import Zone


class Loaded(NamedTuple):
    """What has been read: a zone, and what changed since the one before."""

    zone: Zone
    changes: Difference | None


class ZoneFile:
    """The file of one zone, and the files it includes; reading is done wherever one likes, in a thread for instance."""

    def __init__(self, path: Path, origin: bytes, by_time: bool = False) -> None:
        """``by_time``: a newer file is read even if its serial is the same."""
        self.path = path
        self.origin = origin
        self.by_time = by_time
        self.zone: Zone | None = None
        self._seen: dict[Path, Version] = {}
        self._read: dict[Path, Version] = {}
        """As they were when the zone was read, whatever was seen of them since."""
        self._adopted = False
        """Is the zone another one's, so that what differs from it is read as if it were the first time, whatever its serial?"""
        self._reading = False
        self._torn = False
        """Was it written while it was read the last time, so that a part may be missing?"""

    def adopt(self, old: ZoneFile, served: Zone | None) -> None:
        """Takes over what is served of the same file, on a reload of the Corefile.

        What another is reading just now, or has not given away, is read again, and so is what was passed over since: files that
        are broken, or whose serial has stayed, are to mean the same as at a start.
        """
        self.zone, self._torn = served, old._torn
        self._adopted = served is not None
        self._read = old._read if old.zone is served and not old._reading else {}
        self._seen = self._read

    def has_changed(self) -> bool:
        """Are the files others than those that were last looked at?"""
        changed = self.path not in self._seen or any(_version(path) != version for path, version in self._seen.items())
        self._adopted = self._adopted and changed  # found as it was adopted, it is as if it had been read here
        return changed

    def forget(self) -> None:
        """Whatever was seen, the files have changed when they are looked at the next time."""
        self._seen = {}

    def load(self) -> Loaded | None:
        """Reads the file if its serial is new; raises BadZoneError and OSError."""
        self._reading = True
        try:
            return self._load()
        except FileNotFoundError:
            raise  # when it comes, it has changed
        except OSError:
            self.forget()  # it may be readable the next time though it is the same: it has got other rights, for instance
            raise
        finally:
            self._reading = False

    def _load(self) -> Loaded | None:
        self._seen = {path: _version(path) for path in {self.path, *self._seen}}
        old, torn = self.zone, self._torn
        by_serial = not (self.by_time or torn or self._adopted)
        if old is not None and by_serial and read_serial(self.path, self.origin) == old.serial:
            return None
        reading = Reading(self.path, self.origin)
        try:
            zone = reading.zone()
        finally:
            self._seen = reading.files  # as they were when they were read: who writes meanwhile is noticed the next time
        self._torn = () in reading.files.values()
        if self._torn and not torn and old is not None:
            raise BadZoneError(str(self.path), "it is being written just now; what was read before is served until the next look")
        self.zone, self._read, self._adopted = zone, self._seen, False
        return Loaded(zone, difference(old, zone) if old is not None else None)


def _version(path: Path) -> Version:
    try:
        return version_of(path.stat())
    except OSError:
        return ()
