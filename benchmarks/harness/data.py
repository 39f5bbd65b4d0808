"""What the servers answer from: generated keys of etcd, lines of files, zones and the keys that sign them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import dns.dnssec
import dns.name
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssecalgs.ecdsa import PrivateECDSAP256SHA256
from dns.rdtypes.ANY.DNSKEY import DNSKEY

FIRST_ADDRESS = int(IPv4Address("10.0.0.0"))
ALGORITHM = 13  # ECDSAP256SHA256
ZONE_AND_ENTRY_POINT = 257  # DNSKEY flags (RFC 4034 §2.1.1)
LIFETIME = 30 * 86400  # seconds that a signature is good
PRIVATE_KEY = "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: {}\n"


@dataclass(frozen=True)
class Records:
    """`count` numbers, each with `copies` lines of `text`, in which {number}, {copy} and {address} (never the same) stand.

    A file begins with `head`; one with `signed`, the zone's name, is signed with ECDSA P-256 and NSEC.
    """

    text: str
    count: int
    key: str = ""
    copies: int = 1
    head: str = ""
    signed: str = ""

    def items(self) -> Iterator[tuple[str, str]]:
        """Key and text of each."""
        for number in range(self.count):
            for copy in range(self.copies):
                fields = {
                    "{number}": number,
                    "{copy}": copy,
                    "{address}": IPv4Address(FIRST_ADDRESS + number * self.copies + copy),
                }
                yield _filled_in(self.key, fields), _filled_in(self.text, fields)

    def write(self, path: Path) -> None:
        """Makes the file."""
        path.write_text(self.head + "".join(f"{text}\n" for _, text in self.items()))
        if self.signed:
            sign(path, self.signed)


def _filled_in(text: str, fields: dict[str, object]) -> str:
    for name, value in fields.items():
        text = text.replace(name, str(value))
    return text


def _new_key() -> tuple[ec.EllipticCurvePrivateKey, DNSKEY]:
    private = PrivateECDSAP256SHA256.generate()
    return private.key, dns.dnssec.make_dnskey(private.key.public_key(), ALGORITHM, ZONE_AND_ENTRY_POINT)


def sign(path: Path, origin: str) -> None:
    """Signs the zone of a master file in place."""
    zone = dns.zone.from_file(str(path), origin, relativize=False)
    dns.dnssec.sign_zone(zone, keys=[_new_key()], lifetime=LIFETIME)
    zone.to_file(str(path), relativize=False)


def write_key(folder: Path, zone: str) -> str:
    """Makes a key pair with which a zone is signed, in BIND's two files; their path without the ending."""
    private, dnskey = _new_key()
    stem = f"K{dns.name.from_text(zone)}+{ALGORITHM:03}+{dns.dnssec.key_id(dnskey):05}"
    secret = private.private_numbers().private_value.to_bytes(32, "big")
    (folder / f"{stem}.key").write_text(f"{dns.name.from_text(zone)} IN DNSKEY {dnskey.to_text()}\n")
    (folder / f"{stem}.private").write_text(PRIVATE_KEY.format(base64.b64encode(secret).decode()))
    (folder / f"{stem}.private").chmod(0o600)
    return str(folder / stem)
