"""NOTIFY: telling other servers that a zone has changed (RFC 1996)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from pycoredns.corefile.servers import ServerAddress
from pycoredns.output import logger
from pycoredns.wire import names, types

log = logger("plugin/transfer")
ATTEMPTS = 3
AT_ONCE = 64
"""Messages that wait for an answer: a start with many zones opens no more sockets."""
PATIENCE = 2.0
"""Seconds for an answer."""
_AA_NOTIFY = (types.NOTIFY << 11 | 0x0400).to_bytes(2, "big")


class Notifier:
    """Tells servers of new versions of zones; a version that is followed by another is not told any further."""

    def __init__(self) -> None:
        """Belongs to the running event loop."""
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    def tell(self, origin: bytes, servers: Sequence[ServerAddress], source: str = "", pause: float = 0.0) -> None:
        """A zone has a new version, which is told after so many seconds, from ``source``, an address of ours."""
        if origin in self._tasks:
            self._tasks[origin].cancel()
        task = self._tasks[origin] = asyncio.get_running_loop().create_task(self._tell_all(origin, servers, source, pause))
        task.add_done_callback(lambda done: self._tasks.pop(origin) if self._tasks.get(origin) is done else None)

    async def _tell_all(self, origin: bytes, servers: Sequence[ServerAddress], source: str, pause: float) -> None:
        await asyncio.sleep(pause)
        failures = await asyncio.gather(*(self._tell(origin, server, source) for server in servers))
        log.debug('Sent notifies for zone "%s" to [%s]', names.to_text(origin), " ".join(map(str, servers)))
        for failure in failures:
            if failure:
                log.warning("Failed sending notifies: %s", failure)

    async def _tell(self, origin: bytes, server: ServerAddress, source: str) -> str:
        async with self._places:
            return await notify(origin, server, source)

    async def close(self) -> None:
        """Tells no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def notify(origin: bytes, server: ServerAddress, source: str = "") -> str:
    """Tells one server of a zone's new version, three times if need be; returns why it did not accept that, if so."""
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            rcode = await _exchange(origin, server, source)
        except TimeoutError:
            reason = '"no answer"'
        except OSError as error:
            reason = f'"{error.strerror or error}"'
        else:
            if rcode == types.NOERROR:
                return ""
            reason = f'rcode was "{types.rcode_text(rcode)}"'
    return f'notify for zone "{names.to_text(origin)}" was not accepted by "{server}": {reason}'


async def _exchange(origin: bytes, server: ServerAddress, source: str) -> int:
    """Sends one message; returns the answer's response code. Raises OSError or TimeoutError."""
    loop = asyncio.get_running_loop()
    number = secrets.token_bytes(2)
    question = b"%b\0\1\0\0\0\0\0\0%b\0\x06\0\1" % (_AA_NOTIFY, origin)
    answered: asyncio.Future[int] = loop.create_future()
    local = (source, 0) if source else None
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answers(number, answered), remote_addr=(server.host, server.port), local_addr=local
    )
    try:
        transport.sendto(number + question)
        return await asyncio.wait_for(answered, PATIENCE)
    finally:
        transport.close()


class _Answers(asyncio.DatagramProtocol):
    """Waits for the answer with our ID; what else comes is passed over."""

    def __init__(self, number: bytes, answered: asyncio.Future[int]) -> None:
        self._number = number
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        is_answer = len(data) >= 12 and data[:2] == self._number and data[2] & 0xF8 == 0x80 | types.NOTIFY << 3
        if is_answer and not self._answered.done():
            self._answered.set_result(data[3] & 15)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)
