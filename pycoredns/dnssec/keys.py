"""Keys that sign zones, and the pairs of files that hold them (RFC 4034 §2, BIND's private-key format v1.3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from struct import Struct

from pycoredns.dnssec.algorithms import MNEMONICS, NUMBERS, BadFieldError, Signer, read_signer
from pycoredns.wire import names, types
from pycoredns.wire.message import Record

ZONE, SEP = 0x0100, 0x0001
"""Flags of a key: it signs a zone; it is a secure entry point (RFC 4034 §2.1.1)."""
SHA256, SHA384 = 2, 4
"""Digest types of DS records."""
_DIGESTS = {SHA256: hashlib.sha256, SHA384: hashlib.sha384}
_PROTOCOL = 3
_DNSKEY = Struct("!HBB")
_DS = Struct("!HBB")
_COMMENT = re.compile(r";[^\n]*")
TIMES = ("Created", "Publish", "Activate", "Inactive", "Delete", "SyncPublish", "SyncDelete")
_LONGEST_FILE = 100_000


class BadKeyError(ValueError):
    """Files that hold no usable key; the text names the file and what is wrong with it."""


@dataclass(frozen=True)
class Times:
    """When a key does what, in seconds since 1970; None: not said."""

    created: int | None = None
    publish: int | None = None
    activate: int | None = None
    inactive: int | None = None
    delete: int | None = None
    syncpublish: int | None = None
    syncdelete: int | None = None


@dataclass(frozen=True)
class Key:
    """A key pair: signs, and shows itself as DNSKEY and DS."""

    zone: bytes
    """The zone it signs, a lower-case wire name: owner of its DNSKEY, signer of its signatures."""
    flags: int
    algorithm: int
    signer: Signer = field(repr=False)
    ttl: int = 3600
    """TTL of its DNSKEY and DS records."""
    times: Times = Times()

    @property
    def secure_entry_point(self) -> bool:
        """Is it one that the parent points at (a KSK or CSK)?"""
        return bool(self.flags & SEP)

    @property
    def rdata(self) -> bytes:
        """The RDATA of its DNSKEY, and of its CDNSKEY (RFC 7344 §3.2)."""
        return _DNSKEY.pack(self.flags, _PROTOCOL, self.algorithm) + self.signer.public

    @cached_property
    def tag(self) -> int:
        """The number that RRSIG and DS call it by (RFC 4034 appendix B)."""
        return key_tag(self.rdata)

    def dnskey(self) -> Record:
        """Its DNSKEY record."""
        return Record(self.zone, types.DNSKEY, types.IN, self.ttl, self.rdata)

    def ds(self, digest: int = SHA256) -> Record:
        """The DS record that the parent zone needs (RFC 4034 §5); ``digest`` is SHA256 or SHA384."""
        hashed = _DIGESTS[digest](self.zone + self.rdata).digest()
        return Record(self.zone, types.DS, types.IN, self.ttl, _DS.pack(self.tag, self.algorithm, digest) + hashed)

    def sign(self, data: bytes) -> bytes:
        """The signature field of an RRSIG over these octets."""
        return self.signer.sign(data)

    def for_zone(self, zone: bytes) -> Key:
        """The same key pair in the name of another zone."""
        return Key(zone, self.flags, self.algorithm, self.signer, self.ttl, self.times)

    @property
    def base(self) -> str:
        """What its files are called, without their endings: ``Kexample.org.+013+12345``."""
        return f"K{names.to_text(self.zone).replace('/', '-')}+{self.algorithm:03d}+{self.tag:05d}"

    def __str__(self) -> str:
        """Like ``example.org. ECDSAP256SHA256 12345``."""
        return f"{names.to_text(self.zone)} {MNEMONICS[self.algorithm]} {self.tag}"


def key_tag(rdata: bytes) -> int:
    """The sum of a DNSKEY's RDATA that RFC 4034 appendix B describes."""
    padded = rdata + b"\0" if len(rdata) % 2 else rdata
    total: int = sum(value for (value,) in Struct("!H").iter_unpack(padded))
    return (total + (total >> 16)) & 0xFFFF


