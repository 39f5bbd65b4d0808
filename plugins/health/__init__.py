"""Say that the server is alive, and go on for a while after it was told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from pycoredns.background import beside
from pycoredns.corefile.kinds import ListenAddress
from pycoredns.corefile.model import Directive
from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import Argument, BadValueError, Context, Option, Repetition
from pycoredns.durations import duration_text
from pycoredns.frozen import changeable
from pycoredns.http import HTTPReply, HTTPRequest, open_route
from pycoredns.metrics import Counter, Histogram
from pycoredns.output import logger
from pycoredns.peers import Role, here
from pycoredns.plugin import Plugin
from pycoredns.plugins.health.overload import BUCKETS, measure

__all__ = ["Health"]

PATH = "/health"
OK = HTTPReply(200, b"OK")

log = logger("plugin/health")


class Lameduck(Duration):
    """How long the server goes on after it was told to stop."""

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """Exactly one word."""
        if len(line.arguments) != 1:
            raise BadValueError("Wrong argument count or unexpected line ending after 'lameduck'", "usage: lameduck DURATION")
        return cls.parse(line.arguments[0], context)


@changeable
class Health(Plugin):
    """Answer /health while the process runs, and go on answering questions for a while after it was told to stop."""

    step: ClassVar[bool] = False
    repeated: ClassVar[Repetition] = "last"
    roles: ClassVar[Role] = Role.LONE | Role.SUPERVISOR

    address: Annotated[ListenAddress, Argument("where /health is served")] = ListenAddress("", 8080)
    lameduck: Annotated[Lameduck | None, Option("how long the server goes on after it was told to stop")] = None

    durations: ClassVar = Histogram("request_duration_seconds", "Time that the server takes to ask itself.", buckets=BUCKETS)
    failures: ClassVar = Counter("request_failures_total", "How often the server could not ask itself.")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves /health, and asks for it once a second to see how busy the process is."""
        route = await open_route(self.address, PATH, self.answer)
        try:
            async with beside(measure(self.address, PATH, self.durations.cell(), self.failures.cell())):
                yield
        finally:
            await route.close()

    async def answer(self, request: HTTPRequest) -> HTTPReply:
        """Who answers is alive; where there are workers, so must all be that run."""
        silent = await here().silent()
        return HTTPReply(503, ", ".join(silent).encode()) if silent else OK

    async def drain(self, final: bool) -> None:
        """Waits, so that those who send questions learn in time that they must go elsewhere."""
        if final and self.lameduck:
            log.info("Going into lameduck mode for %s", duration_text(self.lameduck))
            await asyncio.sleep(self.lameduck)
