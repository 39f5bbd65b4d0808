"""Questions and answers over TCP. All connections of a listener share one epoll set, of which the event loop hears when there is
something in it, and one timer.

With a transport and a protocol for each (uvloop) a connection for one question took 55,000 instructions and ten system calls, and
a question on a kept connection 24,000.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import resource
import select
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic, perf_counter_ns

from pycoredns import bounds
from pycoredns.listener import STREAM_LIMIT, Listener
from pycoredns.memo import Memo
from pycoredns.service import Service
from pycoredns.transport.addresses import INET6_SIZE, from_sockaddr, to_bind, to_sockaddr
from pycoredns.transport.connection import IDLE_TIMEOUT, LENGTHS, Batch, Connection
from pycoredns.transport.descriptor import IN, HandOver, TCPConnection

BACKLOG = 1024
MOST_CONNECTIONS = 20_000
"""Of the process; past this, or what the system allows, the oldest connection is closed for a new one."""
SPARED = 500
"""Descriptors that connections leave to upstreams and files, but no more than a quarter of all."""
MOST_REMEMBERED = 8192
"""Replies: few clients ask by TCP."""
FIRST_TIMEOUT = 3.0
"""Seconds until the first question, CoreDNS's default."""
READ_SIZE = 8192
"""Octets of questions that are answered together: some hundred, in a few milliseconds."""
_MUCH = 512
"""Octets: what is read holds many questions, or a part of a long one."""
_LONG = 2_000_000
"""Nanoseconds that one turn of the loop has for such reads, of whatever number of connections; the others have the next turns."""
_AT_ONCE = 32
"""Connections that are looked at together: their replies count as having left when the last of them has."""
_ROUNDS = 4
"""So often those that have just been accepted, and may have asked already, are looked at before others have their turn."""
_SWEEP = 1.0

_accept4 = ctypes.CDLL(None, use_errno=True).accept4
"""Without declared types: converting its arguments takes longer than the system call."""
_ACCEPTED = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bind(host: str, port: int, reuse_port: bool = False, listens: bool = True) -> socket.socket:
    """A TCP socket that listens on an address, or will when its listener starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections have it from here
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(to_bind(host, port))
        if listens:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


_open: dict[Connection, None] = {}
"""The connections of all listeners, the oldest first."""


def most_connections() -> int:
    """Of the process; each is an open file, and others are needed too."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_CONNECTIONS, allowed - min(SPARED, allowed // 4))


