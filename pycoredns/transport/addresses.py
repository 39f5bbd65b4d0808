"""Socket addresses between the kernel's form and ours."""

from __future__ import annotations

import socket
import sys
from functools import lru_cache
from ipaddress import IPv6Address
from struct import Struct

INET_SIZE, INET6_SIZE = 16, 28
_INET = Struct("!2xH4s")
_INET6 = Struct("!2xH4x16s")
_NO_INTERFACE = bytes(4)


@lru_cache(maxsize=4096)
def from_sockaddr(octets: bytes) -> tuple[str, int]:
    """Address and port from a ``sockaddr_in`` or ``sockaddr_in6``; what follows it does not matter."""
    if octets[0] == socket.AF_INET:
        port, packed = _INET.unpack_from(octets)
        return socket.inet_ntoa(packed), port
    port, packed = _INET6.unpack_from(octets)
    return _ipv6_text(packed), port


def to_sockaddr(host: str, port: int, family: int) -> bytes:
    """The kernel's form of an address and port."""
    start = family.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    if family == socket.AF_INET:
        return start + socket.inet_aton(host) + bytes(8)
    return start + bytes(4) + socket.inet_pton(socket.AF_INET6, host.partition("%")[0]) + bytes(4)


def to_bind(host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """An address as ``socket.bind`` takes it; that of one link names its interface behind a percent sign (RFC 4007 §11)."""
    host = str(host)  # of a subclass the kernel's form is made by the IDNA codec, whose import takes 4 ms
    _, percent, interface = host.partition("%")
    return (host, port, 0, socket.if_nametoindex(interface)) if percent else (host, port)


def _ipv6_text(packed: bytes) -> str:
    """An IPv6 address as text, a mapped IPv4 address as such."""
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def bracketed(host: str) -> str:
    """An address as it stands before a port (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host else host


def join(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"{bracketed(host)}:{port}"


def answer_from(controls: bytearray, start: int, family: int) -> bytearray:
    """Changes control data that came with a question so that the answer leaves from the address that was asked.

    The interface is left to the routing table, save for link-local addresses (RFC 3542 §6.1, ip(7)).
    """
    if family == socket.AF_INET:
        controls[start + 16 : start + 20] = _NO_INTERFACE
    elif controls[start + 16 : start + 18] != b"\xfe\x80":
        controls[start + 32 : start + 36] = _NO_INTERFACE
    return controls
