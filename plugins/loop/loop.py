"""A question with a random name is sent to the server itself: if it comes back, and back again, questions go round in circles."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING

from pycoredns.answer import Answer
from pycoredns.background import beside
from pycoredns.direct import Direct, unless
from pycoredns.frozen import changeable
from pycoredns.output import fatal
from pycoredns.peers import here
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.transport.addresses import join
from pycoredns.wire import names

if TYPE_CHECKING:
    from pycoredns.service import Service

HINFO = 13
MOST_SEEN = 2
"""Once is the question itself, twice may be a client's repetition."""
TRY_SECONDS, ANSWER_SECONDS, PAUSE_SECONDS = 30.0, 2.0, 1.0
_REST_OF_HEADER = b"\x01\0\0\1\0\0\0\0\0\0"
_CLASS_IN = b"\0\1"


@changeable
class Loop(Plugin):
    """Find forwarding loops at the start."""

    def __post_init__(self) -> None:
        """Looks out for nothing until it runs."""
        self.looking = False
        self.seen: dict[bytes, int] = {}
        """How often each of the names was asked for that are the server's own, whichever of its processes has asked."""
        self._address = ("127.0.0.1", 53)

    def handle(self, request: Request) -> Answer:
        """Counts its own question, and ends the server when there is a loop; passes everything on."""
        if self.looking and request.qtype == HINFO and is_own(request.name, self.block.zones[0]):
            self.seen[request.name] = self.seen.get(request.name, 0) + 1
            if self.seen[request.name] > MOST_SEEN:
                fatal(self._verdict(request))
        return self.next(request)

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Has those behind answer, unless it could be its own question."""
        return unless(lambda name, tail: tail.qtype == HINFO, following)

    def _verdict(self, request: Request) -> str:
        """The line that people look for in their logs."""
        way = f"{join(*request.client)} -> {join(*self._address)}"
        zone, question = names.to_text(self.block.zones[0]), names.to_text(request.name)
        return (
            f'plugin/loop: Loop ({way}) detected for zone "{zone}", '
            f'see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO {question}"'
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Asks beside everything else, so that the start does not wait for it."""
        hosts, service = self.block.settings.listen, self.block.services[0]
        self._address = (hosts[0] if hosts else "", int(service.address.rpartition(":")[2]))
        async with beside(self.look()):
            yield

    async def look(self) -> None:
        """Asks until an answer comes, or for half a minute."""
        deadline = monotonic() + TRY_SECONDS
        self.looking = True
        try:
            while monotonic() < deadline and not await self._is_answered():  # noqa: ASYNC110  nothing says when to try again
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self.looking = False

    async def _is_answered(self) -> bool:
        """Asks once."""
        host, port = self._address
        name = random_name(self.block.zones[0])
        query = secrets.token_bytes(2) + _REST_OF_HEADER + name + HINFO.to_bytes(2, "big") + _CLASS_IN
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        loop = asyncio.get_running_loop()
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect((host or "127.0.0.1", port))
                async with asyncio.timeout(ANSWER_SECONDS):
                    await loop.sock_sendall(sock, query)
                    return (await loop.sock_recv(sock, 512))[:2] == query[:2]
        except OSError:  # also TimeoutError
            return False


def random_name(zone: bytes) -> bytes:
    """A name in a zone that nobody else asks for; in a zone with a very long name, the zone's own."""
    number = str(secrets.randbits(62)).encode()
    with suppress(names.BadNameError):
        return names.join([number, _mark(number), *names.labels(zone)])
    return zone


def is_own(name: bytes, zone: bytes) -> bool:
    """Is it one that ``random_name`` has made, here or in another process of this server?"""
    number, mark, *_ = *names.labels(name), b"", b""
    return mark == _mark(number) or name == zone == random_name(zone)


def _mark(number: bytes) -> bytes:
    """What tells a number of ours from anybody else's."""
    return str(int.from_bytes(blake2b(number, digest_size=7, key=here().secret).digest(), "big")).encode()
