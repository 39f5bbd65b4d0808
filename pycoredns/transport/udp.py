"""Questions and answers in datagrams: a batch is received and sent with two system calls, besides the event loop's own."""

from __future__ import annotations

import asyncio
import select
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from struct import Struct
from time import perf_counter_ns

from pycoredns.listener import Listener
from pycoredns.memo import Entry, Memo
from pycoredns.service import Service
from pycoredns.spelling import COOKIE_HEAD
from pycoredns.transport import addresses
from pycoredns.transport.mmsg import AVAILABLE, CONTROL_SIZE, NAME_SIZE, SLOT_SIZE, SLOTS, ByPeer, Receiver, Sender
from pycoredns.transport.settling import settle

RECEIVE_BUFFER = 4 << 20
"""Octets of the kernel's queue: some 10,000 datagrams; its default holds 256."""
COMFORTABLE = {socket.AF_INET: 1480, socket.AF_INET6: 1220}
"""Above this an answer is compressed, in the hope that it is not fragmented (the limits are CoreDNS's)."""
_MOST_BATCHES = 100
"""Of 128 datagrams, when the server ends: as many as the queue holds. Somebody may go on filling it."""
_NAME = Struct(f"{NAME_SIZE}s")
_BEGINS = tuple(range(0, SLOTS * SLOT_SIZE, SLOT_SIZE))
"""Where slots begin."""
_LONGEST_REPLY = SLOT_SIZE - 2
_NO_INTERFACES = memoryview(bytes(4 * SLOTS)).cast("I")
"""The routing table decides where an answer leaves."""
_PKTINFO_SIZE = {socket.AF_INET: 32, socket.AF_INET6: 40}  # CMSG_SPACE of in_pktinfo and in6_pktinfo


