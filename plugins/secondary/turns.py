"""How much is done at a time for all the zones of a process, so that thousands of them are no burst of connections."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from weakref import WeakKeyDictionary

from pycoredns.corefile.servers import ServerAddress

TRANSFERS = 16
"""Transfers at a time."""
LOOKS = 32
"""Questions for a serial at a time to each primary."""


class Turns:
    """Whoever wants to ask a primary waits here for his turn."""

    def __init__(self) -> None:
        """Belongs to an event loop."""
        self.transfer = asyncio.Semaphore(TRANSFERS)
        self._looks: defaultdict[ServerAddress, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LOOKS))

    def look(self, server: ServerAddress) -> asyncio.Semaphore:
        """For a question for a serial; a primary that is silent keeps nobody from asking the others."""
        return self._looks[server]


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def of_this_loop() -> Turns:
    """Those that all server blocks share."""
    return _turns.setdefault(asyncio.get_running_loop(), Turns())
