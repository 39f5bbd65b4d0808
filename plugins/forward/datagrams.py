"""UDP to one upstream: connected sockets, each with a random source port, over which many questions go at once."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
from functools import cache
from itertools import islice, takewhile
from random import choice
from time import monotonic
from typing import TYPE_CHECKING

from pycoredns.metrics import Cell
from pycoredns.output import logger
from pycoredns.plugins.forward.measures import Measures
from pycoredns.plugins.forward.messages import new_id
from pycoredns.plugins.forward.waiting import Waiting
from pycoredns.transport.addresses import join
from pycoredns.transport.mmsg import AVAILABLE, SLOT_SIZE, SLOTS, Receiver, Sender

if TYPE_CHECKING:
    from pycoredns.plugins.forward.upstream import Terms

CHANNELS = 16
"""Source ports in use at a time: together with the ID they are what a forged answer must guess (RFC 5452 §4.5)."""
LIFETIME = 10.0
"""Seconds after which a source port gives way to a new one."""
FULL = 16384
"""Questions that wait on one socket at most: a quarter of its IDs."""
RECEIVE_BUFFER = 1 << 20
AT_ONCE = 64
"""Questions that are given up in one turn of the loop: each takes some 30 µs, as it is asked again or logged."""
LARGEST = 8192
"""Who takes longer answers in datagrams is served one system call at a time."""
_LONGEST = 65535
_NOTHING_THERE = (errno.EAGAIN, errno.EINTR)
_NO_ROOM = (0, errno.EAGAIN, errno.ENOBUFS)
log = logger("plugin/forward")


@cache
def _vectors() -> tuple[Receiver, Sender]:
    """One for receiving and one for sending: they are empty between two calls."""
    return Receiver(SLOTS, LARGEST, names=False), Sender()


def reason(number: int) -> str:
    """What an error number means, in the words of Go's system calls."""
    return os.strerror(number).lower()


