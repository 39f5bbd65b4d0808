"""Is a zone to be signed (again)? Told from the beginning of its signed file, its keys and the file it is made from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pycoredns.durations import duration_text
from pycoredns.plugins.sign.work import Work

HOUR, DAY = 3600, 86400
OLDEST = 6 * DAY
"""A zone is signed again when its signatures began to hold so many seconds ago ..."""
LEAST_LEFT = 7 * DAY
"""... or hold for less than so many more."""
MADE_FROM = "; made from "
"""Begins the line of a signed file that says what it was made from, so that a changed zone file is known after a restart too."""
_MOST_RECORDS = 100
_LONGEST_LINE = 1 << 17
_MOST_FILES = 64
_INCLUDE = re.compile(rb'\$INCLUDE[ \t]+(?:"([^"\n]+)"|([^\s;"]+))', re.IGNORECASE)


class Signature(NamedTuple):
    """What the beginning of a signed file says of a signature over its SOA record; times in seconds since 1970."""

    algorithm: int
    tag: int
    inception: float
    expiration: float


@dataclass
class Beginning:
    """What a signed file says at its beginning."""

    serial: int | None = None
    made_from: str | None = None
    signatures: list[Signature] = field(default_factory=list)


def read_beginning(path: Path) -> Beginning:
    """Reads the first 100 records of a signed file, each of which stands on a line; raises OSError."""
    found = Beginning()
    with path.open(encoding="utf-8", errors="replace") as file:
        for _ in range(_MOST_RECORDS):
            line = file.readline(_LONGEST_LINE)
            if line.startswith(MADE_FROM):
                found.made_from = line.removeprefix(MADE_FROM).strip()
            else:
                _note(line.split(), found)
    return found


def _note(words: list[str], found: Beginning) -> None:
    """Takes what a line says, if it is an SOA record or its signature; what makes no sense says nothing."""
    try:
        if words[3] == "SOA":
            found.serial = int(words[6])
        elif words[3:5] == ["RRSIG", "SOA"]:
            found.signatures.append(Signature(int(words[5]), int(words[10]), _time(words[9]), _time(words[8])))
    except (IndexError, ValueError):
        return


def _time(text: str) -> float:
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def time_text(seconds: float) -> str:
    """A time as ``2026-01-31T23:59:59.123Z``."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def reason(work: Work, tags: Collection[tuple[int, int]], now: float) -> str | None:
    """Why a zone must be signed; None where its signed file is good. ``tags`` are algorithm and tag of each of its keys."""
    try:
        found = read_beginning(work.target)
    except OSError as error:
        return f"open {work.target}: {(error.strerror or str(error)).lower()}"
    if not found.signatures:
        return f"no SOA RRSIG found in first {_MOST_RECORDS} records"
    for signature in found.signatures:
        if why := _age(signature, now):
            return why
    if {each[:2] for each in found.signatures} != set(tags):
        return "its keys have changed"
    return _change(work, found)


def _age(signature: Signature, now: float) -> str | None:
    """Why a signature is too old, or not good yet."""
    inception, expiration, at = time_text(signature.inception), time_text(signature.expiration), time_text(now)
    age, left = now - signature.inception, signature.expiration - now
    if age > OLDEST:
        return f'inception "{inception}" was more than: {duration_text(OLDEST)} ago from {at}: {duration_text(age)}'
    if age < 0:
        return f'inception "{inception}" date is in the future: {duration_text(age)}'
    if left < LEAST_LEFT:
        return f'expiration "{expiration}" is less than: {duration_text(LEAST_LEFT)} away from {at}: {duration_text(left)}'
    return None


def _change(work: Work, found: Beginning) -> str | None:
    """Has the zone file changed since? A file that another program signed does not say: then the newer of both counts."""
    try:
        if found.made_from is not None:
            changed = found.made_from != digest(work.source)
        else:
            changed = max(path.stat().st_mtime for path in files_of(work.source)) > work.target.stat().st_mtime
    except OSError:
        return None  # what is signed goes on to be good
    return f"{work.source} has changed" if changed else None


def digest(source: Path) -> str:
    """SHA-256 of a zone file and of those it includes, in hexadecimal; raises OSError."""
    hashed = hashlib.sha256()
    for path in files_of(source):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                hashed.update(chunk)
    return hashed.hexdigest()


def files_of(source: Path) -> list[Path]:
    """A zone file and those it includes, which it names by paths relative to its own folder; raises OSError."""
    found = [source]
    for path in islice(found, _MOST_FILES):  # grows meanwhile
        found += dict.fromkeys(each for each in _included(path) if each not in found)
    return found


def _included(path: Path) -> Iterator[Path]:
    """The files that a file names by $INCLUDE; of a line no more is read at once than one may have."""
    with path.open("rb") as file:
        begins = True
        while line := file.readline(_LONGEST_LINE):
            if begins and line.startswith(b"$") and (match := _INCLUDE.match(line)):
                yield path.parent / (match[1] or match[2]).decode(errors="surrogateescape")
            begins = line.endswith(b"\n")
