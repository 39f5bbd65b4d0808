"""TCP and TLS to one upstream: connections are kept; few questions have one each, many share them."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from pycoredns.output import logger
from pycoredns.plugins.forward.datagrams import FULL
from pycoredns.plugins.forward.measures import Measures
from pycoredns.plugins.forward.messages import new_id
from pycoredns.plugins.forward.sockets import connect, dialling, said
from pycoredns.plugins.forward.waiting import Waiting
from pycoredns.transport.addresses import join

if TYPE_CHECKING:
    from pycoredns.plugins.forward.upstream import Terms

CONNECTIONS = 32
"""Connections to one upstream; further questions share them (RFC 7766 §6.2.1.1)."""
DIAL_TIMEOUT = 2.0
"""Seconds to connect, handshake and all, so that there is time left for another upstream."""
_LONGEST = 65535
log = logger("plugin/forward")


class Connection(asyncio.Protocol):
    """A connection, and the questions that wait for an answer on it by their ID."""

    most: ClassVar[int] = FULL
    """Questions that may share it."""
    queue: ClassVar[int] = 0
    """Questions that may wait until they have one, where all are in use."""

    def __init__(self, owner: Streams) -> None:
        """Takes questions before it is there; they are sent once it is."""
        self.pending: dict[bytes, Waiting] = {}
        self.opened = self.used = monotonic()
        self.route = owner.to
        self.retired = False
        self.full = False
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._rest = b""
        self._answered = False
        self._prepare()

    @property
    def connected(self) -> bool:
        """Is it there already?"""
        return self._transport is not None

    def send(self, waiting: Waiting) -> None:
        """Sends a question."""
        number = self._new_id()
        frame = self._frame(number + waiting.message)
        self.pending[number] = waiting
        waiting.sent = self.used = monotonic()
        if self._transport is None:
            self._outgoing.append(frame)
        else:
            self._transport.write(frame)

    def _prepare(self) -> None:
        """Sets up what the protocol needs."""

    def _new_id(self) -> bytes:
        """An ID that no question here has."""
        return new_id(self.pending)

    def _frame(self, message: bytes) -> bytes:
        """A message as it is sent (RFC 1035 §4.2.2)."""
        return len(message).to_bytes(2, "big") + message

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """What was asked meanwhile is sent; its time begins now."""
        self._transport = transport  # type: ignore[assignment]  # a stream's
        self.route = f"{join(*transport.get_extra_info('sockname')[:2])}->{self._owner.to}"
        if self.retired:
            transport.close()
            return
        self.used = monotonic()
        for waiting in self.pending.values():
            waiting.sent = self.used
        outgoing, self._outgoing = self._outgoing, []
        self._transport.write(b"".join(outgoing))  # type: ignore[union-attr]  # set above

    def pause_writing(self) -> None:
        """The upstream does not read: it gets no more questions."""
        self.full = True

    def resume_writing(self) -> None:
        """It reads again."""
        self.full = False

    def data_received(self, data: bytes) -> None:
        """Takes all whole messages; a part of one is kept, which is at most 65537 octets."""
        octets = self._rest + data if self._rest else data
        start, now = 0, monotonic()
        while len(octets) - start > 1:
            end = start + 2 + (octets[start] << 8 | octets[start + 1])
            if end > len(octets):
                break
            self._take(octets[start + 2 : end], now)
            start = end
        self._owner.measures.settle(now)
        self._rest = octets[start:]
        if not self.pending:
            self._owner.idle(self)

    def _take(self, reply: bytes, now: float) -> None:
        """Gives an answer to who waits for it; anything else is passed over."""
        waiting = self.pending.get(reply[:2])
        if waiting is None:
            return
        try:
            if not waiting.takes(reply, _LONGEST):
                return
        except Exception as error:  # a query ends here; the other answers must go on
            log.error("answer could not be passed on: %r", error, exc_info=error)
        self.pending.pop(reply[:2], None)
        self._answered = True
        self.used = now

    def connection_lost(self, error: Exception | None) -> None:
        """Who waits goes elsewhere; where the connection has served before, to a new one of the same upstream."""
        self._owner.lost(self)
        pending, self.pending = self.pending, {}
        why = f"read tcp {self.route}: read: {said(error)}" if error else "unexpected EOF" if self._rest else "EOF"
        for waiting in pending.values():
            if error is None and self._answered and not self.retired:
                waiting.ask_again()
            else:
                waiting.attempt_failed(why)

    def give_up(self, since: float) -> None:
        """Those who were sent before a time wait no longer, and the connection takes no further questions."""
        while self.pending and self.connected:
            number, waiting = next(iter(self.pending.items()))
            if waiting.sent > since:
                break
            del self.pending[number]
            self.retired = True
            waiting.attempt_failed(f"read tcp {self.route}: i/o timeout")

    def fail(self, why: str) -> None:
        """Ends it; who waits learns why."""
        self.retired = True
        pending, self.pending = self.pending, {}
        loop = asyncio.get_running_loop()
        for waiting in pending.values():
            loop.call_soon(waiting.attempt_failed, why)
        self.close()

    def close(self) -> None:
        """Ends it at once: nobody waits for it."""
        self.retired = True
        if self._transport is not None:
            self._transport.abort()


class Streams:
    """The connections to one upstream."""

    def __init__(self, terms: Terms, measures: Measures, kind: type[Connection] = Connection) -> None:
        """Opens nothing yet."""
        self.to = terms.endpoint.text
        self.terms = terms
        self._tls = terms.tls  # now: its files may be gone when the first question comes
        self._kind = kind
        self.measures = measures
        self._label = {"dns": "tcp", "tls": "tcp-tls"}.get(terms.endpoint.scheme, terms.endpoint.scheme)
        self._connections: deque[Connection] = deque()
        self._leaving: list[Connection] = []
        """Those that take no more questions, but are waited on."""
        self._queue: deque[Waiting] = deque()
        """Who has no connection yet."""
        self._idle: deque[Connection] = deque()
        self._dialling: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> bool:
        """Has it any connections, or is one being made?"""
        return bool(self._connections or self._leaving or self._dialling)

    def send(self, waiting: Waiting) -> None:
        """Sends a question over an idle connection, a new one, or one that others wait on."""
        connection = self._take_idle() or (None if len(self._connections) < CONNECTIONS else self._shared())
        if connection is not None:
            self._send_by(connection, waiting)
        elif len(self._connections) < CONNECTIONS:
            self._send_by_new(waiting)
        elif len(self._queue) < self._kind.queue:
            waiting.sent = monotonic()
            self._queue.append(waiting)
        else:
            waiting.fail_soon(f"write tcp {self.to}: too many questions wait for this upstream")

    def _send_by(self, connection: Connection, waiting: Waiting) -> None:
        """Sends a question over a connection that is there."""
        if waiting.counted:
            self.measures.reused(self._label).value += 1
        connection.send(waiting)

    def _send_by_new(self, waiting: Waiting) -> None:
        """Sends a question over a new connection."""
        if waiting.counted:
            self.measures.opened(self._label).value += 1
        self._dial().send(waiting)

    def _take_idle(self) -> Connection | None:
        """The connection that was idle longest, if it is still good."""
        now = monotonic()
        while self._idle:
            connection = self._idle.popleft()
            if not connection.retired and not self._old(connection, now):
                return connection
            self._end(connection)
        return None

    def _shared(self) -> Connection | None:
        """One after the other of those that are busy."""
        for _ in range(len(self._connections)):
            self._connections.rotate(-1)
            connection = self._connections[0]
            if not (connection.retired or connection.full or len(connection.pending) >= connection.most):
                return connection
        return None

    def _old(self, connection: Connection, now: float) -> bool:
        """Was it idle too long, or does it exist too long?"""
        return now - connection.used > self.terms.expire or self._too_old(connection, now)

    def _too_old(self, connection: Connection, now: float) -> bool:
        """Does it exist too long?"""
        return 0 < self.terms.max_age < now - connection.opened

    def _dial(self) -> Connection:
        """Begins to connect."""
        connection = self._kind(self)
        self._connections.append(connection)
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return connection

    async def _connect(self, connection: Connection) -> None:
        terms = self.terms
        name = terms.server_name if terms.encrypted else None
        try:
            async with asyncio.timeout(DIAL_TIMEOUT):
                with dialling("tcp", terms) as sock:
                    await connect(sock, terms.endpoint.host, terms.endpoint.port)
                    await asyncio.get_running_loop().create_connection(
                        lambda: connection, sock=sock, ssl=self._tls, server_hostname=name
                    )
        except TimeoutError:
            self._fail(connection, f"dial tcp {self.to}: i/o timeout")
        except OSError as error:
            self._fail(connection, str(error))
        except Exception as error:  # noqa: BLE001  a background task ends here: who waits is told
            self._fail(connection, f"dial tcp {self.to}: {error}")

    def _fail(self, connection: Connection, why: str) -> None:
        self.lost(connection)
        connection.fail(why)

    def idle(self, connection: Connection) -> None:
        """Nobody waits on a connection: it serves who has none, or is kept, unless there are enough."""
        if connection.retired or self._old(connection, monotonic()):
            self._end(connection)
        elif self._queue:
            self._send_by(connection, self._queue.popleft())
        elif self.terms.max_idle and len(self._idle) >= self.terms.max_idle:
            self._end(connection)
        elif connection not in self._idle:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is no more; one who has none gets another."""
        for held in (self._connections, self._leaving, self._idle):
            if connection in held:
                held.remove(connection)
        if self._queue and len(self._connections) < CONNECTIONS:
            self._send_by_new(self._queue.popleft())

    def _end(self, connection: Connection) -> None:
        self.lost(connection)
        connection.close()

    def sweep(self, now: float) -> None:
        """Ends what waited too long, and closes what is idle or no good."""
        since = now - self.terms.read_timeout
        while self._queue and self._queue[0].sent <= since:
            self._queue.popleft().attempt_failed(f"write tcp {self.to}: i/o timeout")
        for connection in [*self._connections, *self._leaving]:
            connection.give_up(since)
            if not connection.pending and (connection.retired or (connection in self._idle and self._old(connection, now))):
                self._end(connection)
            elif connection in self._connections and (connection.retired or self._too_old(connection, now)):
                self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """A connection that is waited on takes no more questions: others may be opened, but not without end."""
        if len(self._leaving) < CONNECTIONS:
            self._connections.remove(connection)
            self._leaving.append(connection)

    async def close(self, why: str) -> None:
        """Ends all connections; who waits learns why."""
        queue, self._queue = self._queue, deque()
        for waiting in queue:
            waiting.fail_soon(why)
        for task in list(self._dialling):
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        for connection in [*self._connections, *self._leaving]:
            self._fail(connection, why)
