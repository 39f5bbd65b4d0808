"""The server's side of the process that signs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

from pycoredns.plugins.sign.work import Outcome, Work, to_line

_PROGRAM = "from pycoredns.plugins.sign.worker import main; main()"
_PATIENCE = 2.0
"""Seconds in which it shall end when it is told to."""
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class Signer:
    """A process that signs one zone after the other."""

    def __init__(self, process: Process) -> None:
        """Takes a process that has been started."""
        self._process = process
        self.ended = False
        """Has it gone without having been told to?"""

    @staticmethod
    def turn() -> asyncio.Lock:
        """There is one signer at a time, however many zones there are."""
        return _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Starts the process, and ends it also in the middle of its work. Raises OSError."""
        command = (sys.executable, "-P", "-c", _PROGRAM)
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=_environment())
        try:
            yield cls(process)
        finally:
            await _end(process)

    async def sign(self, work: Work) -> Outcome:
        """Has a zone signed."""
        reader, writer = self._process.stdout, self._process.stdin
        line = b""
        if reader and writer:
            with suppress(ConnectionError):  # then there is no answer either
                writer.write(to_line(work))
                await writer.drain()
            line = await reader.readline()
        self.ended = not line
        return json.loads(line) if line else {"error": "the process that signs has ended", "seconds": 0.0}


def _environment() -> dict[str, str]:
    """Ours, with our path of modules: by itself a process would look into the working directory, which may be anybody's."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)}


async def _end(process: Process) -> None:
    """Ends it and waits for that, even if one is told to stop meanwhile."""
    ending = asyncio.ensure_future(_ended(process))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _ended(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.communicate()
