"""A worker: a whole server but for what only one may have, in a process that its supervisor has forked."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import defaultdict

from pycoredns import memory
from pycoredns.assemble import Assembly, assemble
from pycoredns.background import in_background
from pycoredns.output import writer
from pycoredns.peers import Message, NobodyAnswers, Peers, Role, become, here
from pycoredns.reload import retire
from pycoredns.server import Server
from pycoredns.sockets import Key, Sockets
from pycoredns.transport.tcp import TCPListener
from pycoredns.workers import figures
from pycoredns.workers.channel import Channel, Handler, Refused
from pycoredns.workers.handing import Handing, Ways
from pycoredns.workers.plan import Plan, read


class WorkerPeers(Peers):
    """The others as a worker sees them: by way of the supervisor."""

    role = Role.WORKER

    def __init__(self, channel: Channel, leading: bool) -> None:
        """``leading``: it does what only one may do."""
        super().__init__()
        self.secret = here().secret
        self._channel = channel
        self._leading = leading

    @property
    def leading(self) -> bool:
        """Does it lead?"""
        return self._leading

    def lead(self) -> None:
        """From now on it does."""
        if not self._leading:
            self._leading = True
            for lead in tuple(self._heirs):
                lead()

    async def ask_leader(self, topic: str, message: Message) -> Message:
        """Asks the worker that leads."""
        if self._leading:
            return await self.answer(topic, message)
        try:
            return await self._channel.call("ask_leader", Message([topic, message.value], message.body))
        except Refused as error:
            raise NobodyAnswers(str(error)) from error


def live(number: int, plan: Plan, sock: socket.socket, leading: bool, ways: Ways) -> int:
    """The life of a worker, from its birth on; returns the exit status."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Worker(number, plan, sock, leading, ways).serve())