class TCPListener(Listener):
    """A listening socket and its connections."""

    protocol = "tcp"
    limit = STREAM_LIMIT

    def __init__(self, service: Service, sock: socket.socket, hand_over: HandOver | None = None) -> None:
        """``sock`` is from ``bind``; it is closed by ``close``. ``hand_over`` is asked once about each new connection."""
        self.service = service
        self.hand_over = hand_over
        self.memo = Memo(MOST_REMEMBERED)
        self.sock = sock
        sock.setblocking(False)
        self.connections: dict[int, TCPConnection] = {}
        """By descriptor."""
        self.poll = select.epoll()
        self._most = most_connections()
        self._listening = sock.fileno()
        self._name = ctypes.create_string_buffer(INET6_SIZE)
        self._name_size = ctypes.byref(ctypes.c_uint(INET6_SIZE))
        self._host, self._port = sock.getsockname()[:2]
        self.family = "1" if sock.family == socket.AF_INET else "2"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._left: list[tuple[int, int]] = []
        """Events that the last turn had no time for."""
        service.listeners.append(self)

    async def start(self) -> None:
        """Begins to answer."""
        self._loop = asyncio.get_running_loop()
        self.sock.listen(BACKLOG)  # it mostly does already; see pycoredns.ports
        self.poll.register(self._listening, IN)
        self._loop.add_reader(self.poll.fileno(), self._proceed)
        self._sweep = self._loop.call_later(_SWEEP, self._check_all)

    # --- the hot path

    def _proceed(self) -> None:
        """Accepts, reads and answers what has come."""
        for _ in range(_ROUNDS):
            events = (self._left and self._take_left()) or self.poll.poll(0, _AT_ONCE)
            if not events:
                return
            batch = Batch(self)
            accepted = self._answer(events, batch)
            batch.settle()
            if not accepted:
                return

    def _take_left(self) -> list[tuple[int, int]]:
        """The events that were left, of connections that are still read."""
        left, self._left = self._left, []
        found = [(self.connections.get(descriptor), (descriptor, event)) for descriptor, event in left]
        return [each for connection, each in found if connection is not None and connection.interest & IN]

    def _answer(self, events: list[tuple[int, int]], batch: Batch) -> bool:
        """Looks at connections where something has happened; True if there were new ones, and time for what they ask.

        The usual is one question, whose reply is remembered.
        """
        connections, read, remembered, tick = self.connections, os.read, self.memo.entries.get, batch.tick
        watched, until, coming, late = self.service.watched, batch.now + IDLE_TIMEOUT, False, False
        rest = iter(events)
        for descriptor, event in rest:
            connection = connections.get(descriptor)
            if connection is None:
                coming = coming or descriptor == self._listening
                continue
            if event != IN:
                connection.heed(event)
                if connection.closing or not event & connection.interest & IN:  # its number may be somebody else's by now
                    continue
            try:
                data = read(descriptor, READ_SIZE)
            except BlockingIOError:
                continue
            except OSError:  # the client has gone
                connection.abort()
                continue
            if not data and connection.clear and not connection.waiting:
                connection.abort()
                continue
            entry = remembered(data[4:])
            if entry is None or entry.tick < tick or not connection.clear or data[0] or data[1] + 2 != len(data):
                connection.receive(data, batch)
                if len(data) > _MUCH and perf_counter_ns() - batch.received > _LONG:
                    late = True
                    self._left = [each for each in rest if each[1] == IN and each[0] != self._listening]
                continue
            reply = entry.reply
            connection.deadline = until
            connection.write(LENGTHS[len(reply)] + data[2:4] + reply)
            entry.hits += 1
            batch.hits.append(entry)
            if watched:
                batch.seen.append((entry, connection, data[2] << 8 | data[3]))
        if coming:  # as the last, so that no event is taken for a new connection's with the number of one that was closed
            self._accept()
        return coming and not late

    def _accept(self) -> None:
        deadline = monotonic() + FIRST_TIMEOUT
        for _ in range(_AT_ONCE):
            descriptor = _accept4(self._listening, self._name, self._name_size, _ACCEPTED)
            if descriptor < 0:
                if ctypes.get_errno() in _NO_MORE:
                    self.poll.modify(self._listening, 0)  # until the next sweep
                return
            self._admit(TCPConnection(self, deadline, descriptor, self._name.raw, self.hand_over))

    # --- connections

    def _admit(self, connection: TCPConnection) -> None:
        """Takes a new connection, if need be in the place of the oldest."""
        if len(_open) >= self._most:
            oldest = next(iter(_open))
            bounds.closed.cell(oldest.listener.service.address, "connections").value += 1
            oldest.abort()
        _open[connection] = None
        self.connections[connection.descriptor] = connection
        self.poll.register(connection.descriptor, IN)

    def dismiss(self, descriptor: int) -> None:
        """Forgets a connection."""
        del _open[self.connections.pop(descriptor)]

    def take(self, sock: socket.socket, message: bytes) -> None:
        """Takes a connection that somebody else has accepted and read this from; it stays here."""
        try:
            host, port = sock.getpeername()[:2]
        except OSError:  # the client has gone
            sock.close()
            return
        name = to_sockaddr(host, port, sock.family)
        connection = TCPConnection(self, monotonic() + FIRST_TIMEOUT, sock.detach(), name, None)
        self._admit(connection)
        batch = Batch(self)
        connection.receive(message, batch)
        batch.settle()

    def _check_all(self) -> None:
        now = monotonic()
        for connection in [each for each in self.connections.values() if each.deadline < now or each.stuck_since]:
            connection.check(now)
        self.poll.modify(self._listening, IN)
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP, self._check_all)

    def adopt(self, old: TCPListener, nearer: Mapping[str, TCPListener]) -> None:
        """Takes the connections of its predecessor, which has been stopped, after a reload; those to some addresses others do."""
        old.ignore()
        for connection in old.connections.values():
            listener = nearer.get(old.local(connection)[0], self) if nearer else self
            connection.listener = listener
            listener.poll.register(connection.descriptor, connection.interest)
            listener.connections[connection.descriptor] = connection
        old.connections.clear()

    def stop(self) -> None:
        """Accepts no more."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
            self.poll.unregister(self._listening)

    def ignore(self) -> None:
        """Looks at nothing any more."""
        if self._loop is not None:
            self._loop.remove_reader(self.poll.fileno())
            self._loop = None

    def close(self) -> None:
        """Stops, and closes what is open."""
        self.stop()
        self.ignore()
        for connection in list(self.connections.values()):
            connection.abort()
        self.poll.close()
        self.sock.close()

    # --- what a peer is

    def client(self, peer: object) -> tuple[str, int]:
        """Address and port of the connection's other end."""
        return from_sockaddr(peer.name) if isinstance(peer, Connection) else ("", 0)

    def endpoint(self, peer: object) -> tuple[bytes, bytes]:
        """Address and port from the ``sockaddr``."""
        octets = peer.name if isinstance(peer, Connection) else bytes(INET6_SIZE)
        return octets[4:8] if self.family == "1" else octets[8:24], octets[2:4]

    def local(self, peer: object) -> tuple[str, int]:
        """The address the connection was made to."""
        with suppress(OSError):
            if isinstance(peer, TCPConnection) and peer.descriptor >= 0:
                with socket.socket(fileno=os.dup(peer.descriptor)) as sock:
                    host, port = sock.getsockname()[:2]
                    return host, port
        return self._host, self._port

    def send(self, peer: object, message: bytes) -> None:
        """Sends an answer that has come later."""
        if isinstance(peer, Connection):
            peer.answer([message])

    def send_all(self, answers: Sequence[tuple[object, bytes]]) -> None:
        """Sends such answers; those of a connection in one write."""
        together: dict[Connection, list[bytes]] = {}
        for peer, message in answers:
            if isinstance(peer, Connection):
                together.setdefault(peer, []).append(message)
        for connection, messages in together.items():
            connection.answer(messages)

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
