"""Say when all plugins can answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Annotated, ClassVar, Literal

from pycoredns.corefile.kinds import ListenAddress
from pycoredns.corefile.options import Argument, Option
from pycoredns.frozen import changeable
from pycoredns.http import HTTPReply, HTTPRequest, Route, open_route
from pycoredns.output import logger
from pycoredns.peers import Message, Role, here
from pycoredns.plugin import Plugin

__all__ = ["Ready"]

PATH = "/ready"
OK = HTTPReply(200, b"OK")
STARTING = 1.0
"""Seconds after the start in which an answer waits for plugins that are about to be ready: CoreDNS's are so at once."""
PATIENCE = 0.5
"""Seconds that it waits at most; those who probe give up after one."""

log = logger("plugin/ready")


@changeable
class Ready(Plugin):
    """Answer /ready once the plugins of all server blocks with this plugin can answer."""

    step: ClassVar[bool] = False
    roles: ClassVar[Role] = Role.LONE | Role.WORKER | Role.SUPERVISOR

    address: Annotated[ListenAddress, Argument("where /ready is served")] = ListenAddress("", 8181)
    monitor: Annotated[Literal["until-ready", "continuously"], Option("whether a plugin that was ready once is asked again")] = (
        "until-ready"
    )

    def __post_init__(self) -> None:
        """No plugin has been asked yet."""
        self._were_ready: set[int] = set()
        self._route: Route | None = None
        self._started = monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves /ready."""
        self._started = monotonic()
        self._topic = f"ready/{list(self.block.siblings).index(self.block)}"
        self._route = await open_route(self.address, PATH, self.answer)
        try:
            with here().offering(self._topic, lambda _: Message(self.missing())):
                yield
        finally:
            await self._route.close()

    async def drain(self, final: bool) -> None:
        """A server that stops is not ready, even where it goes on for a while; see health's lameduck."""
        if final and self._route is not None:
            await self._route.close()

    async def answer(self, request: HTTPRequest) -> HTTPReply:
        """200, or 503 with the names of those that are not ready, whichever worker they are in, and with commas between them."""
        asked = monotonic()
        patience = PATIENCE if asked < self._started + STARTING else 0.0
        while names := await self._missing_anywhere():
            if monotonic() >= asked + patience:
                break
            await asyncio.sleep(0.02)
        if not names:
            return OK
        missing = ",".join(sorted(names))
        log.info('Plugins not ready: "%s"', missing)
        return HTTPReply(503, missing.encode())

    async def _missing_anywhere(self) -> set[str]:
        names: set[str] = set()
        for number, answer in enumerate(await here().gather(self._topic)):
            names.update((f"worker {number}",) if answer is None else answer.value)
        return names

    def missing(self) -> list[str]:
        """The names of the plugins that are not ready."""
        blocks = [block for block in self.block.siblings if any(isinstance(plugin, Ready) for plugin in block.plugins)]
        return sorted({plugin.name for block in blocks for plugin in block.plugins if not self._is_ready(plugin)})

    def _is_ready(self, plugin: Plugin) -> bool:
        if id(plugin) in self._were_ready:
            return True
        ready = plugin.ready()
        if ready and self.monitor == "until-ready":
            self._were_ready.add(id(plugin))
        return ready
