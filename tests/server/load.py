"""Questions at a steady rate, and what became of each."""

import asyncio
import socket
from time import monotonic

from pycoredns.testing import query_wire

TURN = 0.01
"""Seconds between two handfuls of questions."""
MOST_OPEN = 200
"""Questions at a time: as many as any socket's queue holds, so that none is lost where a process is held up on a busy machine."""
PATIENCE = 10.0
"""Seconds that the last answers may take; less, and a busy machine would seem to lose questions."""


class Load(asyncio.DatagramProtocol):
    """Asks up to ``rate`` questions a second down one socket, each with an ID of its own."""

    def __init__(self, port: int, names: list[str], rate: int) -> None:
        self.asked = 0
        self.rcodes: dict[int, int] = {}
        self.slowest = 0.0
        self._address = ("127.0.0.1", port)
        self._names = names
        self._rate = rate
        self._open: dict[bytes, float] = {}

    async def run(self, seconds: float) -> None:
        """Asks for so long, then waits until all questions are answered; raises TimeoutError if one never is."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._address, family=socket.AF_INET)
        # while this process is held up, answers wait
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        begun = monotonic()
        try:
            while (now := monotonic()) - begun < seconds:
                while self.asked < (now - begun) * self._rate and len(self._open) < MOST_OPEN:
                    wire = query_wire(self._names[self.asked % len(self._names)])
                    self._open[wire[:2]] = now
                    transport.sendto(wire)
                    self.asked += 1
                await asyncio.sleep(TURN)
            async with asyncio.timeout(PATIENCE):
                while self._open:
                    await asyncio.sleep(TURN)
        finally:
            transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        begun = self._open.pop(data[:2], None)
        if begun is not None:
            self.slowest = max(self.slowest, monotonic() - begun)
            self.rcodes[data[3] & 15] = self.rcodes.get(data[3] & 15, 0) + 1

    def error_received(self, exc: Exception) -> None:
        self.rcodes[-1] = self.rcodes.get(-1, 0) + 1
