"""Which keys sign a zone: `key file KEY...` and `key directory DIR...`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from pycoredns.corefile.kinds import FilePath
from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.dnssec.keys import BadKeyError, Key, base_of, read_key
from pycoredns.wire import names


@dataclass(frozen=True)
class Keys:
    """Files of keys, or folders in which each zone has its own."""

    placeholder: ClassVar[str] = "file|directory KEY...|DIR..."
    folders: bool
    paths: tuple[Path, ...]

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """A key is named by either of its files, or by what they have in common."""
        kind, *paths = line.arguments or (None,)
        if kind is None or kind.text not in ("file", "directory"):
            raise BadValueError(f'"{kind}" is neither file nor directory' if kind else "file or directory is missing")
        if not paths:
            raise BadValueError("KEY is missing" if kind.text == "file" else "DIR is missing")
        return cls(kind.text == "directory", tuple(FilePath.parse(path, context) for path in paths))

    def bases(self, zone: bytes) -> Iterator[Path]:
        """The keys of a zone, without the endings of their files; raises BadKeyError where a folder has none."""
        for path in self.paths:
            yield from _keys_in(path, zone) if self.folders else (base_of(path),)


def _keys_in(folder: Path, zone: bytes) -> Sequence[Path]:
    """Those that are named after the zone, as BIND names them."""
    beginning = f"K{names.to_text(zone).replace('/', '-')}+".lower()
    try:
        found = [path for path in folder.iterdir() if path.suffix == ".key" and path.name.lower().startswith(beginning)]
    except OSError as error:
        raise BadKeyError(f"{folder}: {(error.strerror or str(error)).lower()}") from None
    if not found:
        raise BadKeyError(f"{folder}: no key of {names.to_text(zone)} is there, in files like K{beginning[1:]}013+12345.key")
    return sorted(map(base_of, found))


def read_signing_key(base: Path, zone: bytes) -> Key:
    """The key in its two files, in the name of the zone it is to sign; raises BadKeyError also for one that is no KSK or CSK."""
    key = read_key(base)
    if not key.secure_entry_point:
        raise BadKeyError(f"{base}.key: it is not a CSK or KSK: its flags are {key.flags}, not 257")
    return key.for_zone(zone)
