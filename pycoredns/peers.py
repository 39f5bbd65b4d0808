"""The processes that share a server's sockets (``-workers``), as one of them sees the others; a lone server has none.

What only one process may do asks ``here().leading``. What one of them says for all asks the others:

with here().offering("ready", lambda message: Message(self.missing())):     # in each worker
    answers = await here().gather("ready")                                  # in the supervisor, or in a lone server
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Flag, auto
from typing import Any, TypeAlias

from pycoredns.frozen import frozen
from pycoredns.metrics import Family, families


class Role(Flag):
    """What a process is for."""

    LONE = auto()
    """A server in one process."""
    WORKER = auto()
    """One of several that answer questions."""
    SUPERVISOR = auto()
    """Keeps the workers, and answers for all of them at /metrics, /health and /ready."""


@frozen
class Message:
    """What one process tells another: a value that JSON can hold, and octets."""

    value: Any = None
    body: bytes = b""


Handler: TypeAlias = Callable[[Message], Message | Awaitable[Message]]


class NobodyAnswers(Exception):
    """The process that was asked is gone, is busy for too long, or knows nothing of the matter."""


class Peers:
    """A lone server's: it leads, and gathers from itself."""

    role = Role.LONE

    def __init__(self) -> None:
        """Nothing is offered yet."""
        self.secret = os.urandom(16)
        """Known to all processes of the server, and to nobody else."""
        self.generation = 0
        """How many servers have been begun in this process to replace the one before."""
        self._offers: dict[str, list[Handler]] = {}
        self._heirs: list[Callable[[], None]] = []

    @property
    def leading(self) -> bool:
        """Is this the one process that does what only one may do? There is one at any time, as long as there is any."""
        return True

    @property
    def processes(self) -> Sequence[int]:
        """The process IDs of all, this one's first."""
        return (os.getpid(),)

    @contextmanager
    def offering(self, topic: str, handler: Handler) -> Iterator[None]:
        """Has a handler asked about a topic; the newest of several is."""
        self._offers.setdefault(topic, []).append(handler)
        try:
            yield
        finally:
            self._offers[topic].remove(handler)
            if not self._offers[topic]:
                del self._offers[topic]

    @contextmanager
    def succeeding(self, lead: Callable[[], None]) -> Iterator[None]:
        """Has ``lead`` called when the process that led is gone, and this one leads in its place."""
        self._heirs.append(lead)
        try:
            yield
        finally:
            self._heirs.remove(lead)

    async def answer(self, topic: str, message: Message) -> Message:
        """What is offered here on a topic; raises NobodyAnswers if nothing is."""
        if topic not in self._offers:
            raise NobodyAnswers(topic)
        answer = self._offers[topic][-1](message)
        return answer if isinstance(answer, Message) else await answer

    async def gather(self, topic: str) -> Sequence[Message | None]:
        """The answer of each process that answers questions, None for one that has none."""
        return [await self.answer(topic, Message())]

    async def ask_leader(self, topic: str, message: Message) -> Message:
        """The answer of the process that leads; raises NobodyAnswers."""
        return await self.answer(topic, message)

    async def silent(self) -> Sequence[str]:
        """The names of the workers that run, but do not answer in time."""
        return ()

    async def families(self) -> Sequence[Family]:
        """The metrics of all processes, as if they were one."""
        return list(families())


_here = Peers()


def here() -> Peers:
    """This process among the others."""
    return _here


def become(peers: Peers) -> None:
    """Says what this process is, before its server is made."""
    global _here
    _here = peers
