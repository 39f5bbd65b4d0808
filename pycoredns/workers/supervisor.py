"""A server whose questions are answered by workers: it keeps their sockets, and answers /metrics, /health and /ready for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pycoredns import ports
from pycoredns.assemble import Assembly
from pycoredns.metrics import Family
from pycoredns.output import show_debug, writer
from pycoredns.peers import Message, NobodyAnswers, Peers, Role, become
from pycoredns.server import Server
from pycoredns.sockets import Sockets
from pycoredns.sources import Source
from pycoredns.workers import figures
from pycoredns.workers.crew import Crew
from pycoredns.workers.member import Member
from pycoredns.workers.nursery import Nursery
from pycoredns.workers.plan import Plan


class SupervisorPeers(Peers):
    """The workers, as the plugins that run in the supervisor see them."""

    role = Role.SUPERVISOR

    def __init__(self, size: int, nursery: Nursery) -> None:
        """Nobody is born yet."""
        super().__init__()
        self._figures = figures.Figures()
        self.crew = Crew(size, nursery.fork, self._figures.bury)

    @property
    def leading(self) -> bool:
        """What only one may do is done by a worker."""
        return False

    @property
    def processes(self) -> Sequence[int]:
        """The supervisor's, then the workers'."""
        return (os.getpid(), *(member.process for member in self.crew.members.values()))

    async def gather(self, topic: str) -> Sequence[Message | None]:
        """The answer of each worker."""
        return await self.crew.ask_all("answer", Message([topic, None]))

    async def ask_leader(self, topic: str, message: Message) -> Message:
        """Nothing runs here that would ask."""
        raise NobodyAnswers(topic)

    async def silent(self) -> Sequence[str]:
        """Those that live, but do not answer."""
        members = self.crew.started
        heard = await asyncio.gather(*(self.crew.ask(member, "hear") for member in members))
        pairs = zip(members, heard, strict=True)
        return [str(member) for member, answer in pairs if answer is None and not member.dead.is_set()]

    async def families(self) -> Sequence[Family]:
        """The sum of what all have counted; of one that does not answer, what it said last."""
        await self.crew.begun.wait()
        await asyncio.gather(*map(self._count, self.crew.started))
        return self._figures.total([figures.written(), *(member.last for member in self.crew.members.values())])

    async def _count(self, member: Member) -> None:
        """Keeps what a worker has counted; whoever dies while others are asked is buried with that."""
        answer = await self.crew.ask(member, "count")
        if answer is not None:
            member.last = answer.value


class Supervisor(Server):
    """Opens sockets for its workers, and starts, reloads and stops them as a lone server does itself."""

    def __init__(self, assembly: Assembly, source: Source, crew: Crew) -> None:
        """Opens nothing yet; ``assembly`` was made from ``source``."""
        super().__init__(assembly)
        self._source = source
        self._crew = crew
        self._plan: Plan | None = None

    def successor(self, assembly: Assembly) -> Supervisor:
        """One with the same workers."""
        return Supervisor(assembly, self._source, self._crew)

    async def start(self, old: Server | None = None) -> None:
        """Has the workers serve the assembly: all of them, or none."""
        async with self._crew.changing:
            await super().start(old)

    async def prepare(self, old: Server | None = None) -> None:
        """Opens all sockets, and has each worker make itself ready."""
        show_debug(self.assembly.settings.debug)
        self._begin_generation(old)
        if old is None:
            await self._run_plugins(None)  # what speaks for the server is there before the server is
            await self._crew.begin(self._open(None))
        else:
            await self._crew.prepare(self._open(old))
            await self._run_plugins(old)  # they ask the workers for what they know of by now

    def _open(self, old: Server | None) -> Plan:
        self.sockets = Sockets.open(self.services, old.sockets if old else None, self._crew.size)
        self._plan = Plan(self._source, self.assembly.corefile, self.sockets)
        return self._plan

    async def commit(self, old: Server | None = None) -> None:
        """Has the workers answer."""
        if self._plan is not None:
            await self._crew.commit(self._plan)
        if old is not None:
            old.sockets.beyond(self.sockets).leave()  # those of workers that are gone, too
        await ports.exchange.complete()

    async def announced(self) -> None:
        """Has the workers' lines follow those of the supervisor."""
        writer.flush()
        await self._crew.speak()

    async def give_up(self, old: Server | None = None) -> None:
        """Has the workers go on as before; at the first start, end."""
        await (self._crew.give_up() if old else self._crew.stop())
        await super().give_up(old)

    async def _finish(self, final: bool) -> None:
        await (self._crew.stop() if final else self._crew.retire())


def running(main: Callable[[Crew], Coroutine[Any, Any, int]], workers: int) -> int:
    """Runs a supervisor's coroutine, with a crew of so many workers; returns what it does."""
    nursery = Nursery()
    peers = SupervisorPeers(workers, nursery)
    become(peers)
    return nursery.run(main(peers.crew))
