"""What the server tells the process that signs, and hears from it: a line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycoredns.wire import names

Outcome = Mapping[str, Any]
"""What came of a work: see ``worker.perform``."""


@dataclass(frozen=True)
class Work:
    """A zone to be signed: from which file, with which keys, into which file."""

    zone: bytes
    source: Path
    keys: tuple[Path, ...]
    """Each without the ending of its two files."""
    target: Path


def to_line(work: Work) -> bytes:
    """A work as a line of JSON."""
    words = [names.to_text(work.zone), str(work.source), str(work.target), *map(str, work.keys)]
    return json.dumps(words).encode() + b"\n"


def from_line(line: str) -> Work:
    """The work that a line means."""
    zone, source, target, *keys = json.loads(line)
    return Work(names.from_text(zone), Path(source), tuple(map(Path, keys)), Path(target))