class Channel:
    """A connected socket, and the questions that wait for an answer on it by their ID.

    ``outgoing`` are those that leave with ``flush``, which is called when a batch is full, and at the end of the turn.
    """

    def __init__(self, owner: Datagrams, sock: socket.socket, batches: bool) -> None:
        """``batches``: datagrams are sent and received many at a time, none longer than LARGEST."""
        self.pending: dict[bytes, Waiting] = {}
        self.opened = monotonic()
        self.route = f"{join(*sock.getsockname()[:2])}->{owner.to}"
        self._owner = owner
        self._sock = sock
        self._descriptor = sock.fileno()
        self.outgoing: list[bytes] = []
        self._batches = batches
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read_batch if batches else self._read_one)

    def flush(self) -> None:
        """Sends what is queued. A datagram for which the kernel has no room is lost like any other on its way."""
        outgoing, self.outgoing = self.outgoing, []
        if not self._batches or len(outgoing) == 1:
            for datagram in outgoing:
                self._send_one(datagram)
            return
        if len(max(outgoing, key=len)) > SLOT_SIZE:
            for datagram in [each for each in outgoing if len(each) > SLOT_SIZE]:
                self._send_one(datagram)
            outgoing = [each for each in outgoing if len(each) <= SLOT_SIZE]
        sent = _vectors()[1].send(self._descriptor, outgoing)
        if sent < len(outgoing) and (number := ctypes.get_errno()) not in _NO_ROOM:
            self._break(number, "write")

    def _send_one(self, datagram: bytes) -> None:
        try:
            self._sock.send(datagram)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error.errno or 0, "write")

    def _read_batch(self) -> None:
        """Takes all datagrams that are there, up to a batch."""
        receiver, start, length, replies = _vectors()[0], 0, 14, []
        count = receiver.receive(self._descriptor)
        for _ in range(count):
            replies.append(bytes(receiver.view[start : start + receiver.lengths[length]]))
            start += LARGEST
            length += 16
        if count:
            self._take_all(replies)
        elif (number := ctypes.get_errno()) not in _NOTHING_THERE:
            self._break(number, "read")

    def _read_one(self) -> None:
        """Takes one datagram of any length."""
        try:
            self._take_all([self._sock.recv(_LONGEST)])
        except BlockingIOError:
            return
        except OSError as error:
            self._break(error.errno or 0, "read")

    def _take_all(self, replies: list[bytes]) -> None:
        """Gives answers to who waits for them; anything else is passed over, and waiting goes on."""
        pending, now = self.pending, monotonic()
        for reply in replies:
            waiting = pending.get(reply[:2])
            if waiting is None or not waiting.is_answered_by(reply):
                continue
            del pending[reply[:2]]
            try:
                waiting.received(reply, now, waiting.limit)
            except Exception as error:  # a query ends here; the others of the batch must go on
                log.error("answer could not be passed on: %r", error, exc_info=error)

    def _break(self, number: int, doing: str) -> None:
        """The upstream's host refuses, or cannot be reached: nobody waits any longer, and the socket is given up."""
        if self._sock.fileno() < 0:
            return
        # a refusal is the answer to an earlier datagram, whichever call reports it
        doing = "read" if number == errno.ECONNREFUSED else doing
        self.close(f"{doing} udp {self.route}: {doing}: {reason(number)}")
        self._owner.lost(self)

    def give_up(self, since: float) -> None:
        """Those who were sent before a time wait no longer; where they are many, others have their turn between them."""
        # not the first one again and again: to look for it in a dictionary takes long where others stood before it
        expired = list(islice(takewhile(lambda item: item[1].sent <= since, self.pending.items()), AT_ONCE))
        for number, _ in expired:
            del self.pending[number]
        for _, waiting in expired:
            waiting.attempt_failed(f"read udp {self.route}: i/o timeout")
        if len(expired) == AT_ONCE:
            self._loop.call_soon(self.give_up, since)

    def close(self, why: str) -> None:
        """Closes the socket; who waits learns why, but not before the present turn is over."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._descriptor)
            self._sock.close()
        pending, self.pending, self.outgoing = self.pending, {}, []
        for waiting in pending.values():
            self._loop.call_soon(waiting.attempt_failed, why)


class Datagrams:
    """The channels to one upstream: one from the first question on, soon more, none when no question came for a while."""

    def __init__(self, terms: Terms, measures: Measures) -> None:
        """Opens nothing yet."""
        self.to = terms.endpoint.text
        self._terms = terms
        self._measures = measures
        self._reused: Cell | None = None
        """What counts the next question, if a socket is open for it."""
        self._size = min(CHANNELS, terms.max_idle) if terms.max_idle else CHANNELS
        self._lifetime = min(LIFETIME, terms.max_age) if terms.max_age else LIFETIME
        self._channels: list[Channel] = []
        self._leaving: list[Channel] = []
        self._present: Channel | None = None
        self._wide: Channel | None = None
        self._now = 0.0

    @property
    def open(self) -> bool:
        """Has it any sockets?"""
        return bool(self._channels or self._leaving or self._wide)

    def send(self, waiting: Waiting) -> None:
        """Sends a question at the end of this turn; those of one turn go over one channel, in one system call."""
        channel = self._present
        try:
            if channel is None:
                channel = self._begin_turn()
            if waiting.limit > LARGEST:
                channel = self._wide = self._wide or self._open(batches=False)
        except OSError as error:
            waiting.fail_soon(f"dial udp {self.to}: socket: {reason(error.errno or 0)}")
            return
        waiting.sent = self._now
        if waiting.counted:
            (self._reused or self._count_opened()).value += 1
        pending, outgoing = channel.pending, channel.outgoing
        if len(pending) >= FULL:
            waiting.fail_soon(f"write udp {channel.route}: too many questions wait for this upstream")
            return
        number = new_id(pending)
        pending[number] = waiting
        outgoing.append(number + waiting.message)
        if len(outgoing) == SLOTS or channel is self._wide:
            channel.flush()

    def _begin_turn(self) -> Channel:
        """Chooses the channel of this turn; raises OSError where none can be opened."""
        self._now = monotonic()
        if not self._channels:
            self._channels.append(self._open(AVAILABLE))
            self._reused = None
        channel = self._present = choice(self._channels)  # noqa: S311  ports and IDs are what must not be guessed
        asyncio.get_running_loop().call_soon(self._end_turn, channel)
        return channel

    def _count_opened(self) -> Cell:
        """What counts a question for which a socket was opened; those after it find that one open."""
        self._reused = self._measures.reused("udp")
        return self._measures.opened("udp")

    def _end_turn(self, channel: Channel) -> None:
        """Sends what the turn has queued, though the channel may be on its way out of use by now."""
        if self._present is channel:
            self._present = None
        if channel.outgoing:
            channel.flush()

    def _open(self, batches: bool) -> Channel:
        """A socket with a port that the kernel chooses at random."""
        host, port = self._terms.endpoint.host, self._terms.endpoint.port
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if self._terms.source:
                sock.bind((self._terms.source, 0))
            sock.connect((host, port))
            return Channel(self, sock, batches)
        except BaseException:
            sock.close()
            raise

    def lost(self, channel: Channel) -> None:
        """A channel has closed itself: the others are not likely to be better, and take no more questions."""
        self._leave()
        self._leaving.remove(channel)

    def _leave(self) -> None:
        """Takes all channels out of use; they are closed when nobody waits on them."""
        self._leaving += self._channels + ([self._wide] if self._wide else [])
        self._channels, self._present, self._wide = [], None, None

    def sweep(self, now: float) -> None:
        """Ends what waited too long, renews ports, and closes what is idle."""
        for channel in self._all():
            channel.give_up(now - self._terms.read_timeout)
        for channel in [each for each in self._leaving if not each.pending]:
            channel.close("")
            self._leaving.remove(channel)
        if now - self._now > self._terms.expire:
            self._leave()
            return
        if self._wide is not None and now - self._wide.opened > self._lifetime:
            self._leaving.append(self._wide)
            self._wide = None
        if self._channels and (len(self._channels) < self._size or now - self._channels[0].opened > self._lifetime):
            self._renew()

    def _renew(self) -> None:
        """One more port, in the place of the oldest if there are enough."""
        try:
            self._channels.append(self._open(AVAILABLE))
        except OSError:
            return  # the old ones still serve
        if len(self._channels) > self._size:
            self._leaving.append(self._channels.pop(0))

    def _all(self) -> list[Channel]:
        return self._channels + self._leaving + ([self._wide] if self._wide else [])

    def close(self, why: str) -> None:
        """Closes all sockets; who waits learns why."""
        for channel in self._all():
            channel.close(why)
        self._channels, self._leaving, self._present, self._wide = [], [], None, None
