"""The records of an answer as a deck of cards: aliases, addresses and mail exchangers are told apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pycoredns.wire import types
from pycoredns.wire.walk import Found

ADDRESS_TYPES = (types.A, types.AAAA)
_MAPPED = bytes(10) + b"\xff\xff"


class Address(NamedTuple):
    """A record of type A or AAAA."""

    octets: bytes
    """The whole record."""
    owner: bytes
    """Lower-case wire name; only in answers that are not relayed."""
    packed: bytes
    """4 or 16 octets; an IPv4 address that is mapped into IPv6 has 4 (RFC 4291 §2.5.5.2)."""


Choose = Callable[[list[Address]], list[Address]]
"""Puts addresses into an order."""
ChooseOther = Callable[[list[bytes]], list[bytes]]


def address(octets: bytes, found: Found) -> Address:
    """A record's address."""
    packed = octets[found.fixed + 10 : found.end]
    return Address(octets[found.start : found.end], octets[found.start : found.fixed].lower(), packed.removeprefix(_MAPPED))
