"""Where keys come from: `key file|directory|aws_secretsmanager KEY...`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self, TypeAlias

from pycoredns.corefile.kinds import FilePath
from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import BadValueError, Context, UnknownWordError
from pycoredns.dnssec.keys import BadKeyError, Key, base_of, files_of, read_key

KINDS = ("file", "directory", "aws_secretsmanager")
Version: TypeAlias = tuple[int, ...]
"""What differs once a key's files have been replaced."""
Found: TypeAlias = dict[Path, tuple[Version, Key]]
"""Keys by their paths. To read one takes 0.3 ms, of RSA 60."""


@dataclass(frozen=True)
class KeySource:
    """One line of keys. Files are read with the Corefile; folders and secrets when the server starts."""

    placeholder: ClassVar[str] = "file|directory|aws_secretsmanager KEY..."
    keys: tuple[tuple[Path, Key], ...] = ()
    folders: tuple[Path, ...] = ()
    secrets: tuple[str, ...] = ()

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The first word says what the others are."""
        if not line.arguments:
            raise BadValueError("file, directory or aws_secretsmanager is missing")
        kind, *words = line.arguments
        if kind.text not in KINDS:
            raise UnknownWordError(kind.text, KINDS)
        if not words:
            raise BadValueError("KEY is missing")
        if kind.text == "aws_secretsmanager":
            _check_boto()
            return cls(secrets=tuple(word.text for word in words))
        paths = [FilePath.parse(word, context) for word in words]
        if kind.text == "directory":
            return cls(folders=tuple(map(_checked_folder, paths)))
        return cls(keys=tuple((base_of(path), _key(path)) for path in paths))


def _check_boto() -> None:
    if find_spec("boto3") is None:
        raise BadValueError("aws_secretsmanager needs boto3, which is not installed", "pip install boto3")


def _key(path: Path) -> Key:
    try:
        return read_key(path)
    except BadKeyError as error:
        raise BadValueError(str(error), "pycoredns dnssec keygen ZONE makes a key") from None


def _checked_folder(path: Path) -> Path:
    if not path.is_dir():
        raise BadValueError(f"{path} is no folder")
    return path


def keys_in(folder: Path, known: Found) -> tuple[Found, Sequence[str]]:
    """The keys of a folder, and what is wrong with the files that hold none; those that are known already are not read again.

    Those that cannot be read any more are kept as they were: a zone whose signatures cease is refused by all who validate.
    """
    found, faults = Found(), []
    try:
        bases = sorted(base_of(path) for path in folder.iterdir() if path.match("K*.private"))
    except OSError as error:
        kept = {base: key for base, key in known.items() if base.parent == folder}
        return kept, [f"cannot read {folder}: {(error.strerror or str(error)).lower()}"]
    for base in bases:
        version, before = _version(base), known.get(base)
        try:
            found[base] = before if before and before[0] == version else (version, read_key(base))
        except BadKeyError as error:
            faults.append(str(error))
            if before is not None:
                found[base] = before
    return found, faults


def _version(base: Path) -> Version:
    """Time, size and number of a key's files; nothing of one that is missing."""
    version: list[int] = []
    for path in files_of(base):
        with suppress(OSError):
            status = path.stat()
            version += status.st_mtime_ns, status.st_size, status.st_ino
    return tuple(version)
