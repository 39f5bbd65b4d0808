"""For tests of plugins, ours and others': ask a plugin directly, or run a whole server on free ports.

response = await ask(Hello(greeting="hi"), "example.org", "TXT")

async with running('''.:{port} { hello hi }''') as server:
    reply = await server.query("example.org", "TXT")
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter_ns
from typing import Any, SupportsIndex

from dnslib import EDNS0, QTYPE, RCODE, DNSQuestion, DNSRecord

from pycoredns.answer import Answer
from pycoredns.assemble import assemble
from pycoredns.chain import Block
from pycoredns.corefile.expand import parse
from pycoredns.listener import Listener
from pycoredns.memo import Memo
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.server import Server
from pycoredns.service import Service
from pycoredns.wire import names, types

_numbers = count(1)


class SilentListener(Listener):
    """A listener without a socket: what is sent late is kept in ``sent``."""

    def __init__(self, service: Service, protocol: str = "udp", client: tuple[str, int] = ("192.0.2.77", 40000)) -> None:
        """``client`` is who asks."""
        self.service = service
        self.memo = Memo(0)
        self.protocol = protocol
        self.limit = 65535 if protocol == "tcp" else 0
        self.sent: list[bytes] = []
        self._client = client
        self.family = "2" if ":" in client[0] else "1"
        service.listeners.append(self)

    def client(self, peer: object) -> tuple[str, int]:
        """Who asks."""
        return self._client

    def local(self, peer: object) -> tuple[str, int]:
        """A documentation address."""
        return ("192.0.2.1", 53)

    def send(self, peer: object, message: bytes) -> None:
        """Keeps it."""
        self.sent.append(message)


def query_wire(name: str, qtype: str = "A", do: bool = False, size: int = 0, qclass: str = "IN", flags: int = 0x0100) -> bytes:
    """A query in wire form; EDNS is used where ``do`` or ``size`` (octets of UDP payload) ask for it."""
    number = next(_numbers) & 0xFFFF
    question = names.from_text(name) + _type_number(qtype).to_bytes(2, "big") + types.CLASS_NUMBERS[qclass].to_bytes(2, "big")
    with_opt = do or bool(size)
    opt = DNSRecord()
    opt.add_ar(EDNS0(flags="do" if do else "", udp_len=size or 1232))
    packed = opt.pack()[12:] if with_opt else b""
    counts = (1).to_bytes(2, "big") + bytes(4) + int(with_opt).to_bytes(2, "big")
    return number.to_bytes(2, "big") + flags.to_bytes(2, "big") + counts + question + packed


def _type_number(text: str) -> int:
    return int(text[4:]) if text.startswith("TYPE") and text[4:].isdigit() else types.TYPE_NUMBERS[text]


def request_for(
    name: str,
    qtype: str = "A",
    *,
    plugins: Sequence[Plugin] = (),
    zone: str = ".",
    do: bool = False,
    size: int = 0,
    qclass: str = "IN",
    flags: int = 0x0100,
    protocol: str = "udp",
    client: tuple[str, int] = ("192.0.2.77", 40000),
) -> Request:
    """A question to a block of these plugins; the block is ``request.listener.service.zones[zone][0]``."""
    block = Block([names.from_text(zone).lower()], plugins)
    listener = SilentListener(Service("dns://:53", [(block.zones[0], block)], chaos=True), protocol, client)
    wire = query_wire(name, qtype, do, size, qclass, flags)
    return Request.read(wire, b"", listener, perf_counter_ns())


class Last(Plugin):
    """Stands at the end of a chain in tests: gives the answer it was made with, and keeps the requests it saw."""

    name = "last"

    def __init__(self, answer: Response | Callable[[Request], Answer] | Exception) -> None:
        """Takes an answer, what makes one, or an error to raise."""
        self.answer = answer
        self.seen: list[Request] = []

    def handle(self, request: Request) -> Answer:
        """Answers."""
        self.seen.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, Response) else self.answer(request)


async def ask(plugin: Plugin, name: str, qtype: str = "A", *, behind: Plugin | None = None, **options: object) -> Response:
    """A plugin's answer to a question; ``behind`` is the next in the chain, ``options`` are those of ``request_for``."""
    plugins = [plugin, behind] if behind else [plugin]
    request = request_for(name, qtype, plugins=plugins, **options)  # type: ignore[arg-type]  # checked there
    block = request.listener.service.zones[names.from_text(str(options.get("zone", "."))).lower()][0]
    return await block.handle(request)


def records(response: Response) -> list[str]:
    """The answer section as text: ``name ttl TYPE data``, by dnslib."""
    wire = bytes(2) + b"\x80\0\0\0" + response.answers.to_bytes(2, "big") + bytes(4) + response.plain().answer
    return [f"{rr.rname} {rr.ttl} {QTYPE.get(rr.rtype)} {rr.rdata}" for rr in DNSRecord.parse(wire).rr]


