"""Questions and answers over a connection, whatever carries it: all questions of a read are answered in one write (RFC 7766)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING

from pycoredns import bounds
from pycoredns.memo import LONGEST, Entry
from pycoredns.metrics import before_scrape
from pycoredns.spelling import is_usual
from pycoredns.transport.outgoing import ClientGone, Outgoing
from pycoredns.transport.settling import settle

if TYPE_CHECKING:
    from pycoredns.transport.tcp import TCPListener

MOST_WAITING = 256
"""Questions of one connection whose answers are to come; past this no more are read."""
MOST_UNSENT = 65536
"""Octets of answers that are made before the client takes some."""
MOST_BUFFERED = 32 << 20
"""Octets of unfinished questions and untaken answers of all connections; past this the one that adds to them is closed."""
IDLE_TIMEOUT, WRITE_TIMEOUT = 10.0, 5.0
"""Seconds between questions, and for a client to take what it asked for; CoreDNS's defaults."""
LENGTHS = [(2 + size).to_bytes(2, "big") for size in range(LONGEST + 1)]
"""What stands before a remembered reply and its ID, by the reply's size."""


class Buffers:
    """What connections hold in memory, all of them together."""

    octets = 0


buffers = Buffers()


def measure() -> None:
    """Brings the gauge up to date."""
    bounds.buffered.cell().value = buffers.octets


before_scrape.append(measure)


class Batch:
    """What is answered together: its remembered replies are counted, and shown to who watches, when all have left."""

    __slots__ = ("hits", "listener", "now", "received", "seen", "tick")

    def __init__(self, listener: TCPListener) -> None:
        """Begins now."""
        self.listener = listener
        self.received = perf_counter_ns()
        self.now = monotonic()
        self.tick = listener.memo.advance()
        self.hits: list[Entry] = []
        self.seen: list[tuple[Entry, object, int]] = []

    def settle(self) -> None:
        """Everything has left."""
        settle(self.listener, self.hits, self.seen, perf_counter_ns() - self.received)


