"""The plain lines of master files, which are nearly all: read without a tokenizer, many times as fast.

A line that holds anything but words (comments, escapes, parentheses, directives), and whatever is not understood here or breaks a
rule, is left to the full reader, which also says what is wrong with it. Read only here are types that the full reader does not
know, and digests whose length it does not like.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import unhexlify
from calendar import timegm
from collections.abc import Callable
from functools import lru_cache, partial
from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct, error

from pycoredns.dnssec.bitmaps import type_bitmap
from pycoredns.wire import types
from pycoredns.wire.names import LONGEST_LABEL, LONGEST_NAME

SPECIAL = re.compile(r'[;"()\\$\x80-\U0010ffff\x00-\x08\x0b-\x1f]')
"""What a plain line does not hold."""
TEXT = re.compile(r'([!#%-\'*-:<-\[\]-~]*)[ \t]+(?:([0-9]{1,9})[ \t]+)?(?:IN[ \t]+)?TXT[ \t]+"([ !#-\[\]-~]{0,255})"[ \t]*\r?\n?')
"""A TXT record of one plain string: owner, TTL and text."""
DEFAULT_TTL = re.compile(r"\$TTL[ \t]+([0-9]{1,9})[ \t]*\r?\n")
"""The directive with a plain number of seconds."""
LONGEST_TTL = 0x7FFFFFFF
LONGEST_STRING = 255
"""Octets (RFC 1035 §3.3)."""
_PREFERENCE = Struct("!H")
_SRV = Struct("!HHH")
_SOA = Struct("!IIIII")
_RRSIG = Struct("!HBBIIIH")
_DIGESTS = {
    "DS": "!HBB", "CDS": "!HBB", "DLV": "!HBB", "TA": "!HBB", "SSHFP": "!BB", "TLSA": "!BBB", "SMIMEA": "!BBB", "ZONEMD": "!IBB",
    "EID": "!", "NIMLOC": "!",
}  # fmt: skip
"""The numbers before the hexadecimal digits of each type that ends with some."""
_OLD = {"MD": 1, "MF": 1, "MB": 1, "MG": 1, "MR": 1, "MINFO": 2}
"""Types of old that hold names alone, and how many."""
_GENERIC = r"\#"


class NotPlain(Exception):
    """This line is for the full reader."""


class PlainLines:
    """Reads words as records, below an origin."""

    def __init__(self, origin: bytes) -> None:
        """``origin`` (wire form) is what relative names end in."""
        self.origin = origin
        self._longest = min(LONGEST_LABEL, LONGEST_NAME - len(origin) - 1)
        self._readers: dict[str, tuple[int, Callable[[list[str]], bytes]]] = {
            **_WITHOUT_NAMES, "NS": (types.NS, self._target),
            "CNAME": (types.CNAME, self._target), "PTR": (types.PTR, self._target), "DNAME": (types.DNAME, self._target),
            "MX": (types.MX, self._mail), "SRV": (types.SRV, self._service),
            "RRSIG": (types.RRSIG, self._signature), "NSEC": (types.NSEC, self._next), "SOA": (types.SOA, self._start),
            **{text: (types.TYPE_NUMBERS[text], partial(self._targets, number)) for text, number in _OLD.items()},
        }  # fmt: skip

    def name(self, text: str) -> bytes:
        """A name in wire form, in the case it is written in; raises NotPlain."""
        if text == "@":
            return self.origin
        if "." not in text and 0 < len(text) <= self._longest:
            return b"%c%b%b" % (len(text), text.encode("ascii"), self.origin)
        relative = not text.endswith(".")
        labels = (text if relative else text[:-1]).encode("ascii").split(b".")
        for label in labels:
            if not 0 < len(label) <= LONGEST_LABEL:
                raise NotPlain
        found = b"".join([b"%c%b" % (len(label), label) for label in labels]) + (self.origin if relative else b"\0")
        if len(found) > LONGEST_NAME:
            raise NotPlain
        return found

    def record(self, words: list[str]) -> tuple[int | None, int, bytes]:
        """TTL (None: not said), type and RDATA, of the words behind the owner; raises NotPlain."""
        ttl, place = None, 0
        try:
            if words[0].isdecimal():
                ttl, place = int(words[0]), 1
            if words[place] == "IN":
                place += 1
            rtype, read = self._readers[words[place]]
            rdata = read(words[place + 1 :])
        except (LookupError, ValueError, OSError, error):
            raise NotPlain from None
        if ttl is not None and ttl > LONGEST_TTL:
            raise NotPlain
        return ttl, rtype, rdata

    def _target(self, words: list[str]) -> bytes:
        (target,) = words
        return self.name(target)

    def _targets(self, number: int, words: list[str]) -> bytes:
        if len(words) != number:
            raise NotPlain
        return b"".join(map(self.name, words))

    def _mail(self, words: list[str]) -> bytes:
        preference, target = words
        return _PREFERENCE.pack(_number(preference)) + self.name(target)

    def _service(self, words: list[str]) -> bytes:
        *numbers, target = words
        return _SRV.pack(*map(_number, numbers)) + self.name(target)

    def _start(self, words: list[str]) -> bytes:
        server, mailbox, serial, *times = words
        seconds = [_number(time) for time in times]
        if max(seconds) > LONGEST_TTL:
            raise NotPlain
        return self.name(server) + self.name(mailbox) + _SOA.pack(_number(serial), *seconds)

    def _signature(self, words: list[str]) -> bytes:
        covered, algorithm, labels, ttl, expiration, inception, tag, signer, *signature = words
        return b"%b%b%b" % (
            _RRSIG.pack(
                types.TYPE_NUMBERS[covered],
                _number(algorithm),
                _number(labels),
                _number(ttl),
                _moment(expiration),
                _moment(inception),
                _number(tag),
            ),
            self.name(signer),
            b64decode("".join(signature), validate=True),
        )

    def _next(self, words: list[str]) -> bytes:
        following, *kinds = words
        return self.name(following) + _bitmap(tuple(kinds))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise NotPlain
    return int(text)


def _address(words: list[str]) -> bytes:
    (text,) = words
    return inet_pton(AF_INET, text)


def _address6(words: list[str]) -> bytes:
    (text,) = words
    return inet_pton(AF_INET6, text)


def _host(words: list[str]) -> bytes:
    """Processor and system (RFC 1035 §3.3.2); many files name the first one only, and as in CoreDNS the other is empty then."""
    processor, system = words[0].encode("ascii"), " ".join(words[1:]).encode("ascii")
    if max(len(processor), len(system)) > LONGEST_STRING:
        raise NotPlain
    return b"%c%b%c%b" % (len(processor), processor, len(system), system)


def _digest(before: Struct, fields: int, words: list[str]) -> bytes:
    if words[0] == _GENERIC:
        return _generic(words[1:])
    return before.pack(*map(_number, words[:fields])) + unhexlify("".join(words[fields:]))


def _generic(words: list[str]) -> bytes:
    """RDATA of any type as hexadecimal digits (RFC 3597 §5)."""
    length, *digits = words
    octets = unhexlify("".join(digits))
    if len(octets) != _number(length):
        raise NotPlain
    return octets


@lru_cache(maxsize=1024)
def _moment(text: str) -> int:
    """A time as RRSIG records write it, YYYYMMDDHHmmSS (RFC 4034 §3.2)."""
    if len(text) != 14 or not text.isdecimal():
        raise NotPlain
    year, rest = int(text[:4]), [int(text[place : place + 2]) for place in range(4, 14, 2)]
    limits = ((1, 12), (1, 31), (0, 23), (0, 59), (0, 59))
    if any(not low <= value <= high for value, (low, high) in zip(rest, limits, strict=True)):
        raise NotPlain
    return timegm((year, *rest)) & 0xFFFFFFFF


@lru_cache(maxsize=4096)
def _bitmap(kinds: tuple[str, ...]) -> bytes:
    """The types of a name as NSEC records have them (RFC 4034 §4.1.2)."""
    return type_bitmap(types.TYPE_NUMBERS[kind] for kind in kinds)


_WITHOUT_NAMES: dict[str, tuple[int, Callable[[list[str]], bytes]]] = {
    "A": (types.A, _address),
    "AAAA": (types.AAAA, _address6),
    "HINFO": (types.TYPE_NUMBERS["HINFO"], _host),
    **{text: (types.TYPE_NUMBERS[text], partial(_digest, Struct(form), len(form) - 1)) for text, form in _DIGESTS.items()},
}
"""The types whose RDATA is the same below any origin."""
