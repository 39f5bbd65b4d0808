"""Addresses of upstreams that are given by name: looked up once, when the server starts."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from pycoredns.corefile.kinds import is_misread
from pycoredns.errors import StartError
from pycoredns.plugins.forward.destinations import HostName
from pycoredns.wire import names, types
from pycoredns.wire.message import HEADER, BadMessageError, read_sections

_PATIENCE = 2.0
_RECURSION_DESIRED = 0x0100


def question(name: bytes, qtype: int, recursion: bool = True) -> bytes:
    """A query of class IN with a random ID; ``name`` in wire form."""
    flags = _RECURSION_DESIRED if recursion else 0
    head = HEADER.pack(int.from_bytes(os.urandom(2)), flags, 1, 0, 0, 0)
    return b"%b%b%b" % (head, name, qtype.to_bytes(2, "big") + b"\0\1")


async def addresses_of(host: HostName, resolvers: Sequence[tuple[str, int]]) -> list[str]:
    """Its addresses from the resolvers, tried in order, or from the system; raises StartError where there are none."""
    found = await (_from_resolvers(host.name, resolvers) if resolvers else _from_system(host))
    if not found:
        raise StartError(
            f'{host.place}: forward: failed to resolve "{host.name}"; give an IP address, or see the option resolver'
        )
    return found


async def _from_system(host: HostName) -> list[str]:
    if is_misread(host.name):
        return []
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.name, host.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _from_resolvers(name: str, resolvers: Sequence[tuple[str, int]]) -> list[str]:
    wire = names.from_text(name)
    for resolver in resolvers:
        found: list[str] = []
        for qtype in (types.A, types.AAAA):
            found += await _ask(resolver, question(wire, qtype), qtype)
        if found:
            return found
    return []


async def _ask(resolver: tuple[str, int], query: bytes, qtype: int) -> list[str]:
    """The addresses in one answer; none if there is none."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reply = await exchange_datagram(*resolver, query)
        answer = read_sections(reply).answer
    except (OSError, BadMessageError):
        return []
    return [str(ip_address(each.rdata)) for each in answer if each.rtype == qtype and len(each.rdata) in (4, 16)]


async def exchange_datagram(host: str, port: int, query: bytes) -> bytes:
    """The answer to a query over UDP: the first datagram with its ID. Raises OSError; waits as long as its caller lets it."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((host, port))
        await loop.sock_sendall(sock, query)
        while True:
            reply = await loop.sock_recv(sock, 65535)
            if len(reply) >= HEADER.size and reply[:2] == query[:2] and reply[2] & 0x80:
                return reply
