"""A record as SkyDNS defined it: the JSON object that is the value of a key.

{"host": "10.0.0.1", "port": 80, "priority": 10, "weight": 9, "text": "", "mail": false, "ttl": 300, "targetstrip": 0, "group": ""}

All fields may be missing. What is broken for CoreDNS is so here: it reads JSON by Go's rules, where names of fields match in any
case, null leaves a field as it is, numbers are whole and have bounds, and what follows the object is an error.
"""

import json
import re
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

from pycoredns.wire import names, types

_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = (-(1 << 63), (1 << 63) - 1)
_UINT32 = (0, (1 << 32) - 1)


class BadValue(ValueError):
    """A value that is no record; the text says why."""


class Service(NamedTuple):
    """A record with the key it was found at; numbers are as they stand in etcd, 0 where they are missing."""

    key: bytes = b""
    host: bytes = b""
    text: bytes = b""
    group: bytes = b""
    port: int = 0
    priority: int = 0
    weight: int = 0
    ttl: int = 0
    targetstrip: int = 0
    mail: bool = False
    lease: int = 0

    @property
    def address(self) -> tuple[int, bytes] | None:
        """Type and RDATA of the address in `host`, None if that is no address."""
        return address(self.host)

    @property
    def target(self) -> bytes | None:
        """The name in `host`, with its own case; None if that is no name."""
        return name(self.host)


def address(text: bytes) -> tuple[int, bytes] | None:
    """Type and RDATA of an address in text form; an IPv4 address in IPv6 form is an IPv4 address."""
    try:
        if b":" not in text:
            return types.A, socket.inet_pton(socket.AF_INET, text.decode())
        packed = socket.inet_pton(socket.AF_INET6, text.decode())
    except (OSError, ValueError):
        return None
    return (types.A, packed[12:]) if packed.startswith(bytes(10) + b"\xff\xff") else (types.AAAA, packed)


def name(text: bytes) -> bytes | None:
    """The wire form of a name, None if it is none."""
    try:
        return names.from_text(text.decode())
    except ValueError:
        return None


def read(value: bytes, key: bytes = b"", lease: int = 0) -> Service:
    """The record that a value holds; raises BadValue."""
    fields: dict[str, Any] = {}
    for written, member in _members(value):
        field = written.casefold()
        reader = _READERS.get(field)
        if reader and member is not None:
            fields[field] = reader(field, member)
    service = Service(key=key, lease=lease, **fields)
    if service.host and not service.text and not service.address and service.target is None:
        raise BadValue(f"host: {_shown(service.host.decode())} is neither an address nor a name")
    return service


class _Members(list[tuple[str, Any]]):
    """A JSON object: its members in their order, those of the same name too."""


def _members(value: bytes) -> list[tuple[str, Any]]:
    try:
        parsed = json.loads(value.decode("utf-8", "replace"), object_pairs_hook=_Members, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadValue(f"not JSON: {error}") from None
    if parsed is None:
        return []
    if not isinstance(parsed, _Members):
        raise BadValue("not a JSON object")
    return parsed


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


def _text(field: str, member: Any) -> bytes:
    if not isinstance(member, str):
        raise BadValue(f"{field}: {_shown(member)} is not a string")
    return _SURROGATE.sub("\ufffd", member).encode()


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
