"""Name servers that do as they are told, and what is said about them."""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dnslib import RR, DNSRecord

from pycoredns.answer import Answer
from pycoredns.assemble import assemble
from pycoredns.chain import Block
from pycoredns.corefile.expand import parse
from pycoredns.plugins.forward import Forward, measures
from pycoredns.response import Response
from pycoredns.testing import free_port

Script = Callable[[bytes, str], Iterable[bytes]]
Reply = Callable[[bytes], tuple[int, str, bytes]]  # status, content type and body
ONE_ADDRESS = b"\xc0\x0c\0\1\0\1\0\0\x01\x2c\0\4\xc0\0\2\1"


def question_of(query: bytes) -> bytes:
    """Name, type and class."""
    return query[12 : query.index(b"\0", 12) + 5]


def reply_to(
    query: bytes,
    records: bytes = ONE_ADDRESS,
    counts: tuple[int, int, int] = (1, 0, 0),
    bits: int = 0x8180,
    question: bytes | None = None,
) -> bytes:
    """An answer as bytes, right in all that is not said otherwise."""
    question = question_of(query) if question is None else question
    numbers = b"".join(count.to_bytes(2, "big") for count in (bool(question), *counts))
    return query[:2] + bits.to_bytes(2, "big") + numbers + question + records


def good_reply(query: bytes) -> tuple[int, str, bytes]:
    """For `serving_https`: what a server says that means well."""
    return 200, "application/dns-message", reply_to(query)


def with_address(address: str, ttl: int = 300) -> Callable[[DNSRecord], DNSRecord]:
    """For an Upstream: one A record for every name."""

    def answer(query: DNSRecord) -> DNSRecord:
        reply = query.reply(ra=1, aa=0)
        reply.add_answer(*RR.fromZone(f"{query.q.qname} {ttl} A {address}"))
        return reply

    return answer


def with_rcode(rcode: int) -> Callable[[DNSRecord], DNSRecord]:
    """For an Upstream: a response code for every name."""

    def answer(query: DNSRecord) -> DNSRecord:
        reply = query.reply(ra=1, aa=0)
        reply.header.rcode = rcode
        return reply

    return answer


class Scripted:
    """A name server over UDP and TCP (or TLS): ``script(query, protocol)`` gives the messages that are sent back."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.port = free_port()
        self.queries: list[str] = []
        """The protocols by which it was asked."""
        self.wires: list[bytes] = []
        """What it was asked."""
        self.connections = 0
        self.hang_up_after = 1 << 30
        self._tls = tls
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Scripted:
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), ("127.0.0.1", self.port))
        self._streams = await asyncio.start_server(self._stream, "127.0.0.1", self.port, ssl=self._tls)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._datagrams.close()
        self._streams.close()
        self.hang_up()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Closes all connections."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def replies(self, query: bytes, protocol: str) -> list[bytes]:
        self.queries.append(protocol)
        self.wires.append(query)
        return list(self.script(query, protocol))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            for _ in range(self.hang_up_after):
                size = int.from_bytes(await reader.readexactly(2), "big")
                for reply in self.replies(await reader.readexactly(size), "tcp"):
                    writer.write(len(reply).to_bytes(2, "big") + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, owner: Scripted) -> None:
        self._owner = owner

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # typeshed is wider
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self._owner.replies(data, "udp"):
            self._transport.sendto(reply, addr)


def configured(lines: str) -> list[Forward]:
    """The plugins that some lines of a server block make."""
    assembly = assemble(parse(f".:5353 {{\n{lines}\n}}\n", "Corefile"))
    return [plugin for plugin in assembly.blocks[0].plugins if isinstance(plugin, Forward)]


@asynccontextmanager
async def forwarding(line: str) -> AsyncIterator[Forward]:
    """A forward that runs, without a server around it."""
    plugin = configured(line)[0]
    Block([b"\0"], [plugin])
    async with plugin.running():
        yield plugin


def write_certificate(folder: Path, name: str = "dns.test") -> tuple[Path, Path]:
    """A certificate that signs itself, for a name and 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(names, critical=False)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    return paths


def serving(paths: tuple[Path, Path]) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths)
    return context


@asynccontextmanager
async def serving_https(
    reply: Reply, paths: tuple[Path, Path], trailing: bytes = b""
) -> AsyncIterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A server for DNS over HTTPS: its address, and the requests it got as method, path, message.

    ``trailing`` follows each answer.
    """
    requests: list[tuple[str, str, bytes]] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        http = h11.Connection(h11.SERVER)
        try:
            while (request := await _next_request(http, reader)) is not None:
                requests.append(request)
                status, content, body = reply(request[2])
                headers = [("Content-Type", content), ("Content-Length", str(len(body)))]
                events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
                writer.write(b"".join(http.send(event) or b"" for event in events) + trailing)
                http.start_next_cycle()
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=serving(paths))
    try:
        yield f"127.0.0.1:{port}", requests
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def _next_request(http: h11.Connection, reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    method, path, body = "", "", b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            method, path = event.method.decode(), event.target.decode()
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            _, _, query = path.partition("?dns=")
            return method, path, body or urlsafe_b64decode(query + "=" * (-len(query) % 4))
        else:
            return None


async def wait(answer: Answer) -> Response:
    """An answer's end, within the time that any question may take."""
    return await asyncio.wait_for(ended(answer), 6)


async def ended(answer: Answer) -> Response:
    return await answer


def connections_of(forward: Forward, protocol: str) -> tuple[float, float]:
    """How many questions needed a new connection, and how many did not."""
    to = forward._upstreams[0].terms.endpoint.text
    return tuple(metric.cell("forward", to, protocol).value for metric in (measures.opened, measures.reused))  # type: ignore[return-value]  # two


def descriptors() -> int:
    """How many files are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count is wanted