class Watched(bytes):
    """Octets that count how often a single one of them is looked at: the steps of who reads a message."""

    looks = 0

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        """As of any octets."""
        self.looks += not isinstance(key, slice)
        return super().__getitem__(key)


def free_port() -> int:
    """A port of 127.0.0.1 that is free for UDP and TCP just now."""
    for _ in range(100):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            try:
                datagram.bind(stream.getsockname())
            except OSError:
                continue
            return int(stream.getsockname()[1])
    raise OSError("no free port")


class RunningServer:
    """A server in this event loop. ``port`` is that of ``{port}`` in its Corefile; ``ports`` has all placeholders."""

    def __init__(self, server: Server, ports: dict[str, int]) -> None:
        """Wraps a server that has been started."""
        self.server = server
        self.ports = ports
        self.port = ports["port"]

    async def query(
        self, name: str, qtype: str = "A", *, tcp: bool = False, timeout: float = 5.0, host: str = "127.0.0.1", **options: object
    ) -> DNSRecord:
        """The reply of the server, parsed; ``options`` are those of ``query_wire``. Raises TimeoutError."""
        wire = query_wire(name, qtype, **options)  # type: ignore[arg-type]  # checked there
        return DNSRecord.parse(await (exchange_tcp if tcp else exchange_udp)(wire, (host, self.port), timeout))

    async def rcode(self, name: str, qtype: str = "A", **options: object) -> str:
        """The response code of a reply, e.g. ``NXDOMAIN``."""
        reply = await self.query(name, qtype, **options)  # type: ignore[arg-type]  # checked there
        return str(RCODE.get(reply.header.rcode))

    async def answers(self, name: str, qtype: str = "A", **options: object) -> list[str]:
        """The answer section of a reply, as text in zone-file form without owner and TTL: ``A 192.0.2.1``."""
        reply = await self.query(name, qtype, **options)  # type: ignore[arg-type]  # checked there
        return [f"{QTYPE.get(rr.rtype)} {rr.rdata}" for rr in reply.rr]


async def exchange_udp(wire: bytes, address: tuple[str, int], timeout: float = 5.0) -> bytes:
    """Sends a datagram and returns the first that comes back. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(address)
        async with asyncio.timeout(timeout):
            await loop.sock_sendall(sock, wire)
            return await loop.sock_recv(sock, 65535)


async def exchange_tcp(wire: bytes, address: tuple[str, int], timeout: float = 5.0) -> bytes:
    """Sends a message by TCP, returns the first that comes back. Raises TimeoutError, or IncompleteReadError at an early end."""
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            return await reader.readexactly(size)
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def running(corefile: str, file: str = "Corefile", **values: object) -> AsyncIterator[RunningServer]:
    """A server from a Corefile; its ``{port}``, ``{port2}``, ``{http}`` ... become free ports, ``{name}`` the values given."""
    ports = {name: free_port() for name in ("port", "port2", "port3", "http", "http2", "http3") if f"{{{name}}}" in corefile}
    ports.setdefault("port", 0)
    for name, value in {**ports, **values}.items():
        corefile = corefile.replace(f"{{{name}}}", str(value))
    server = Server(assemble(parse(corefile, file)))
    await server.start()
    try:
        yield RunningServer(server, ports)
    finally:
        await server.stop()


class Upstream:
    """A name server for tests, over UDP and TCP: ``answer`` makes the reply to a query (both of dnslib), or None for none."""

    def __init__(self, answer: Callable[[DNSRecord], DNSRecord | None]) -> None:
        """Opens nothing yet: ``async with Upstream(answer) as upstream``."""
        self._answer = answer
        self.questions: list[DNSQuestion] = []
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    def reply(self, wire: bytes) -> bytes | None:
        """The reply to a query."""
        query = DNSRecord.parse(wire)
        self.questions.append(query.q)
        reply = self._answer(query)
        return reply.pack() if reply is not None else None

    async def __aenter__(self) -> Upstream:
        """Opens its sockets."""
        self.port = free_port()
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), ("127.0.0.1", self.port))
        self._streams = await asyncio.start_server(self._stream, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Closes them, and all connections."""
        self._datagrams.close()
        self._streams.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                reply = self.reply(await reader.readexactly(size))
                if reply is not None:
                    writer.write(len(reply).to_bytes(2, "big") + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # typeshed is wider
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._upstream.reply(data)
        if reply is not None:
            self._transport.sendto(reply, addr)


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 5.0) -> None:
    """Waits until a condition holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if await held if isinstance(held, Awaitable) else held:
                return
            await asyncio.sleep(0.01)
