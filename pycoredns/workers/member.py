"""A worker as its supervisor knows it."""

from __future__ import annotations

import asyncio
import os
import signal
from time import monotonic

from pycoredns.workers.channel import Channel
from pycoredns.workers.figures import Written


class Member:
    """One worker, as long as its process lives."""

    def __init__(self, number: int, process: int, channel: Channel) -> None:
        """It has been forked just now."""
        self.number = number
        self.process = process
        self.channel = channel
        self.born = monotonic()
        self.started = False
        self.last: Written = []
        """What it had counted when it was last asked."""
        self.dead = asyncio.Event()

    async def is_ready(self, seconds: float | None = None) -> bool:
        """Has it all that it answers from?"""
        return bool((await self.channel.call("ready", seconds=seconds)).value)

    def __str__(self) -> str:
        """As the log names it."""
        return f"worker {self.number} (process {self.process})"

    def kill(self) -> None:
        """Ends it at once; its place is free when it has been reaped."""
        if not self.dead.is_set():
            os.kill(self.process, signal.SIGKILL)
