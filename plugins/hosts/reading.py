"""Reading a file of hosts without keeping anyone waiting: its octets in a thread, its lines some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from pycoredns.output import logger
from pycoredns.plugins.hosts.table import Table

log = logger("plugin/hosts")

LONGEST_LINE = 65536
"""Octets; CoreDNS reads no further than to a longer line either."""
_CHUNK = 1 << 18
_AT_ONCE = 256  # lines, half a millisecond


async def read(path: Path, table: Table) -> None:
    """Adds the lines of a file to a table. Raises OSError."""
    batches = _batches(path)
    number, bad = 0, list[int]()
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        for start in range(0, len(batch), _AT_ONCE):
            for line in batch[start : start + _AT_ONCE]:
                number += 1
                if not table.add(line):
                    bad.append(number)
            await asyncio.sleep(0)
    if bad:
        log.warning("%s:%d: no address with names; such lines are passed over (%d in all)", path, bad[0], len(bad))


def _batches(path: Path) -> Iterator[list[bytes]]:
    """The lines of a file, as many at a time as its next part holds."""
    rest = b""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            yield lines
            if len(rest) > LONGEST_LINE:
                log.warning("%s: a line of more than %d octets; what follows is not read", path, LONGEST_LINE)
                return
    yield [rest]