def base_of(path: Path) -> Path:
    """A key's path without ``.key`` or ``.private``, either of which may be given."""
    return path.with_name(path.name.removesuffix(".private").removesuffix(".key"))


def files_of(base: Path) -> tuple[Path, Path]:
    """Where a key's public and private parts are."""
    return base.with_name(base.name + ".key"), base.with_name(base.name + ".private")


def read_key(base: Path) -> Key:
    """The key in ``base.key`` and ``base.private``, either of whose names may be given; raises BadKeyError."""
    public, private = files_of(base_of(base))
    return key_of(_read(public), _read(private), str(public), str(private))


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(_LONGEST_FILE)
    except OSError as error:
        raise BadKeyError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def key_of(public: str, private: str, public_source: str, private_source: str) -> Key:
    """The key in the texts of its two files; raises BadKeyError, which names the sources."""
    fields = read_fields(private)
    try:
        zone, ttl, flags, algorithm, shown = read_dnskey(public)
    except ValueError as error:
        raise BadKeyError(f"{public_source}: {error}") from None
    try:
        signer = read_signer(_supported(algorithm, fields), fields)
        times = _times(fields)
    except BadFieldError as error:
        raise BadKeyError(f"{private_source}: {error}") from None
    if signer.public != shown:
        raise BadKeyError(f"{private_source}: it is not the private key of {public_source}")
    return Key(zone, flags, algorithm, signer, ttl, times)


def _supported(algorithm: int, fields: Mapping[str, str]) -> int:
    """The algorithm, if both files name it and it can sign here."""
    said = fields.get("algorithm", "").partition(" ")[0]
    if said != str(algorithm):
        raise BadFieldError(f'"Algorithm:" is {said or "missing"}, its public key has {algorithm}')
    if algorithm not in MNEMONICS:
        known = ", ".join(f"{number} ({mnemonic})" for mnemonic, number in NUMBERS.items())
        raise BadFieldError(f"algorithm {algorithm} cannot sign here; those that can: {known}")
    return algorithm


def read_fields(text: str) -> dict[str, str]:
    """The lines of a .private file."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def read_dnskey(text: str) -> tuple[bytes, int, int, int, bytes]:
    """Zone, TTL, flags, algorithm and key field of a .key file's DNSKEY record; raises ValueError, which says what is wrong."""
    words = _COMMENT.sub("", text).replace("(", " ").replace(")", " ").split()
    where = next((place for place, word in enumerate(words) if word.upper() in ("DNSKEY", "TYPE48")), None)
    if where is None or where < 1 or len(words) < where + 5:
        raise ValueError("it holds no DNSKEY record")
    ttl = next((int(word) for word in words[1:where] if word.isdecimal()), 3600)
    flags, protocol, algorithm, *key = words[where + 1 :]
    if not flags.isdecimal() or int(flags) > 0xFFFF or protocol != str(_PROTOCOL):
        raise ValueError(f"flags {flags} and protocol {protocol} are not those of a zone's key (256 or 257, 3)")
    if not int(flags) & ZONE:
        raise ValueError(f"flags {flags} say that it signs no zone (it needs 256 or 257)")
    number = int(algorithm) if algorithm.isdecimal() else NUMBERS.get(algorithm.upper(), 0)
    try:
        return names.from_text(words[0]).lower(), min(ttl, 0x7FFFFFFF), int(flags), number, base64.b64decode("".join(key))
    except binascii.Error:
        raise ValueError("its key is not base64") from None


def _times(fields: Mapping[str, str]) -> Times:
    """When the key does what; times are written as 20260131235959 (UTC)."""
    return Times(**dict(_said_times(fields)))


def _said_times(fields: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name in TIMES:
        text = fields.get(name.lower(), "").partition(" ")[0]
        if text:
            try:
                yield name.lower(), int(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
            except ValueError:
                raise BadFieldError(f'"{name}:" is {text}, not a time like 20260131235959') from None