class Connection(ABC):
    """A client's connection. It is the peer of the questions that come by it.

    Who carries it calls ``receive`` and ``lose``, and ``pause_writing`` and ``resume_writing`` as for an ``asyncio.Protocol``.
    """

    __slots__ = (
        "_catching_up",
        "_ended",
        "_held",
        "_outgoing",
        "_paused",
        "_rest",
        "clear",
        "deadline",
        "listener",
        "stuck_since",
        "waiting",
    )

    def __init__(self, listener: TCPListener, deadline: float) -> None:
        """The listener may be another after a reload; the first question is waited for until ``deadline``."""
        self.listener = listener
        self.deadline = deadline
        self.waiting = 0
        self.clear = True
        """Does a question begin with what is read next, which may be answered from memory at once?"""
        self.stuck_since = 0.0
        self._rest = b""
        self._held = 0
        self._ended = False
        self._paused = False
        self._catching_up = False
        """Are questions being answered that had been left? Each of their answers may come at once."""
        self._outgoing: list[Outgoing] = []
        """Answers of many messages; the first is being sent."""

    # --- what carries it

    closing: bool
    """Is no more to be sent?"""
    name: bytes
    """The client's ``sockaddr``."""

    @property
    @abstractmethod
    def unsent(self) -> int:
        """Octets that are still here."""

    @abstractmethod
    def untaken(self) -> int:
        """Octets that are here or with the kernel."""

    @abstractmethod
    def write(self, octets: bytes) -> None:
        """Sends this, as soon as it can be."""

    @abstractmethod
    def listen(self, wanted: bool) -> None:
        """Reads from now on, or no more."""

    @abstractmethod
    def close(self) -> None:
        """Ends it when all has been sent."""

    @abstractmethod
    def abort(self) -> None:
        """Ends it."""

    # --- questions

    def receive(self, data: bytes, batch: Batch) -> None:
        """Answers the whole questions; keeps what is not whole yet. No octets: the client asks no more."""
        if not data:
            self._end()
            return
        if self._rest:
            data = self._rest + data
        self._proceed(data, batch)
        if self._full:
            self._pause()

    def _proceed(self, data: bytes, batch: Batch) -> None:
        place = self._answer(data, batch)
        self._rest = data[place:]
        self.clear = not self._rest
        if self._rest or self._held:
            self._weigh()

    def _answer(self, data: bytes, batch: Batch) -> int:
        """Answers questions until there is no whole one left, or the client has enough to take; where it stopped.

        One loop with local names: a call would be a tenth of a reply from memory.
        """
        listener, tick, hits = batch.listener, batch.tick, batch.hits
        memo, serve, watched = listener.memo, listener.service.serve, listener.service.watched
        remembered, renew, alike = memo.entries.get, memo.renew, memo.alike
        pieces: list[bytes] = []
        place, size, room = 0, len(data), MOST_UNSENT
        while place + 2 <= size:
            start = place + 2
            end = start + (data[place] << 8 | data[place + 1])
            if end > size:
                break
            key = data[place + 4 : end]
            place = end
            entry, reply = remembered(key), None
            if entry is not None and (entry.tick >= tick or renew(entry)):
                reply = entry.reply
            else:
                entry, reply = (None, None) if is_usual(key) else alike(key)
                if reply is None:
                    reply = serve(data[start:end], self, listener, batch.received, key)
            if entry is not None:
                entry.hits += 1
                hits.append(entry)
                if watched:
                    batch.seen.append((entry, self, data[start] << 8 | data[start + 1]))
            if reply is None:
                if self._outgoing or self.waiting >= MOST_WAITING:
                    break
                continue
            length = len(reply)
            pieces += LENGTHS[length] if length <= LONGEST else (2 + length).to_bytes(2, "big"), data[start : start + 2], reply
            room -= length
            if room < 0:
                self.write(b"".join(pieces))
                pieces.clear()
                room = MOST_UNSENT
                if self._full or self.closing:
                    break
        if place:
            self.deadline = batch.now + IDLE_TIMEOUT
        if pieces:
            self.write(b"".join(pieces))
        return place

    def _end(self) -> None:
        """The client asks no more; what it waits for is still sent."""
        self._ended = True
        if self.waiting or self.unsent:
            self.listen(False)
        else:
            self.close()

    # --- answers that come later

    def answer(self, messages: Sequence[bytes]) -> None:
        """Sends answers that have come later; an empty one is none."""
        self.waiting -= len(messages)
        if self.closing:
            return
        self.deadline = monotonic() + IDLE_TIMEOUT
        octets = b"".join([b"%b%b" % (len(message).to_bytes(2, "big"), message) for message in messages if message])
        if octets:
            self.write(octets)
        self._go_on()

    def stream(self, messages: Iterator[bytes], ended: Callable[[Exception | None], None]) -> None:
        """Sends an answer of many messages; the questions behind it wait until it is complete."""

        def finish(error: Exception | None) -> None:
            self._outgoing.pop(0)
            ended(error)
            if error is not None:  # whoever got a part must not take it for the whole
                self.abort()
            elif self._outgoing and not self.stuck_since:
                self._outgoing[0].go_on()
            self.answer([b""])

        self._outgoing.append(Outgoing(self, messages, finish))
        self._pause()
        if len(self._outgoing) == 1 and not self.stuck_since:
            self._outgoing[0].go_on()

    # --- bounds

    @property
    def _full(self) -> bool:
        """Is there enough that the client has not taken, or that it waits for?"""
        return bool(self.stuck_since or self._outgoing) or self.waiting >= MOST_WAITING

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

    def _pause(self) -> None:
        if not self._paused and not self.closing:
            self._paused = True
            self.listen(False)

    def _go_on(self) -> None:
        """Answers what was left, then reads again if nothing stands against it."""
        if self._catching_up:
            return
        if self._paused and not self._full and not self.closing and self._rest:
            batch = Batch(self.listener)
            self._catching_up = True
            self._proceed(self._rest, batch)
            self._catching_up = False
            batch.settle()
        if self.closing or self._full:
            return
        if self._ended:
            self._end()
        elif self._paused:
            self._paused = False
            self.listen(True)

    def _weigh(self) -> None:
        """Says how much it holds now; where that is too much for all of them together, it is the one that goes."""
        held = 0 if self.closing else len(self._rest) + self.unsent
        buffers.octets += held - self._held
        self._held = held
        if buffers.octets > MOST_BUFFERED and held:
            bounds.closed.cell(self.listener.service.address, "buffers").value += 1
            self.abort()

    def check(self, now: float) -> None:
        """Closes a connection that idles, or whose client takes nothing."""
        if self._outgoing:
            if self._outgoing[0].is_too_slow(now):
                self._outgoing[0].end(ClientGone("the client takes its answer too slowly"))
        elif self.stuck_since:
            if now - self.stuck_since > WRITE_TIMEOUT:
                self.abort()
        elif not self.waiting and now > self.deadline:
            self.close()

    def lose(self) -> None:
        """It is closed, and its listener knows it no more."""
        self._rest = b""
        self._weigh()
        while self._outgoing:
            self._outgoing[0].end(ClientGone("the client has gone"))
