"""Where several processes serve a zone: NOTIFY reaches one of them, and all look at the primaries then.

The one that leads hears of every NOTIFY, and counts the versions that it gets; the others ask it each second of which zones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from pycoredns.background import beside
from pycoredns.output import logger
from pycoredns.peers import Message, NobodyAnswers, Role, here

log = logger("plugin/secondary")
INTERVAL = 1.0
"""Seconds between two questions to the process that leads."""
MOST_HEARD = 10_000
"""Zones, each with a primary, that wait for one that leads."""


class Together:
    """What the processes tell each other about the zones of one plugin."""

    def __init__(self, notify: Callable[[bytes, str], None]) -> None:
        """``notify`` has a zone looked at (its name, and the address of a primary or nothing)."""
        self._notify = notify
        self._versions: dict[bytes, int] = {}
        self._newest = 0
        self._heard: dict[tuple[bytes, str], None] = {}
        """What the one that leads has yet to be told, the oldest first."""
        self._wake = asyncio.Event()

    def notified(self, origin: bytes, client: str) -> None:
        """This process has heard NOTIFY."""
        if not here().leading:
            if len(self._heard) < MOST_HEARD:
                self._heard[origin, client] = None
            self._wake.set()

    def arrived(self, origin: bytes) -> None:
        """This process has got a new version."""
        self._newest += 1
        self._versions[origin] = self._newest

    def ended(self, origin: bytes) -> None:
        """A zone is served no more."""
        self._versions.pop(origin, None)

    def _answer(self, message: Message) -> Message:
        """As the one that leads: looks at the zones another has heard of, and says which have new versions."""
        for name, client in message.value["heard"]:
            self._notify(bytes.fromhex(name), client)
        since = message.value["since"]
        new = [origin.hex() for origin, version in self._versions.items() if since < version]
        return Message({"newest": self._newest, "new": new})

    @asynccontextmanager
    async def running(self, topic: str) -> AsyncIterator[None]:
        """Tells and hears; ``topic`` is the same in all processes."""
        if here().role != Role.WORKER:
            yield
            return
        with here().offering(topic, self._answer):
            async with beside(self._follow(topic)):
                yield

    async def _follow(self, topic: str) -> None:
        """Asks the process that leads, unless this one does."""
        since = -1
        while True:
            self._wake.clear()
            if not here().leading:
                since = await self._ask(topic, since)
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _ask(self, topic: str, since: int) -> int:
        """Tells what was heard and has those zones looked at that have new versions; returns the number of the newest."""
        heard, self._heard = self._heard, {}
        question = {"since": since, "heard": [[origin.hex(), client] for origin, client in heard]}
        try:
            answer: Any = (await here().ask_leader(topic, Message(question))).value
        except NobodyAnswers:
            self._heard = dict.fromkeys(islice((*heard, *self._heard), MOST_HEARD))
            return -1  # another one leads soon, and counts anew
        for name in answer["new"]:
            self._notify(bytes.fromhex(name), "")
        return int(answer["newest"])
