"""What workers serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pycoredns.assemble import Address
from pycoredns.corefile.expand import Corefile
from pycoredns.sockets import Key, Sockets
from pycoredns.sources import Source


@dataclass(frozen=True)
class Plan:
    """What all workers serve, until the next reload."""

    source: Source
    corefile: Corefile
    """As it was read: since then the file may have become another one, or a broken one."""
    sockets: Sockets
    """As many of each as there are workers. They stay with the supervisor, and with them the questions that wait in them."""


def written(key: Key) -> list[Any]:
    """A socket's key as JSON can hold it."""
    return [key.protocol, key.address.host, key.address.port, key.address.scheme, key.host]


def read(text: list[Any]) -> Key:
    """The key again."""
    protocol, address_host, port, scheme, host = text
    return Key(protocol, Address(address_host, port, scheme), host)
