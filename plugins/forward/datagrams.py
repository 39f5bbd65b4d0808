"""UDP to one upstream: connected sockets, each with a random source port, over which many questions go at once."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice, takewhile
from operator import attrgetter
from random import choice
from time import monotonic
from typing import TYPE_CHECKING

from pycoredns.metrics import Cell
from pycoredns.output import logger
from pycoredns.plugins.forward.measures import Measures
from pycoredns.plugins.forward.messages import new_ids
from pycoredns.plugins.forward.sockets import dialling, reason
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
_STARTS = range(0, SLOTS * LARGEST, LARGEST)
_NOTHING_THERE = (errno.EAGAIN, errno.EINTR)
_NO_ROOM = (0, errno.EAGAIN, errno.ENOBUFS)
_ITS_OWN = (errno.EMSGSIZE, errno.EPERM)
"""What concerns one datagram: it is too long, or a packet filter has dropped it, and some do that by their number only."""
_limit, _counted = attrgetter("limit"), attrgetter("counted")
log = logger("plugin/forward")


@cache
def _vectors() -> tuple[Receiver, Sender]:
    """One for receiving and one for sending: they are empty between two calls."""
    return Receiver(SLOTS, LARGEST, names=False), Sender()


class Channel:
    """A connected socket, and the questions that wait for an answer on it by their ID."""

    def __init__(self, owner: Datagrams, sock: socket.socket, batches: bool) -> None:
        """``batches``: datagrams are sent and received many at a time, none longer than LARGEST."""
        self.pending: dict[bytes, Waiting] = {}
        self.opened = monotonic()
        self.route = f"{join(*sock.getsockname()[:2])}->{owner.to}"
        self._owner = owner
        self._sock = sock
        self._descriptor = sock.fileno()
        self._batches = batches
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read_batch if batches else self._read_one)

    def send(self, asking: Sequence[Waiting], now: float) -> None:
        """Sends questions; ``now`` is in seconds of ``time.monotonic``."""
        pending, outgoing = self.pending, []
        for number, waiting in zip(new_ids(pending, len(asking)), asking, strict=True):
            waiting.sent = now
            pending[number] = waiting
            outgoing.append(number + waiting.message)
        for begin in range(0, len(outgoing), SLOTS):
            self._flush(outgoing[begin : begin + SLOTS])

    def _flush(self, outgoing: list[bytes]) -> None:
        """Sends datagrams, a batch at most. One for which the kernel has no room is lost like any other on its way."""
        if not self._batches or len(outgoing) == 1:
            for datagram in outgoing:
                self._send_one(datagram)
            return
        if len(max(outgoing, key=len)) > SLOT_SIZE:
            for datagram in [each for each in outgoing if len(each) > SLOT_SIZE]:
                self._send_one(datagram)
            outgoing = [each for each in outgoing if len(each) <= SLOT_SIZE]
        refused = _vectors()[1].send(self._descriptor, outgoing)
        if refused and (number := ctypes.get_errno()) not in _NO_ROOM:
            self._refuse(refused, number)

    def _send_one(self, datagram: bytes) -> None:
        try:
            self._sock.send(datagram)
        except BlockingIOError:
            return
        except OSError as error:
            self._refuse([datagram], error.errno or 0)

    def _refuse(self, datagrams: Sequence[bytes], number: int) -> None:
        """The kernel has not sent these."""
        if number not in _ITS_OWN:
            self._break(number, "write")
            return
        for datagram in datagrams:
            self._fail_alone(datagram[:2], "write", number)

    def _read_batch(self) -> None:
        """Takes all datagrams that are there, up to a batch."""
        receiver = _vectors()[0]
        count, view = receiver.receive(self._descriptor), receiver.view
        if count == 1:
            self._take_all([receiver.octets[: receiver.lengths[14]]])
        elif count:
            lengths = receiver.lengths[14 : 16 * count : 16]
            self._take_all([bytes(view[start : start + length]) for start, length in zip(_STARTS, lengths, strict=False)])
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
            number = reply[:2]
            waiting = pending.get(number)
            try:
                if waiting is not None and waiting.takes(reply, waiting.limit):
                    del pending[number]
            except Exception as error:  # a query ends here; the others of the batch must go on
                del pending[number]
                log.error("answer could not be passed on: %r", error, exc_info=error)
        self._owner.measures.settle(now)

    def _break(self, number: int, doing: str) -> None:
        """The upstream's host refuses, or cannot be reached: nobody waits any longer, and the socket is given up."""
        if self._sock.fileno() < 0:
            return
        if number == errno.EMSGSIZE:  # of the path, which the kernel cuts datagrams for from now on (ip(7))
            self._fail_alone(max(self.pending, key=lambda each: len(self.pending[each].message), default=b""), doing, number)
            return
        # a refusal is the answer to an earlier datagram, whichever call reports it
        doing = "read" if number == errno.ECONNREFUSED else doing
        self.close(f"{doing} udp {self.route}: {doing}: {reason(number)}")
        self._owner.lost(self)

    def _fail_alone(self, identity: bytes, doing: str, number: int) -> None:
        """The question with this ID could not be sent, for a reason of its own; the others wait on."""
        if (waiting := self.pending.pop(identity, None)) is not None:
            waiting.fail_soon(f"{doing} udp {self.route}: {doing}: {reason(number)}")

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
            self._descriptor = -1  # what is still to be sent must not go where the number is used again
        pending, self.pending = self.pending, {}
        for waiting in pending.values():
            self._loop.call_soon(waiting.attempt_failed, why)


