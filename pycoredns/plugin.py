"""The contract of a plugin: a step in the way of a query.

Changes the answer: ``handle``. Only looks at it: ``observe``. Owns something: ``running``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, TypeVarTuple

from pycoredns.answer import Answer
from pycoredns.direct import CountKinds, Direct
from pycoredns.errors import ServerFailure
from pycoredns.output import logger
from pycoredns.peers import Role
from pycoredns.request import Request
from pycoredns.response import Response

if TYPE_CHECKING:
    from pycoredns.chain import Block
    from pycoredns.service import Service
    from pycoredns.settings import BlockSettings

log = logger("pycoredns")
Handler: TypeAlias = Callable[[Request], Answer]
Shown = TypeVarTuple("Shown")
Answered: TypeAlias = tuple[Request, Response]
"""A question and the answer that has been sent."""


class Outcome:
    """An answer that has been sent, for those who count or log it.

    ``request`` is the first that was answered so; where the answer was given from memory, ``id`` and ``peer`` are those of the
    one at hand, and ``times`` says for how many it stands. ``duration`` is in nanoseconds.
    """

    duration: int
    times: int = 1
    note: object = None
    """What an observer keeps with an answer that is given again."""
    number: int | None = None
    """The ID, where it is not that of ``request``."""
    slow: dict[int, int] | None = None
    """Of ``times``, those that took longer than CoreDNS's first bucket, by bucket; None where ``duration`` says it all."""

    def __init__(self, request: Request, response: Response, block: Block | None, error: Exception | None = None) -> None:
        """``error`` is what the chain raised in place of an answer; then ``response`` is the server's own."""
        self.request = request
        self.response = response
        self.block = block
        self.error = error
        self.peer = request.peer

    @property
    def id(self) -> int:
        """The query's ID."""
        return self.request.id if self.number is None else self.number

    @property
    def client(self) -> tuple[str, int]:
        """Address and port of the client."""
        return self.request.listener.client(self.peer)

    @property
    def size(self) -> int:
        """Octets of the answer before compression, without what the server adds (CoreDNS's rsize)."""
        return self.response.size(self.request)


def tell(observers: Iterable[Callable[[*Shown], None]], *shown: *Shown) -> None:
    """Shows an outcome, or what is counted of some, to observers; the fault of one is logged, as it must not stop an answer."""
    for observe in observers:
        try:
            observe(*shown)
        except Exception as error:  # a background step ends here
            log.error("observer failed: %r", error, exc_info=error)


def no_next(name: str) -> Handler:
    """What stands behind the last plugin of a chain: SERVFAIL, as CoreDNS has it."""

    def handle(request: Request) -> Answer:
        raise ServerFailure(f"plugin/{name}: no next plugin found")

    return handle


class Plugin:
    """A step of the chain. Its dataclass fields are its Corefile options (see ``pycoredns.corefile.options``).

    ``handle`` is a plain function unless it waits. It returns a Response, an awaitable of one, or raises a DNSError; to change
    the answer of those behind it: ``return then(self.next(request), self.changed_answer)``.
    """

    name: ClassVar[str] = ""
    """Its directive; set from its entry point."""
    before: ClassVar[str] = ""
    """An outside plugin says which plugin it runs just before."""
    step: ClassVar[bool] = True
    """False for one that configures the server or offers a service, but never sees a question."""
    each: ClassVar[bool] = False
    """Must ``observe`` be called for each answer, in order (a log), or may it be told ``times`` at once (a counter)?"""

    roles: ClassVar[Role] = Role.LONE | Role.WORKER
    """In which processes does it run, where there are several?"""

    next: Handler = staticmethod(no_next(""))
    """The rest of the chain."""
    block: Block
    """The server block it stands in, with its zones and services."""

    def configure(self, settings: BlockSettings) -> None:
        """Says what the server must know of it before sockets are opened: addresses, folders, intervals."""

    def handle(self, request: Request) -> Answer:
        """Answers, or passes the question on."""
        return self.next(request)

    def observe(self, outcome: Outcome) -> None:
        """Sees an answer that has been sent. Called only where it is overridden."""

    def observe_many(self, answered: Sequence[Answered], durations: Sequence[int]) -> None:
        """Sees answers of one listener that left together, none after an error; ``durations`` are in nanoseconds, each its own.

        For a counter (``each`` is False) that counts many faster than one by one; by default each is shown to ``observe``.
        """
        for (request, response), duration in zip(answered, durations, strict=True):
            outcome = Outcome(request, response, self.block)
            outcome.duration = duration
            self.observe(outcome)

    def kind_counter(self) -> CountKinds | None:
        """Counts answers that were found directly and left together, by their kinds; None if it has to see each."""
        return None

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """How it answers directly where that is all the same as by ``handle`` (see ``pycoredns.direct``).

        ``following`` is the way of the plugins behind it; None where they have none. Asked once for each service, when all
        are running.
        """
        return None

    def observe_failure(self, outcome: Outcome) -> None:
        """Sees an answer that has been sent after an error (``outcome.error`` or ``outcome.response.error``)."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens what it needs, yields while the server runs, closes it."""
        yield

    async def drain(self, final: bool) -> None:
        """The server is about to stop (``final``) or was replaced by a reloaded one; its sockets close once this returns."""

    def ready(self) -> bool:
        """Can it answer? Asked by /ready."""
        return True

    def take_over(self, old: Self) -> None:
        """Keeps what is warm (a cache, a mirror, connections) from its predecessor, on a reload.

        That one goes on answering meanwhile, and for good if the reload fails, so nothing may be taken away from it.
        """

    def answers_all(self, zone: bytes) -> bool:
        """Is every question for a zone's names answered here, so that no plugin behind is ever asked? For ``pycoredns check``."""
        return False

    def counted_zone(self, name: bytes) -> bytes | None:
        """A zone that it found by itself, and that questions for a name are counted for; None for those of the server block."""
        return None

    def doubts(self, served: Sequence[tuple[str, int]]) -> Iterable[str]:
        """What is legal but surely not meant, for ``pycoredns check``; its block is to be served at these addresses and ports."""
        return ()

    def changed(self) -> None:
        """To be called when the plugin's data have changed: answers remembered for its block no longer hold."""
        self.block.changed()


def overrides(plugin: Plugin, method: str) -> bool:
    """Does a plugin have its own form of a method of the contract?"""
    return getattr(type(plugin), method) is not getattr(Plugin, method)
