"""A record as SkyDNS defined it: the JSON object that is the value of a key.

{"host": "10.0.0.1", "port": 80, "priority": 10, "weight": 9, "text": "", "mail": false, "ttl": 60, "targetstrip": 0, "group": ""}

All fields may be missing. What is broken for CoreDNS is so here: it reads JSON by Go's rules, where names of fields match in any
case, null leaves a field as it is, numbers are whole and have bounds, and what follows the object is an error.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

from pycoredns.wire import names, types

DEFAULT_PRIORITY = 10
DEFAULT_WEIGHT = 100
_MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address in IPv6 form begins with (RFC 4291 §2.5.5.2)."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = (-(1 << 63), (1 << 63) - 1)
_UINT32 = (0, (1 << 32) - 1)


class BadValue(ValueError):
    """A value that is no record; the text says why."""


class Service(NamedTuple):
    """A record with the key it was found at."""

    key: bytes
    rtype: int
    """What it is: A or AAAA; TXT for a text without an address, with or without a name; CNAME for a name alone, or nothing."""
    host: bytes
    """The RDATA of its address, or its name in wire form, with its own case; empty where there is neither."""
    spelling: bytes = b""
    """The address as it was written, where that is not the usual way: CoreDNS tells addresses apart by their text."""
    text: bytes = b""
    """Empty beside an address, as it is not answered with there."""
    group: bytes = b""
    port: int = 0
    priority: int = DEFAULT_PRIORITY
    weight: int = 0
    ttl: int = 0
    """0 only where it has none and depends on a lease."""
    targetstrip: int = 0
    mail: bool = False
    lease: int = 0


def read(value: bytes, key: bytes, lease: int, default_ttl: int) -> Service:
    """The record that a value holds; raises BadValue."""
    fields: dict[str, Any] = {}
    for written, member in _members(value):
        field = written if written in _READERS else written.casefold()
        reader = _READERS.get(field)
        if reader and member is not None:
            fields[field] = reader(field, member)
    rtype, host, spelling = _read_host(fields.pop("host", b""), bool(fields.get("text")))
    if rtype in (types.A, types.AAAA):
        fields.pop("text", None)
    fields["priority"] = fields.get("priority") or DEFAULT_PRIORITY
    fields["ttl"] = fields.get("ttl") or (0 if lease else default_ttl)
    return Service(key, rtype, host, spelling, lease=lease, **fields)


def _read_host(text: bytes, beside_text: bool) -> tuple[int, bytes, bytes]:
    """Type, value and unusual spelling of a host; one that makes no sense matters only where it stands alone."""
    address = address_of(text)
    if address:
        return (*address, b"" if text == address_text(*address) else text)
    try:
        name = names.from_text(text.decode()) if text else b""
    except names.BadNameError as error:
        if not beside_text:
            raise BadValue(f"host: neither an address nor a name: {_shown(str(error))}") from None
        name = b""
    return (types.TXT if beside_text else types.CNAME), name, b""


def address_of(text: bytes) -> tuple[int, bytes] | None:
    """Type and RDATA of an address in text form; an IPv4 address in IPv6 form is an IPv4 address. None if it is no address."""
    try:
        if b":" not in text:
            return types.A, socket.inet_pton(socket.AF_INET, text.decode())
        packed = socket.inet_pton(socket.AF_INET6, text.decode())
    except (OSError, ValueError):
        return None
    return (types.A, packed[12:]) if packed.startswith(_MAPPED) else (types.AAAA, packed)


def address_text(rtype: int, rdata: bytes) -> bytes:
    """The usual text of an address (RFC 5952)."""
    return socket.inet_ntop(socket.AF_INET if rtype == types.A else socket.AF_INET6, rdata).encode()


class _Members(list[tuple[str, Any]]):
    """A JSON object: its members in their order, those of the same name too."""


def _members(value: bytes) -> list[tuple[str, Any]]:
    try:
        parsed = _DECODER.decode(value.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise BadValue(f"not JSON: {error}") from None
    if parsed is None:
        return []
    if not isinstance(parsed, _Members):
        raise BadValue("not a JSON object")
    return parsed


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Members, parse_constant=_refuse)


def _text(field: str, member: Any) -> bytes:
    if not isinstance(member, str):
        raise BadValue(f"{field}: {_shown(member)} is not a string")
    return member.encode() if member.isascii() else _SURROGATE.sub("\ufffd", member).encode()


def _whole(bounds: tuple[int, int], field: str, member: Any) -> int:
    if type(member) is not int:
        raise BadValue(f"{field}: {_shown(member)} is not a whole number")
    if not bounds[0] <= member <= bounds[1]:
        raise BadValue(f"{field}: {_shown(member)} is out of range")
    return member


def _flag(field: str, member: Any) -> bool:
    if not isinstance(member, bool):
        raise BadValue(f"{field}: {_shown(member)} is neither true nor false")
    return member


def _shown(member: Any) -> str:
    text = ascii(member)
    return text if len(text) <= 80 else f"{text[:77]}..."


_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("host", "text", "group"), _text),
    **dict.fromkeys(("port", "priority", "weight", "targetstrip"), partial(_whole, _INT64)),
    "ttl": partial(_whole, _UINT32),
    "mail": _flag,
}