class Worker:
    """Does what the supervisor says.

    That is ``start``, ``commit`` and ``speak``; on a reload ``take``, ``prepare``, ``commit`` or ``give_up``; at last ``stop``.
    """

    def __init__(self, number: int, plan: Plan, sock: socket.socket, leading: bool, ways: Ways) -> None:
        """``number`` says which of the plan's sockets are its own, and which of the ``ways`` leads to it."""
        calls: dict[str, Handler] = {
            "start": self.start,
            "take": self.take,
            "prepare": self.prepare,
            "commit": self.commit,
            "speak": self.speak,
            "give_up": self.give_up,
            "retire": self.retire,
            "stop": self.stop,
            "help_out": self.help_out,
            "help_no_more": self.help_no_more,
            "ready": self.ready,
            "lead": self.lead,
            "hear": self.hear,
            "answer": self.answer,
            "count": self.count,
        }
        self._channel = Channel(sock, calls, self._abandon)
        self._peers = WorkerPeers(self._channel, leading)
        become(self._peers)
        self._source = plan.source
        self._server: Server | None = None
        self._handing = Handing(number, ways, self._listener)
        own, assembly = plan.sockets.of_worker(number), assemble(plan.corefile, plan.source.port)
        self._next: Server | None = Server(assembly, own, self._handing.for_listener)
        self._preparing: asyncio.Task[Server] | None = None
        self._taken: defaultdict[int | None, dict[Key, socket.socket]] = defaultdict(dict)
        """Sockets of workers that are gone, by their numbers; with None those of the next server."""
        self._listening = asyncio.Lock()
        """Who takes which questions is changed by one call after the other."""
        self._retiring: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def serve(self) -> int:
        """Waits for what the supervisor says, until it says stop."""
        self._channel.start()
        await self._ended.wait()
        return 0

    def _listener(self, key: Key) -> TCPListener | None:
        """The one that is at work for a key."""
        return self._server.listeners.tcp.get(key) if self._server else None

    def _abandon(self) -> None:
        """Without a supervisor there is nobody to stop or replace it, and a new server may want its addresses."""
        writer.flush(0.2)
        os._exit(0)

    # --- what the supervisor calls

    async def start(self, message: Message, _: list[socket.socket]) -> None:
        """Makes its first server ready. Where lines of answers are not to be first, they wait for ``speak``."""
        if self._next is not None:
            await self._next.prepare()
        if message.value:
            writer.hold()
        asyncio.get_running_loop().call_later(memory.SETTLED_AFTER, memory.settle)

    def take(self, message: Message, sockets: list[socket.socket]) -> None:
        """Takes a socket that the next server needs, or, where a worker's number comes with it, one that was that worker's."""
        number, key = message.value
        (self._taken[number][read(key)],) = sockets

    def _drop_taken(self, number: int | None) -> None:
        for sock in self._taken.pop(number, {}).values():
            sock.close()

    async def prepare(self, message: Message, _: list[socket.socket]) -> None:
        """Makes the next server ready, from the Corefile with this checksum and for the sockets with these keys."""
        await self._give_up_next()
        checksum, keys = message.value
        task = asyncio.get_running_loop().create_task(self._prepare(checksum, [read(key) for key in keys]))
        self._preparing = task
        await asyncio.wait([task])
        if self._preparing is not task:
            raise Refused("the reload was given up")
        self._preparing = None
        self._next = task.result()

    async def _prepare(self, checksum: str, keys: list[Key]) -> Server:
        assembly = await in_background(lambda: self._assemble(checksum))
        server = Server(assembly, self._sockets_for(keys), self._handing.for_listener)
        try:
            await server.prepare(self._server)
        except BaseException:
            await server.give_up(self._server)
            raise
        return server

    def _assemble(self, checksum: str) -> Assembly:
        """From the Corefile that the supervisor has read, too."""
        corefile = self._source.read()
        if corefile.checksum != checksum:
            raise Refused(f"{self._source.file} has changed while it was read")
        return assemble(corefile, self._source.port)

    def _sockets_for(self, keys: list[Key]) -> Sockets:
        """What has been taken, and what the present server has already."""
        taken = self._taken.pop(None, {})
        present = self._server.sockets.bound if self._server else {}
        return Sockets({key: [taken[key] if key in taken else present[key][0].dup()] for key in keys})

    async def commit(self, message: Message, _: list[socket.socket]) -> None:
        """The next server answers from now on."""
        if self._next is None:
            return
        old, self._server, self._next = self._server, self._next, None
        async with self._listening:
            await self._server.commit(old)
        if old is None:
            self._handing.begin()
            return
        task = asyncio.get_running_loop().create_task(retire(old))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def speak(self, message: Message, _: list[socket.socket]) -> None:
        """What is served has been said."""
        writer.release()

    async def give_up(self, message: Message, _: list[socket.socket]) -> None:
        """There is no next server after all."""
        await self._give_up_next()
        self._drop_taken(None)

    async def retire(self, message: Message, _: list[socket.socket]) -> None:
        """Waits until the servers that were replaced have ended."""
        await asyncio.gather(*self._retiring)

    async def _give_up_next(self) -> None:
        if self._preparing is not None:
            task, self._preparing = self._preparing, None
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:  # it had just become ready
                self._next = task.result()
        if self._next is not None:
            server, self._next = self._next, None
            await server.give_up(self._server)

    async def help_out(self, message: Message, ends: list[socket.socket]) -> None:
        """Answers in the place of a worker that is gone, at its sockets, which have been taken before, and the end of its way."""
        number = message.value
        for end in ends:
            self._handing.take_for(number, end)
        sockets = Sockets({key: [sock] for key, sock in self._taken.pop(number, {}).items()})
        try:
            async with self._listening:
                if self._server is not None:
                    await self._server.help_out(number, sockets)
        finally:
            sockets.close()

    async def help_no_more(self, message: Message, _: list[socket.socket]) -> None:
        """There is another worker in its place."""
        self._drop_taken(message.value)
        self._handing.leave_to(message.value)
        async with self._listening:
            if self._server is not None:
                self._server.help_no_more(message.value)

    def ready(self, message: Message, _: list[socket.socket]) -> Message:
        """Could it answer, or can it?"""
        server = self._next or self._server
        return Message(server is not None and all(plugin.ready() for block in server.blocks for plugin in block.plugins))

    async def stop(self, message: Message, _: list[socket.socket]) -> None:
        """Lets pending answers leave, and ends."""
        self._handing.end()
        if self._server is not None:
            await self._server.stop()
        await asyncio.gather(*self._retiring)
        self._ended.set()

    def hear(self, message: Message, _: list[socket.socket]) -> None:
        """Shows that it can answer."""

    def lead(self, message: Message, _: list[socket.socket]) -> None:
        """Does from now on what only one may do."""
        self._peers.lead()

    async def answer(self, message: Message, _: list[socket.socket]) -> Message:
        """Answers for a plugin: a topic and what is asked."""
        topic, value = message.value
        return await self._peers.answer(topic, Message(value, message.body))

    async def count(self, message: Message, _: list[socket.socket]) -> Message:
        """Tells what was counted."""
        services = self._server.services.values() if self._server else ()
        for listener in [listener for service in services for listener in service.listeners]:
            await listener.memo.count_in_turns()
        return Message(figures.written())