def bind(host: str, port: int, reuse_port: bool = False) -> socket.socket:
    """A UDP socket for an address; an empty host or ``::`` with IPv4 beside it is for the caller to open twice."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if host in ("0.0.0.0", "::"):  # noqa: S104  asked for by the Corefile
            _ask_for_destination(sock, family)
        sock.bind(addresses.to_bind(host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _ask_for_destination(sock: socket.socket, family: int) -> None:
    """Has the kernel say which address a datagram was sent to, so that the answer can come from it."""
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_PKTINFO", 8), 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


class UDPListener(Listener):
    """A bound socket, read in batches. A peer is a ``sockaddr`` in NAME_SIZE octets, then control data on a wildcard socket."""

    protocol = "udp"

    def __init__(self, service: Service, sock: socket.socket) -> None:
        """``sock`` is from ``bind``; it is closed by ``close``."""
        self.service = service
        self.memo = Memo() if AVAILABLE else Memo(0)
        self.sock = sock
        self.comfortable = COMFORTABLE[sock.family]
        self.family = "1" if sock.family == socket.AF_INET else "2"
        self._host, self._port = sock.getsockname()[:2]
        self._wildcard = self._host in ("0.0.0.0", "::")  # noqa: S104  a comparison
        self._descriptor = sock.fileno()
        self._name_size = addresses.INET_SIZE if sock.family == socket.AF_INET else addresses.INET6_SIZE
        self._control_size = _PKTINFO_SIZE[sock.family] if self._wildcard else 0
        self._late: list[tuple[object, bytes]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        service.listeners.append(self)

    def start(self) -> None:
        """Begins to answer."""
        self._loop = asyncio.get_running_loop()
        if AVAILABLE:
            self._slots = Receiver(controls=self._wildcard)
            self._controls = Struct(f"{self._control_size}s{CONTROL_SIZE - self._control_size}x")
            self._sender = Sender(name_size=self._name_size, control_size=self._control_size)
            self._loop.add_reader(self._descriptor, self._read_batch)
        else:
            self._loop.add_reader(self._descriptor, self._read_plain)

    def stop(self) -> None:
        """Reads no more; answers that are still to come are sent."""
        if self._loop is not None and self.sock.fileno() >= 0:
            self._loop.remove_reader(self._descriptor)

    def finish(self) -> None:
        """Answers what waits in the kernel's queue already, and then reads no more."""
        if self._descriptor < 0:
            return
        queue = select.poll()
        queue.register(self._descriptor, select.POLLIN)
        for _ in range(_MOST_BATCHES):
            if not queue.poll(0):
                break
            self._read_batch() if AVAILABLE else self._read_plain()
        self.stop()

    def close(self) -> None:
        """Stops and closes the socket."""
        self.stop()
        self._flush()
        self.sock.close()
        self._descriptor = -1  # an answer that still comes must not go where the number is used again

    # --- what a peer is

    def client(self, peer: object) -> tuple[str, int]:
        """Address and port from the ``sockaddr``."""
        return addresses.from_sockaddr(bytes(peer)[: self._name_size])  # type: ignore[call-overload]  # it is bytes

    def endpoint(self, peer: object) -> tuple[bytes, bytes]:
        """Address and port from the ``sockaddr``."""
        octets: bytes = peer  # type: ignore[assignment]  # a peer of this listener is bytes
        return octets[4:8] if self.family == "1" else octets[8:24], octets[2:4]

    def local(self, peer: object) -> tuple[str, int]:
        """CoreDNS shows the bound address, not the one that was asked."""
        return ("::" if self._wildcard else self._host), self._port

    # --- the hot path

    def _read_batch(self) -> None:
        """Answers what has come; what is remembered, without a look into it.

        One loop with local names, and what can be done for all slots together is: each step of it is 1 % of a reply from memory.
        """
        slots, memo, serve, service = self._slots, self.memo, self.service.serve, self.service
        count = slots.receive(self._descriptor)
        if count < 2:
            if count:
                self._answer_one()
            return
        received = perf_counter_ns()
        tick, remembered, renew, alike = memo.advance(), memo.entries.get, memo.renew, memo.alike
        view, watched = slots.view, service.watched
        hits: list[Entry] = []
        seen: list[tuple[Entry, object, int]] = []
        replies: ByPeer = defaultdict(list)
        for (peer,), begin, length in zip(self._peers(count), _BEGINS, slots.lengths[14 : 16 * count : 16], strict=False):
            datagram = bytes(view[begin : begin + length])
            key = datagram[2:]
            entry, reply = remembered(key), None
            if entry is not None and (entry.tick >= tick or renew(entry)):
                reply = entry.reply
            else:
                entry = None
                if not key.islower() or key[-12:-8] == COOKIE_HEAD:  # is_usual; its call takes 2 % of a new question
                    entry, reply = alike(key)
                if reply is None:
                    reply = serve(datagram, peer, self, received, key)
            if entry is not None:
                entry.hits += 1
                hits.append(entry)
                if watched:
                    seen.append((entry, peer, datagram[0] << 8 | datagram[1]))
            if reply is not None:
                if len(reply) <= _LONGEST_REPLY:
                    replies[peer].append(datagram[:2] + reply)
                else:
                    self._send_one(peer, datagram[:2] + reply)
        if replies:
            self._sender.send_to_each(self._descriptor, replies)
        settle(self, hits, seen, perf_counter_ns() - received)

    def _answer_one(self) -> None:
        """The same for a datagram that came alone, as most do where there is little to do, in half the steps."""
        received = perf_counter_ns()
        slots, memo, service = self._slots, self.memo, self.service
        datagram = slots.octets[: slots.lengths[14]]
        ((peer,),) = self._peers(1) if self._wildcard else (_NAME.unpack_from(slots.names),)
        key = datagram[2:]
        memo.advance()
        entry, reply = memo.find(key)
        if reply is None:
            reply = service.serve(datagram, peer, self, received, key)
        if reply is not None:
            if len(reply) <= _LONGEST_REPLY:
                self._sender.send_one(self._descriptor, datagram[:2] + reply, peer)
            else:
                self._send_one(peer, datagram[:2] + reply)
        duration = perf_counter_ns() - received
        if entry is None:
            service.settle(duration)
            return
        entry.hits += 1
        settle(self, [entry], [(entry, peer, datagram[0] << 8 | datagram[1])] if service.watched else [], duration)

    def _peers(self, count: int) -> Iterable[tuple[bytes]]:
        """Who sent the first slots' datagrams, each in a tuple of one."""
        names = _NAME.iter_unpack(self._slots.names[: count * NAME_SIZE])
        if not self._wildcard:
            return names
        self._answer_from_asked(count)
        controls = self._controls.iter_unpack(self._slots.controls[: count * CONTROL_SIZE])
        return [(name + control,) for (name,), (control,) in zip(names, controls, strict=True)]

    def _answer_from_asked(self, count: int) -> None:
        """Makes the first slots' control data fit for the answers."""
        if self.sock.family == socket.AF_INET:
            self._slots.interfaces[:count] = _NO_INTERFACES[:count]
            return
        for start in range(0, count * CONTROL_SIZE, CONTROL_SIZE):
            addresses.answer_from(self._slots.controls, start, self.sock.family)

    # --- answers that come later, and systems without recvmmsg

    def send(self, peer: object, message: bytes) -> None:
        """Queues an answer; all of a turn of the loop leave together."""
        if not self._late and self._loop is not None:
            self._loop.call_soon(self._flush)
        self._late.append((peer, message))

    def send_all(self, answers: Sequence[tuple[object, bytes]]) -> None:
        """Sends answers at once, behind those that are queued."""
        self._late += answers
        self._flush()

    def _flush(self) -> None:
        late, self._late = self._late, []
        if AVAILABLE and len(late) == 1 and len(late[0][1]) <= SLOT_SIZE:
            ((peer, message),) = late
            self._sender.send_one(self._descriptor, message, peer)  # type: ignore[arg-type]  # it is bytes
            return
        for begin in range(0, len(late), SLOTS):
            peers, messages = zip(*late[begin : begin + SLOTS], strict=True)
            if AVAILABLE and len(max(messages, key=len)) <= SLOT_SIZE:
                self._sender.send(self._descriptor, messages, peers)
            else:
                for peer, message in zip(peers, messages, strict=True):
                    self._send_one(peer, message)

    def _send_one(self, peer: object, message: bytes | bytearray) -> None:
        """A datagram that fits no slot."""
        octets = bytes(peer)  # type: ignore[call-overload]  # a peer of this listener is bytes
        name = addresses.from_sockaddr(octets[: self._name_size])
        ancillary = []
        if len(octets) > NAME_SIZE:
            level, kind, size = _PKTINFO[self.sock.family]
            start = NAME_SIZE + _CMSG_HEADER_SIZE
            ancillary = [(level, kind, octets[start : start + size])]
        try:
            self.sock.sendmsg([message], ancillary, 0, name)
        except OSError:
            return  # the client asks again, as it does for any datagram that is lost

    def _read_plain(self) -> None:
        """One datagram per system call."""
        for _ in range(64):
            try:
                datagram, ancillary, _, name = self.sock.recvmsg(SLOT_SIZE, CONTROL_SIZE)
            except OSError:
                return
            received = perf_counter_ns()
            peer = addresses.to_sockaddr(name[0], name[1], self.sock.family).ljust(NAME_SIZE, b"\0")
            for _, _, control in ancillary:
                peer += bytes(addresses.answer_from(bytearray(16) + control, 0, self.sock.family))
            reply = self.service.serve(datagram, peer, self, received)
            if reply is not None:
                self._send_one(peer, datagram[:2] + reply)
            self.service.settle(perf_counter_ns() - received)


_CMSG_HEADER_SIZE = 16
_PKTINFO = {
    socket.AF_INET: (socket.IPPROTO_IP, getattr(socket, "IP_PKTINFO", 8), 12),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, 20),
}
"""Level, type and size of the control data that says which address to answer from; padding must not be sent along."""
