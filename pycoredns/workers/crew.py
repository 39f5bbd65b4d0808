"""The workers of a supervisor: begun, told what to do, replaced when they die."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from time import monotonic
from typing import Any, TypeAlias

from pycoredns.errors import StartError
from pycoredns.metrics import Counter, Gauge
from pycoredns.output import logger, writer
from pycoredns.peers import Message, NobodyAnswers
from pycoredns.server import DRAIN_SECONDS
from pycoredns.sockets import Sockets
from pycoredns.workers import worker
from pycoredns.workers.channel import Channel, Refused
from pycoredns.workers.figures import Written
from pycoredns.workers.handing import Ways
from pycoredns.workers.member import Member
from pycoredns.workers.nursery import FATAL
from pycoredns.workers.plan import Plan, written

ANSWER_SECONDS = 2.0
"""How long a worker may take to answer what all are asked."""
UNDO_SECONDS = 5.0
"""How long it may take to give a reload up."""
BURIAL_SECONDS = 1.0
"""How long it may take to learn of the death of one whose channel has ended."""
LEADER_SECONDS = 60.0
"""How long the one that leads may take to answer another: it may wait for news itself."""
SILENCE_SECONDS = 15.0
"""After which a worker is ended that answers nothing at all. What it was told to do may take as long as it needs."""
LISTEN_SECONDS = 5.0
"""Between two questions whether it is still there."""
READY_SECONDS = 60.0
"""How long another worker answers in the place of one that has died, at most, until the new one can."""
_LOOK = 0.02
STOP_SECONDS = DRAIN_SECONDS + 3.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before one that died soon after its birth is replaced; they double each time. Others are replaced at once."""
SOON = 10.0

Fork: TypeAlias = Callable[[Callable[[], int], Collection[int]], Awaitable[int]]

deaths = Counter("deaths_total", "Workers that ended though nobody told them to.", prefix="coredns_pycoredns_worker_")
serving = Gauge("workers", "Workers that answer questions.", prefix="coredns_pycoredns_")
log = logger("pycoredns")


