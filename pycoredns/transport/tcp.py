"""Questions and answers over TCP: all frames of a read are answered in one write (RFC 7766)."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic, perf_counter_ns

from pycoredns import bounds
from pycoredns.listener import STREAM_LIMIT, Listener
from pycoredns.memo import Entry, Memo
from pycoredns.metrics import before_scrape
from pycoredns.service import Service
from pycoredns.spelling import is_usual
from pycoredns.transport.addresses import to_bind
from pycoredns.transport.outgoing import ClientGone, Outgoing
from pycoredns.transport.settling import settle

BACKLOG = 1024
MOST_CONNECTIONS = 20_000
"""Of the process; past this, or what the system allows, the oldest connection is closed for a new one."""
SPARED = 500
"""Descriptors that connections leave to upstreams and files, but no more than a quarter of all."""
MOST_WAITING = 256
"""Questions of one connection whose answers are to come; past this no more are read."""
MOST_UNSENT = 65536
"""Octets a slow reader may leave with us before its questions are read no more."""
MOST_REMEMBERED = 8192
"""Replies: few clients ask by TCP."""
MOST_BUFFERED = 32 << 20
"""Octets of unfinished questions and untaken answers of all connections; past this the one that adds to them is closed."""
FIRST_TIMEOUT, IDLE_TIMEOUT, WRITE_TIMEOUT = 3.0, 10.0, 5.0
"""Seconds until the first question, between questions, and for a client to take what it asked for; CoreDNS's defaults."""
_SWEEP = 1.0


def bind(host: str, port: int, reuse_port: bool = False) -> socket.socket:
    """A TCP socket that listens on an address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(to_bind(host, port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class _Buffers:
    """What connections hold in memory, all of them together."""

    octets = 0


_buffers = _Buffers()
_open: dict[Connection, None] = {}
"""The connections of all listeners, the oldest first."""


def most_connections() -> int:
    """Of the process; each is an open file, and others are needed too."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_CONNECTIONS, allowed - min(SPARED, allowed // 4))


def measure() -> None:
    """Brings the gauge up to date."""
    bounds.buffered.cell().value = _buffers.octets


before_scrape.append(measure)


class Connection(asyncio.Protocol):
    """A client's connection. It is the peer of the questions that come by it."""

    def __init__(self, listener: TCPListener) -> None:
        """The listener may be another after a reload."""
        self.listener = listener
        self.transport: asyncio.Transport
        self.address: tuple[str, int] = ("", 0)
        self.waiting = 0
        self.deadline = monotonic() + FIRST_TIMEOUT
        self.stuck_since = 0.0
        self._rest = bytearray()
        self._held = 0
        self._ended = False
        self._paused = False
        self._outgoing: deque[Outgoing] = deque()
        """Answers of many messages; the first is being sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self.transport = transport  # type: ignore[assignment]  # a TCP connection's transport is one
        self.transport.set_write_buffer_limits(high=MOST_UNSENT)
        name = transport.get_extra_info("peername") or ("", 0)
        self.address = (str(name[0]).removeprefix("::ffff:"), name[1])
        self.listener.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self.listener.dismiss(self)
        _buffers.octets -= self._held
        self._held = 0
        while self._outgoing:
            self._outgoing[0].end(ClientGone("the client has gone"))

    def eof_received(self) -> bool:
        """The client asks no more; what it waits for is still sent."""
        self._ended = True
        return self.waiting > 0 or self._paused

    def pause_writing(self) -> None:
        """The client does not take its answers: no more of its questions are answered, nor read."""
        self.stuck_since = monotonic()
        self._pause()
        self._weigh()
        if self._outgoing:
            self._outgoing[0].hold()

    def resume_writing(self) -> None:
        """It does again."""
        self.stuck_since = 0.0
        self._weigh()
        if self._outgoing:
            self._outgoing[0].go_on()
        self._go_on()

    def _weigh(self) -> None:
        """Says how much it holds now; where that is too much for all of them together, it is the one that goes."""
        held = len(self._rest) + (self.transport.get_write_buffer_size() if self.stuck_since else 0)
        _buffers.octets += held - self._held
        self._held = held
        if _buffers.octets > MOST_BUFFERED and held:
            bounds.closed.cell(self.listener.service.address, "buffers").value += 1
            self.transport.abort()

    def _pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Answers what was left, then reads again if nothing stands against it."""
        if not self._paused or self._full or self.transport.is_closing():
            return
        self._answer_frames(b"")
        if self._full:
            self._pause()
        elif self._paused:
            self._paused = False
            self.transport.resume_reading()

    @property
    def _full(self) -> bool:
        """Is there enough that the client has not taken, or that it waits for?"""
        return bool(self.stuck_since) or bool(self._outgoing) or self.waiting >= MOST_WAITING

    def data_received(self, data: bytes) -> None:
        """Answers the whole frames; keeps what is not whole yet."""
        self._answer_frames(data)
        if self._full:
            self._pause()

    def _answer_frames(self, data: bytes) -> None:
        """Answers frames until there is no whole one left, or the client has enough to take."""
        received = perf_counter_ns()
        if self._rest:
            self._rest += data
            data = bytes(self._rest)
            self._rest.clear()
        listener = self.listener
        memo, serve, watched = listener.memo, listener.service.serve, listener.service.watched
        tick, remembered, renew, alike = memo.advance(), memo.entries.get, memo.renew, memo.alike
        hits: list[Entry] = []
        seen: list[tuple[Entry, object, int]] = []
        replies: list[bytes] = []
        place, size, unsent = 0, len(data), 0
        while place + 2 <= size:
            start = place + 2
            end = start + (data[place] << 8 | data[place + 1])
            if end > size:
                break
            key = data[start + 2 : end]
            entry = remembered(key)
            reply: bytes | None = None
            if entry is None:
                if not is_usual(key):
                    entry, reply = alike(key)
            elif entry.tick == tick or renew(entry):
                reply = entry.reply
            if reply is None or entry is None:
                reply = serve(data[start:end], self, listener, received, key)
            else:
                entry.hits += 1
                hits.append(entry)
                if watched:
                    seen.append((entry, self, data[start] << 8 | data[start + 1]))
            place = end
            if reply is not None:
                replies.append(b"%b%b%b" % ((len(reply) + 2).to_bytes(2, "big"), data[start : start + 2], reply))
                unsent += len(reply)
                if unsent > MOST_UNSENT:
                    self.transport.write(b"".join(replies))
                    replies.clear()
                    unsent = 0
                    if self._full:
                        break
            elif self._outgoing or self.waiting >= MOST_WAITING:
                break
        if place:
            self.deadline = monotonic() + IDLE_TIMEOUT
        if place < size:
            self._rest += data[place:]
        if replies:
            self.transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
        if self._rest or self._held:
            self._weigh()
        settle(listener, hits, seen, perf_counter_ns() - received)

    def answer(self, message: bytes) -> None:
        """Sends an answer that has come later; an empty one is none."""
        self.waiting -= 1
        if self.transport.is_closing():
            return
        if message:
            self.transport.write(len(message).to_bytes(2, "big") + message)
        self.deadline = monotonic() + IDLE_TIMEOUT
        if self._ended and not self.waiting:
            self.transport.close()
        else:
            self._go_on()

    def stream(self, messages: Iterator[bytes], ended: Callable[[Exception | None], None]) -> None:
        """Sends an answer of many messages; the questions behind it wait until it is complete."""

        def finish(error: Exception | None) -> None:
            self._outgoing.popleft()
            ended(error)
            if error is not None:  # whoever got a part must not take it for the whole
                self.transport.abort()
            elif self._outgoing and not self.stuck_since:
                self._outgoing[0].go_on()
            self.answer(b"")

        self._outgoing.append(Outgoing(self.transport, messages, finish))
        self._pause()
        if len(self._outgoing) == 1 and not self.stuck_since:
            self._outgoing[0].go_on()

    def check(self, now: float) -> None:
        """Closes a connection that idles, or whose client takes nothing."""
        if self._outgoing:
            if self._outgoing[0].is_too_slow(now):
                self._outgoing[0].end(ClientGone("the client takes its answer too slowly"))
        elif self.stuck_since and now - self.stuck_since > WRITE_TIMEOUT:
            self.transport.abort()
        elif not self.waiting and not self.stuck_since and now > self.deadline:
            self.transport.close()


