"""Making keys, and writing them as BIND, ldns and CoreDNS read them."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

from pycoredns.dnssec.algorithms import MNEMONICS, new_signer
from pycoredns.dnssec.keys import SEP, TIMES, ZONE, BadKeyError, Key, Times, files_of
from pycoredns.wire import names

_ALL_MAY_READ = 0o004


def new_key(zone: bytes, algorithm: int, secure_entry_point: bool, times: Times, ttl: int = 3600, rsa_bits: int = 2048) -> Key:
    """A key made by chance for a zone (lower-case wire name)."""
    flags = ZONE | SEP if secure_entry_point else ZONE
    return Key(zone, flags, algorithm, new_signer(algorithm, rsa_bits), ttl, times)


def write_key(key: Key, folder: Path) -> Path:
    """Writes both files, the private one for its owner's eyes only; returns their path without ending. Raises OSError.

    A file that is there already is not written over.
    """
    base = folder / key.base
    public, private = files_of(base)
    _write(private, private_text(key), 0o600)
    try:
        _write(public, public_text(key), 0o644)
    except OSError:
        private.unlink()
        raise
    return base


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def public_text(key: Key) -> str:
    """The .key file: what it is in comments, then its DNSKEY record."""
    zone = names.to_text(key.zone)
    role = "key-signing" if key.secure_entry_point else "zone-signing"
    comments = [f"; This is a {role} key, keyid {key.tag}, for {zone}"]
    comments += [f"; {name}: {digits} ({_readable(value)})" for name, digits, value in _said(key.times)]
    public = base64.b64encode(key.signer.public).decode("ascii")
    return "\n".join([*comments, f"{zone} {key.ttl} IN DNSKEY {key.flags} 3 {key.algorithm} {public}", ""])


def private_text(key: Key) -> str:
    """The .private file."""
    lines = ["Private-key-format: v1.3", f"Algorithm: {key.algorithm} ({MNEMONICS[key.algorithm]})"]
    lines += [f"{name}: {value}" for name, value in key.signer.fields().items()]
    lines += [f"{name}: {digits}" for name, digits, _ in _said(key.times)]
    return "\n".join([*lines, ""])


def _said(times: Times) -> list[tuple[str, str, int]]:
    """The times that are said: name, as digits, in seconds since 1970."""
    values = [(name, getattr(times, name.lower())) for name in TIMES]
    return [(name, f"{datetime.fromtimestamp(value, UTC):%Y%m%d%H%M%S}", value) for name, value in values if value is not None]


def _readable(value: int) -> str:
    return f"{datetime.fromtimestamp(value, UTC):%a %b %e %H:%M:%S %Y}"


def read_by_all(base: Path) -> Path | None:
    """The private file of a key, if everyone on this machine may read it; raises BadKeyError where it is not there."""
    _, private = files_of(base)
    try:
        return private if private.stat().st_mode & _ALL_MAY_READ else None
    except OSError as error:
        raise BadKeyError(f"cannot read {private}: {(error.strerror or str(error)).lower()}") from None