class Crew:
    """A number of workers that follow one plan. Whoever changes it, or them, holds ``changing``."""

    def __init__(self, size: int, fork: Fork, buried: Callable[[Written], None]) -> None:
        """``fork`` runs a function in a process of its own; ``buried`` is told what a worker had counted that is gone."""
        self.size = size
        self.members: dict[int, Member] = {}
        self.changing = asyncio.Lock()
        self._helping = asyncio.Lock()
        """Who answers at which sockets changes under it; it may be taken by who holds ``changing``, not the other way round."""
        self.begun = asyncio.Event()
        """Set once there are workers that answer."""
        self._ways = Ways(0)
        self._fork = fork
        self._buried = buried
        self._plan: Plan | None = None
        self._leader: Member | None = None
        self._pauses = dict.fromkeys(range(size), 0.0)
        self._helpers: dict[int, Member] = {}
        """Who answers in the place of a worker that is gone, by that one's number."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    @property
    def started(self) -> list[Member]:
        """Those that answer questions."""
        return [member for member in self.members.values() if member.started]

    # --- from one plan to the next

    async def begin(self, plan: Plan) -> None:
        """Has workers born that are ready for the first plan; raises StartError if one of them is not.

        What they log of their answers waits for ``speak``.
        """
        self._plan, self._ways = plan, Ways(self.size)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        members = [await self._beget(number, plan) for number in range(self.size)]
        await _all(member.channel.call("start", Message(True)) for member in members)
        for member in members:
            self._enrol(member)
        self.begun.set()

    async def prepare(self, plan: Plan) -> None:
        """Makes all ready for a plan; raises StartError if one of them cannot follow it, and then all must ``give_up``.

        One that dies meanwhile does not matter: another one will follow the plan in its place.
        """
        await _all(self._prepare_or_bury(member, plan) for member in self.started)
        if not self.started:
            raise StartError("there is no worker that could follow it")

    async def _prepare_or_bury(self, member: Member, plan: Plan) -> None:
        try:
            await self._prepare(member, plan)
        except NobodyAnswers as error:
            try:
                async with asyncio.timeout(BURIAL_SECONDS):
                    await member.dead.wait()
            except TimeoutError:
                raise error from None

    async def _prepare(self, member: Member, plan: Plan) -> None:
        present = self._plan.sockets if self._plan else Sockets()
        await self._give(member, plan.sockets.beyond(present).of_worker(member.number))
        keys = [written(key) for key in plan.sockets.bound]
        await member.channel.call("prepare", Message([plan.corefile.checksum, keys]))

    async def _give(self, member: Member, sockets: Sockets, absent: int | None = None, seconds: float | None = None) -> None:
        """Hands sockets over: for the next server, or those of a worker that is absent."""
        for key, own in sockets.bound.items():
            await member.channel.call("take", Message([absent, written(key)]), own, seconds)

    async def commit(self, plan: Plan) -> None:
        """Has all follow the plan they are ready for; one that does not is replaced by one that will."""
        async with self._helping:
            self._plan = plan
            await asyncio.gather(*(self._commit(member) for member in self.started))
            await self._help_all()  # their new servers know nothing of whom the old ones have helped

    async def _commit(self, member: Member) -> None:
        try:
            await member.channel.call("commit")
        except (NobodyAnswers, Refused) as error:
            log.error("%s does not follow the reload: %s", member, error)
            member.kill()

    async def speak(self) -> None:
        """Lets all log what they answer."""
        await self.ask_all("speak")

    async def give_up(self) -> None:
        """Has all go on as before; one that does not is replaced by one that will."""
        await asyncio.gather(*(self._give_up(member) for member in self.started))

    async def _give_up(self, member: Member) -> None:
        try:
            await member.channel.call("give_up", seconds=UNDO_SECONDS)
        except (NobodyAnswers, Refused) as error:
            log.error("%s does not give the reload up: %s", member, error)
            member.kill()

    async def retire(self) -> None:
        """Waits until the servers that were replaced in the workers have ended."""
        await asyncio.gather(*(self.ask(member, "retire", seconds=STOP_SECONDS) for member in self.started))

    async def stop(self) -> None:
        """Has all let pending answers leave, and end."""
        self._stopping = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*(self._stop(member) for member in self.members.values()))
        self._ways.close()

    async def _stop(self, member: Member) -> None:
        try:
            if member.started:
                await member.channel.call("stop", seconds=STOP_SECONDS)
                async with asyncio.timeout(1):
                    await member.dead.wait()
        except (NobodyAnswers, Refused, TimeoutError) as error:
            log.warning("%s does not stop: %s", member, error or "it is still there")
        member.kill()
        await member.dead.wait()

    # --- birth

    async def _beget(self, number: int, plan: Plan) -> Member:
        """Forks a worker; the first one leads."""
        ours, theirs = socket.socketpair()
        leading = self._leader is None
        own = [*self._ways.of_worker(number), *(several[number] for several in plan.sockets.bound.values())]
        keep = {each.fileno() for each in (theirs, *own)}
        try:
            process = await self._fork(lambda: worker.live(number, plan, theirs, leading, self._ways), keep)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        member = self._adopt(number, process, ours)
        if leading:
            self._leader = member
        return member

    def _adopt(self, number: int, process: int, sock: socket.socket) -> Member:
        channel = Channel(sock, {"ask_leader": self._ask_leader}, lambda: member.kill())
        member = self.members[number] = Member(number, process, channel)
        channel.start()
        self._do(self._watch(member))
        self._reap()  # one that died at once was not known yet
        return member

    async def _watch(self, member: Member) -> None:
        """Ends a worker that is silent for too long; those who wait for it learn of its death."""
        while not member.dead.is_set():
            try:
                await member.channel.call("hear", seconds=SILENCE_SECONDS, always=True)
            except NobodyAnswers as error:
                if not member.dead.is_set():
                    log.error("%s is silent, and is ended: %s", member, error)
                    member.kill()
                return
            await asyncio.sleep(LISTEN_SECONDS)

    def _enrol(self, member: Member) -> None:
        """Counts a worker among those that answer questions."""
        member.started = True
        serving.cell().value = len(self.started)
        if self._leader is None:
            self._appoint(member)

    async def _replace(self, number: int, pause: float) -> None:
        """Has a worker born in the place of a dead one; until it can answer another one does."""
        while True:
            async with self._helping:
                await self._help_all()
            await asyncio.sleep(pause)
            async with self.changing:
                if self._plan is None or await self._try_to_replace(number, self._plan):
                    return
            pause = self._next_pause(number)

    async def _try_to_replace(self, number: int, plan: Plan) -> bool:
        try:
            member = await self._beget(number, plan)
            await member.channel.call("start")
            await self._until_ready(member)
            async with self._helping:
                await self._relieve(member)
        except (OSError, NobodyAnswers, Refused) as error:
            log.error("worker %d cannot be replaced: %s", number, error)
            if number in self.members:
                self.members[number].kill()
                await self.members[number].dead.wait()
            return False
        log.info("%s answers in its place", member)
        return True

    async def _relieve(self, member: Member) -> None:
        """Has a worker answer for itself, and nobody else in its place."""
        for each in self.started:  # an earlier try may have asked another one
            self._do(each.channel.call("help_no_more", Message(member.number), seconds=ANSWER_SECONDS))
        await member.channel.call("commit")
        self._helpers.pop(member.number, None)
        self._enrol(member)

    async def _help_all(self) -> None:
        """Has others answer at the sockets of all that are gone."""
        present = {member.number for member in self.started}
        for number in range(self.size):
            if number not in present:
                await self._find_help(number)

    async def _find_help(self, number: int) -> None:
        """Has another worker answer at the sockets of one that is gone; where one does already, nothing changes."""
        sockets = self._plan.sockets.of_worker(number) if self._plan else Sockets()
        self._helpers.pop(number, None)
        for helper in self.started:
            try:
                await self._give(helper, sockets, number, ANSWER_SECONDS)
                await helper.channel.call("help_out", Message(number), self._ways.ends[number : number + 1], ANSWER_SECONDS)
            except (OSError, NobodyAnswers, Refused) as error:
                log.warning("%s cannot help: %s", helper, error)
                continue
            self._helpers[number] = helper
            return

    async def _until_ready(self, member: Member) -> None:
        """Waits until a worker has what it answers from (from etcd, for one), unless its helper has not either, or is gone."""
        helper = self._helpers.get(member.number)
        until = monotonic() + READY_SECONDS
        if helper is not None and await _says_ready(helper):
            while monotonic() < until and not helper.dead.is_set():
                if await member.is_ready():
                    return
                await asyncio.sleep(_LOOK)

    def _next_pause(self, number: int) -> float:
        pause = self._pauses[number]
        self._pauses[number] = min(max(pause * 2, SHORTEST_PAUSE), LONGEST_PAUSE)
        return pause

    # --- death

    def _reap(self) -> None:
        """Learns which workers have ended."""
        for member in tuple(self.members.values()):
            process, status = os.waitpid(member.process, os.WNOHANG)
            if process:
                self._bury(member, os.waitstatus_to_exitcode(status))

    def _bury(self, member: Member, status: int) -> None:
        """Forgets a worker, and has it replaced if it was serving."""
        del self.members[member.number]
        member.dead.set()
        member.channel.close()
        self._buried(member.last)
        serving.cell().value = len(self.started)
        if self._stopping:
            return
        if status == FATAL:
            writer.flush()
            os._exit(FATAL)  # as the server would have done by itself; its line has been written
        if member is self._leader:
            self._leader = None
            for heir in self.started[:1]:
                self._appoint(heir)
        if member.started:
            self._mourn(member, status)

    def _mourn(self, member: Member, status: int) -> None:
        deaths.cell().value += 1
        if monotonic() - member.born > SOON:
            self._pauses[member.number] = 0.0
        pause = self._next_pause(member.number)
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        log.error("%s %s; another one begins %s", member, how, f"in {pause:g} s" if pause else "at once")
        self._do(self._replace(member.number, pause))

    # --- one for all, all for one

    def _appoint(self, member: Member) -> None:
        """Has a worker lead."""
        self._leader = member
        self._do(member.channel.call("lead"))

    async def _ask_leader(self, message: Message, _: list[socket.socket]) -> Message:
        """Passes a worker's question on to the one that leads."""
        if self._leader is None:
            raise NobodyAnswers("no worker leads just now")
        return await self._leader.channel.call("answer", message, seconds=LEADER_SECONDS)

    async def ask_all(self, name: str, message: Message | None = None) -> Sequence[Message | None]:
        """What each worker says, by number; None for one that is not there or says nothing in time. At first waits for them."""
        await self.begun.wait()
        return await asyncio.gather(*(self.ask(self._present(number), name, message) for number in range(self.size)))

    def _present(self, number: int) -> Member | None:
        """A worker, or who answers questions in its place."""
        member = self.members.get(number)
        return member if member and member.started else self._helpers.get(number)

    async def ask(
        self, member: Member | None, name: str, message: Message | None = None, seconds: float = ANSWER_SECONDS
    ) -> Message | None:
        """What a worker says; None if it is not there or says nothing in time."""
        if member is None or not member.started:
            return None
        try:
            return await member.channel.call(name, message, seconds=seconds)
        except (NobodyAnswers, Refused):
            return None

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """Does something beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, NobodyAnswers):  # of who is gone its death has been told
            log.error("the supervisor failed: %r", error, exc_info=error)


async def _says_ready(helper: Member) -> bool:
    """Whether a helper is ready; one that cannot tell is not."""
    try:
        return await helper.is_ready(ANSWER_SECONDS)
    except (NobodyAnswers, Refused):
        return False


async def _all(calls: Iterable[Awaitable[object]]) -> None:
    """Waits for all; raises StartError with what the first one says that cannot be done."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, Refused):
            raise StartError(str(outcome))
        if isinstance(outcome, BaseException):
            raise StartError(f"a worker: {outcome}") from outcome
