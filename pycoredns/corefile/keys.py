"""The keys of server blocks: scheme, zone or network, port (`dns://example.org:1053`, `10.0.0.0/24`)."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from pycoredns.wire import names

SCHEMES = frozenset({"dns", "tls", "quic", "https", "https3", "grpc"})
"""CoreDNS's transports; those that are not served are told as mistakes, by whoever serves."""
_NUMBER = re.compile(r"[+-]?[0-9]+")
_NETWORK = re.compile(r"[0-9a-fA-F:.]+/[0-9]{1,3}")
_LEADING_ZERO = r"(?:^|\.)0[0-9]"  # compiled when there is a network
_LONGEST_ZONE = 255


class Key(NamedTuple):
    """`zones`: in lower-case wire form, several where a network does not end at a label; `port` None: not said."""

    scheme: str
    zones: tuple[bytes, ...]
    port: int | None


def split_key(text: str) -> Key:
    """Reads a key of a server block, or a zone given to a plugin; raises ValueError."""
    scheme, rest = _split_scheme(text)
    zone, port = _split_port(rest)
    if len(zone) > _LONGEST_ZONE:
        raise ValueError(f'zone "{zone}" is longer than {_LONGEST_ZONE} characters')
    if network := _network(zone):
        return Key(scheme, reverse_zones(network), port)
    try:
        return Key(scheme, (names.from_text(zone).lower(),), port)
    except names.BadNameError:
        raise ValueError(f'zone "{zone}" is not a domain name') from None


def _split_scheme(text: str) -> tuple[str, str]:
    """Only known schemes are schemes: anything else is part of the name, as in CoreDNS."""
    scheme, separator, rest = text.partition("://")
    return (scheme, rest) if separator and scheme in SCHEMES else ("dns", text)


def _split_port(text: str) -> tuple[str, int | None]:
    """A number behind the last colon is a port: a network always has its mask before it."""
    zone, colon, digits = text.rpartition(":")
    if colon and not digits:
        raise ValueError(f'"{text}" has a colon but no port')
    if not colon or not _NUMBER.fullmatch(digits):
        return text, None
    if len(digits) > 9 or not 0 <= int(digits) <= 65535:
        raise ValueError(f"port {digits} is out of range")
    return zone, int(digits)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """The network that a zone stands for, if it is written as one."""
    if not _NETWORK.fullmatch(text) or (":" not in text and re.search(_LEADING_ZERO, text)):
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if text[0] == ":" or (text[0] == "0" and ":" in text):
        raise ValueError(f'network "{text}" must not begin with 0 or a colon')
    return network


def reverse_zones(network: IPv4Network | IPv6Network) -> tuple[bytes, ...]:
    """The zones of a network's addresses, cut at the next longer boundary of labels (RFC 1035 §3.5, RFC 3596 §2.5)."""
    bits = 8 if network.version == 4 else 4
    length = -(-network.prefixlen // bits) * bits
    return tuple(_reverse_zone(subnet) for subnet in network.subnets(new_prefix=length))


def _reverse_zone(network: IPv4Network | IPv6Network) -> bytes:
    """The zone of a network that ends at a label."""
    labels = network.network_address.reverse_pointer.split(".")
    dropped = (network.max_prefixlen - network.prefixlen) // (8 if network.version == 4 else 4)
    return names.from_text(".".join(labels[dropped:]))
