"""How long the server takes to answer itself: a process that is overloaded takes longer."""

from __future__ import annotations

import asyncio
from time import perf_counter

from pycoredns.corefile.kinds import ListenAddress
from pycoredns.durations import duration_text
from pycoredns.metrics import Cell, HistogramCell
from pycoredns.output import logger

INTERVAL = 1.0
"""Seconds between two questions to itself."""
TIMEOUT = 3.0
SLOW = 1.0
"""Seconds; what takes longer is told."""
BUCKETS = tuple(0.00025 * 10**power for power in range(5))

log = logger("plugin/health")


async def measure(address: ListenAddress, path: str, durations: HistogramCell, failures: Cell) -> None:
    """Asks for a path again and again until it is cancelled."""
    while True:
        await asyncio.sleep(INTERVAL)
        started = perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT):
                await _ask(address, path)
        except (OSError, EOFError) as error:
            failures.value += 1
            log.warning('Local health request to "http://%s%s" failed: %s', address, path, str(error) or type(error).__name__)
        elapsed = perf_counter() - started
        durations.observe(elapsed)
        if elapsed > SLOW:
            log.warning('Local health request to "http://%s%s" took more than 1s: %s', address, path, duration_text(elapsed))


async def _ask(address: ListenAddress, path: str) -> None:
    """Returns when an answer has come; raises OSError, EOFError or TimeoutError, which is an OSError."""
    reader, writer = await asyncio.open_connection(address.host or "localhost", address.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        await reader.readline()
    finally:
        writer.close()