class TCPListener(Listener):
    """A listening socket and its connections."""

    protocol = "tcp"
    limit = STREAM_LIMIT

    def __init__(self, service: Service, sock: socket.socket, welcome: Callable[[TCPListener], Connection] = Connection) -> None:
        """``sock`` is from ``bind``; it is closed by ``close``. ``welcome`` makes the protocol of a new connection."""
        self.service = service
        self._welcome = welcome
        self.memo = Memo(MOST_REMEMBERED)
        self.sock = sock
        self.connections: dict[Connection, None] = {}
        self._most = most_connections()
        self._host, self._port = sock.getsockname()[:2]
        self.family = "1" if sock.family == socket.AF_INET else "2"
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        service.listeners.append(self)

    async def start(self) -> None:
        """Begins to answer."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._welcome(self), sock=self.sock.dup(), backlog=BACKLOG)
        self._sweep = loop.call_later(_SWEEP, self._check_all)

    def _check_all(self) -> None:
        now = monotonic()
        for connection in list(self.connections):
            connection.check(now)
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP, self._check_all)

    def admit(self, connection: Connection) -> None:
        """Takes a new connection, if need be in the place of the oldest."""
        if len(_open) >= self._most:
            oldest = next(iter(_open))
            oldest.listener.dismiss(oldest)
            oldest.transport.abort()
            bounds.closed.cell(oldest.listener.service.address, "connections").value += 1
        self.connections[connection] = _open[connection] = None

    def dismiss(self, connection: Connection) -> None:
        """Forgets a connection."""
        self.connections.pop(connection, None)
        _open.pop(connection, None)

    def adopt(self, old: TCPListener) -> None:
        """Takes the connections of its predecessor, after a reload."""
        for connection in old.connections:
            connection.listener = self
        self.connections.update(old.connections)
        old.connections.clear()

    def stop(self) -> None:
        """Accepts no more."""
        if self._server is not None:
            self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()

    def close(self) -> None:
        """Stops, and closes what is open."""
        self.stop()
        for connection in list(self.connections):
            connection.transport.close()
        self.sock.close()

    def client(self, peer: object) -> tuple[str, int]:
        """Address and port of the connection's other end."""
        return peer.address if isinstance(peer, Connection) else ("", 0)

    def local(self, peer: object) -> tuple[str, int]:
        """The address the connection was made to."""
        name = peer.transport.get_extra_info("sockname") if isinstance(peer, Connection) else None
        return (name[0], name[1]) if name else (self._host, self._port)

    def send(self, peer: object, message: bytes) -> None:
        """Sends an answer that has come later."""
        if isinstance(peer, Connection):
            peer.answer(message)

    def stream(self, peer: object, messages: Iterator[bytes], ended: Callable[[Exception | None], None]) -> None:
        """Sends an answer of many messages."""
        if isinstance(peer, Connection):
            peer.stream(messages, ended)

    def expect(self, peer: object) -> None:
        """Counts what a connection waits for."""
        if isinstance(peer, Connection):
            peer.waiting += 1

    def forget(self, peer: object) -> None:
        """A question gets no answer."""
        self.send(peer, b"")