class Datagrams:
    """The channels to one upstream: one from the first question on, soon more, none when no question came for a while."""

    def __init__(self, terms: Terms, measures: Measures) -> None:
        """Opens nothing yet."""
        self.to = terms.endpoint.text
        self._terms = terms
        self.measures = measures
        self._found = False
        """Is a socket open for the next question? Those that find one are counted by ``_reused``, made for the first of them."""
        self._reused: Cell | None = None
        self._size = min(CHANNELS, terms.max_idle) if terms.max_idle else CHANNELS
        self._lifetime = min(LIFETIME, terms.max_age) if terms.max_age else LIFETIME
        self._channels: list[Channel] = []
        self._leaving: list[Channel] = []
        self._wide: Channel | None = None
        self._now = 0.0

    @property
    def open(self) -> bool:
        """Has it any sockets?"""
        return bool(self._channels or self._leaving or self._wide)

    def send(self, asking: Sequence[Waiting]) -> None:
        """Sends the questions of a turn: over one channel, in as few system calls as can be."""
        self._now = monotonic()
        if max(map(_limit, asking)) > LARGEST:
            self._send_by(self._wide_channel, [waiting for waiting in asking if waiting.limit > LARGEST])
            asking = [waiting for waiting in asking if waiting.limit <= LARGEST]
        if asking:
            self._send_by(self._channel, asking)

    def _send_by(self, choose: Callable[[], Channel], asking: Sequence[Waiting]) -> None:
        """Sends questions over a channel, as many as may wait on it."""
        try:
            channel = choose()
        except OSError as error:
            for waiting in asking:
                waiting.fail_soon(str(error))
            return
        self._count(sum(map(_counted, asking)))
        room = FULL - len(channel.pending)
        for waiting in asking[room:]:
            waiting.fail_soon(f"write udp {channel.route}: too many questions wait for this upstream")
        channel.send(asking[:room], self._now)

    def _channel(self) -> Channel:
        """One of the channels, by chance; raises OSError where none can be opened."""
        if not self._channels:
            self._channels.append(self._open(AVAILABLE))
            self._found = False
        return choice(self._channels)  # noqa: S311  ports and IDs are what must not be guessed

    def _wide_channel(self) -> Channel:
        """The one for long answers; raises OSError where it cannot be opened."""
        self._wide = self._wide or self._open(batches=False)
        return self._wide

    def _count(self, asked: int) -> None:
        """Counts questions: a socket was opened for the first one, and those after it found it open."""
        if asked and not self._found:
            self._found = True
            self.measures.opened("udp").value += 1
            asked -= 1
        if asked:
            self._reused = self._reused or self.measures.reused("udp")
            self._reused.value += asked

    def _open(self, batches: bool) -> Channel:
        """A socket with a port that the kernel chooses at random. Raises OSError that says what could not be done, as Go does."""
        endpoint = self._terms.endpoint
        with dialling("udp", self._terms) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.connect((endpoint.host, endpoint.port))
            return Channel(self, sock, batches)

    def lost(self, channel: Channel) -> None:
        """A channel has closed itself: the others are not likely to be better, and take no more questions."""
        self._leave()
        self._leaving.remove(channel)

    def _leave(self) -> None:
        """Takes all channels out of use; they are closed when nobody waits on them."""
        self._leaving += self._channels + ([self._wide] if self._wide else [])
        self._channels, self._wide = [], None

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
        self._channels, self._leaving, self._wide = [], [], None
