"""`pycoredns dnssec keygen`: makes the key that signs a zone, and says what the parent zone must know of it."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pycoredns.wire import names

if TYPE_CHECKING:
    from pycoredns.dnssec.keys import Key, Times

ALGORITHMS = ("ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519", "RSASHA256", "RSASHA512")
_OFFSET = re.compile(r"([+-]\d{1,9})(y|mo|w|d|h|mi|)", re.IGNORECASE)
_LATEST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
"""Seconds since 1970 of the last time that can be written in 14 digits."""
_UNITS = {"y": 365 * 86400, "mo": 30 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "mi": 60, "": 1}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("dnssec", help="make the keys that sign a zone")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    keygen = commands.add_parser(
        "keygen",
        help="make a key, and show the DS record for the parent zone",
        description="Make a key that signs a zone: a .key and a .private file, which BIND, ldns and CoreDNS read too.",
        epilog="TIME is now, +30d (with y, mo, w, d, h, mi or, for seconds, nothing), 20260131235959 (UTC) or none.",
    )
    keygen.add_argument("zone", metavar="ZONE", type=zone, help="the zone that is signed, such as example.org")
    keygen.add_argument("-a", "--algorithm", type=algorithm, default=13, help=f"{', '.join(ALGORITHMS)} (default: the first)")
    keygen.add_argument(
        "-b", "--bits", type=int, default=2048, metavar="BITS", help="length of an RSA key (default: %(default)s)"
    )
    roles = keygen.add_mutually_exclusive_group()
    roles.add_argument("--csk", dest="role", action="store_const", const="CSK", help="signs everything (default)")
    roles.add_argument("--ksk", dest="role", action="store_const", const="KSK", help="signs the keys, beside a ZSK")
    roles.add_argument("--zsk", dest="role", action="store_const", const="ZSK", help="signs all but the keys, beside a KSK")
    keygen.add_argument("-d", "--folder", type=Path, default=Path(), metavar="FOLDER", help="where the files go (default: here)")
    keygen.add_argument("--ttl", type=int, default=3600, metavar="SECONDS", help="TTL of its records (default: %(default)s)")
    for name, meaning in (
        ("publish", "when the key is shown (default: now)"),
        ("activate", "when it begins to sign (default: when it is shown)"),
        ("inactive", "when it signs no more"),
        ("delete", "when it is shown no more"),
        ("sync-publish", "when CDS and CDNSKEY ask the parent for its DS (default: never)"),
        ("sync-delete", "when they do so no more"),
    ):
        keygen.add_argument(f"--{name}", type=moment, default=argparse.SUPPRESS, metavar="TIME", help=meaning)
    keygen.set_defaults(run=run, role="CSK")


def zone(text: str) -> bytes:
    """A zone's name in lower-case wire form."""
    try:
        return names.from_text(text).lower()
    except names.BadNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def algorithm(text: str) -> int:
    """An algorithm by its mnemonic or its number."""
    from pycoredns.dnssec.algorithms import MNEMONICS, NUMBERS

    number = int(text) if text.isdecimal() else NUMBERS.get(text.upper(), 0)
    if number not in MNEMONICS:
        choices = ", ".join(f"{name} ({value})" for name, value in NUMBERS.items())
        raise argparse.ArgumentTypeError(f"{text!r} cannot sign; choose one of {choices}")
    return number


def moment(text: str) -> int | None:
    """A time in seconds since 1970; None for ``none``."""
    if text == "none":
        return None
    if text == "now":
        return int(time.time())
    if offset := _OFFSET.fullmatch(text):
        seconds = int(time.time()) + int(offset[1]) * _UNITS[offset[2].lower()]
    else:
        try:
            seconds = int(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no time; write it as now, +30d, 20260131235959 or none") from None
    if not 0 <= seconds <= _LATEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not between the years 1970 and 9999; write never as none")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Writes the files and prints what they are; 0: done, 1: they cannot be written, 2: the options contradict each other."""
    fault = contradiction(arguments)
    if fault:
        print(fault, file=sys.stderr)
        return 2
    try:
        key, base = make(arguments)
    except OSError as error:
        print(f"cannot write a key to {arguments.folder}: {error.strerror or error}", file=sys.stderr)
        return 1
    print("\n".join(shown(key, base, arguments.role)))
    return 0


def contradiction(arguments: argparse.Namespace) -> str:
    """What cannot be meant; empty where all can."""
    if not 1024 <= arguments.bits <= 4096:
        return f"--bits {arguments.bits}: an RSA key has 1024 to 4096"
    if not 0 <= arguments.ttl <= 0x7FFFFFFF:
        return f"--ttl {arguments.ttl}: it must be 0 to 2147483647"
    times = times_of(arguments)
    if arguments.role == "ZSK" and (times.syncpublish or times.syncdelete):
        return "--sync-publish and --sync-delete are for a KSK or CSK: the parent has no DS of a ZSK"
    order = [("publish", times.publish), ("activate", times.activate), ("inactive", times.inactive), ("delete", times.delete)]
    said = [(name, value) for name, value in order if value is not None]
    for (earlier, first), (later, second) in pairwise(said):
        if second < first:
            return f"--{later} is before --{earlier}"
    return ""


def times_of(arguments: argparse.Namespace) -> Times:
    """When the key does what; without a word about it, it is shown and signs from now on."""
    from pycoredns.dnssec.keys import Times

    said, now = vars(arguments), int(time.time())
    publish = said.get("publish", now)
    activate = said.get("activate", publish)
    return Times(now, publish, activate, *(said.get(name) for name in ("inactive", "delete", "sync_publish", "sync_delete")))


def make(arguments: argparse.Namespace) -> tuple[Key, Path]:
    """A key, with a tag that no other has, and the path of its files without their endings; raises OSError."""
    from pycoredns.dnssec.keyfiles import new_key, write_key

    times, entry_point = times_of(arguments), arguments.role != "ZSK"
    while True:
        key = new_key(arguments.zone, arguments.algorithm, entry_point, times, arguments.ttl, arguments.bits)
        if not (arguments.folder / f"{key.base}.key").exists():
            return key, write_key(key, arguments.folder)


def shown(key: Key, base: Path, role: str) -> list[str]:
    """What was made, as comments of a zone file; and the DS record for the parent's."""
    from pycoredns.dnssec.algorithms import MNEMONICS

    lines = [f"; {role} of {names.to_text(key.zone)}, {MNEMONICS[key.algorithm]}, tag {key.tag}", f"; key file {base}"]
    if role != "ZSK":
        record = key.ds()
        tag, rest = int.from_bytes(record.rdata[:2], "big"), record.rdata[4:].hex().upper()
        lines.append("; for the parent zone:")
        lines.append(f"{names.to_text(key.zone)} {key.ttl} IN DS {tag} {key.algorithm} {record.rdata[3]} {rest}")
    return lines
