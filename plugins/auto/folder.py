"""Which zone files lie in a folder and below it: one look at their names, none is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pycoredns.plugins.auto.naming import ZoneFiles
from pycoredns.wire import names


@dataclass
class Look:
    """What was seen at one time."""

    files: dict[bytes, str] = field(default_factory=dict)
    """The path of each zone's file."""
    unread: list[str] = field(default_factory=list)
    """Folders that could not be read, so that nothing is known of their files."""
    complaints: list[str] = field(default_factory=list)

    def knows(self, path: Path) -> bool:
        """Would a file have been seen, were it still there?"""
        return not any(path.is_relative_to(folder) for folder in self.unread)


def look(wanted: ZoneFiles) -> Look:
    """Looks through a folder and those below it, in the order of their names; links lead to files, not into other folders.

    Of several files for a zone the first counts.
    """
    seen = Look()
    for entry in _walk(_resolved(wanted.dir), seen):
        try:
            origin = wanted.origin(entry.name)
        except names.BadNameError as error:
            seen.complaints.append(f"{shown(entry.path)}: its name makes no name of a zone: {error}")
            continue
        if origin is not None:
            _note(origin, entry, seen)
    return seen


def _resolved(folder: Path) -> str:
    """Its path without links, which may lead elsewhere at the next look; a relative one stays relative, as in CoreDNS's log."""
    path = os.path.realpath(folder)
    return path if folder.is_absolute() else os.path.relpath(path)


def _walk(folder: str, seen: Look) -> Iterator[os.DirEntry[str]]:
    """All that is no folder, however deep the folders are."""
    pending = [iter(_entries(folder, seen))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif entry.is_dir(follow_symlinks=False):
            pending.append(iter(_entries(entry.path, seen)))
        else:
            yield entry


def _entries(folder: str, seen: Look) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; one that is gone is empty."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        doing = "lstat" if isinstance(error, FileNotFoundError) else "open"
        cause = (error.strerror or str(error)).lower()
        seen.complaints.append(f"error reading {shown(folder)}: {doing} {shown(folder)}: {cause}")
        if not isinstance(error, FileNotFoundError):
            seen.unread.append(folder)
        return []


def _note(origin: bytes, entry: os.DirEntry[str], seen: Look) -> None:
    """Takes a file for its zone, unless the zone has one, or it is a pipe or a link to a folder."""
    if _is_special(entry):
        seen.complaints.append(f"{shown(entry.path)} is not a file")
        return
    previous = seen.files.setdefault(origin, entry.path)
    if previous != entry.path and not _same(previous, entry.path):
        text = 'Multiple zone files match origin "%s": using "%s" instead of "%s"'
        seen.complaints.append(text % (names.to_text(origin), shown(previous), shown(entry.path)))


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Is it there, but no file? What cannot be looked at may be one: why not is told when it is opened."""
    try:
        return not entry.is_file() and Path(entry.path).exists()
    except OSError:
        return False


def shown(path: object) -> str:
    """A path as it may stand in a line: a file's name can hold anything, line ends too."""
    text = os.path.normpath(str(path))
    return text if text.isprintable() else ascii(text)[1:-1]


def _same(first: str, second: str) -> bool:
    """One file under two names, as in the folders that Kubernetes mounts, is no conflict."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False
