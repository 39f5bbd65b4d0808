"""Answers of many messages on their way down their connections."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol
from weakref import WeakKeyDictionary

from pycoredns import bounds

PATIENCE, LEAST = 30.0, 65536
"""A client must take so many octets of an answer in so many seconds, as it keeps from others what it does not take."""
LONGEST = 7200.0
"""Seconds in which it must have taken all of it: as long a version of a zone is held for it."""


class ClientGone(Exception):
    """The client closed the connection, or took too little, before the answer was complete."""


class Carrier(Protocol):
    """What takes an answer's messages to the client."""

    closing: bool
    """Is no more to be sent?"""

    def write(self, octets: bytes) -> None:
        """Sends this, as soon as it can be."""

    def untaken(self) -> int:
        """Octets that are with us or with the kernel, which tells us of room only when much of its buffer is free."""


class Pump:
    """Makes and sends one message in each turn of the loop, for each answer in its turn: many delay others no more than one."""

    def __init__(self) -> None:
        """Belongs to the running event loop."""
        self._ready: OrderedDict[Outgoing, None] = OrderedDict()
        self._turn: asyncio.Handle | None = None

    def add(self, outgoing: Outgoing) -> None:
        """An answer whose next message can leave; it is the last of them."""
        self._ready[outgoing] = None
        self._go_on()

    def remove(self, outgoing: Outgoing) -> None:
        """An answer that has to wait, or has ended."""
        self._ready.pop(outgoing, None)

    def _send(self) -> None:
        self._turn = None
        if self._ready:
            outgoing, _ = self._ready.popitem(last=False)
            self._go_on()
            outgoing.send()

    def _go_on(self) -> None:
        if self._turn is None and self._ready:
            self._turn = asyncio.get_running_loop().call_soon(self._send)


_pumps: WeakKeyDictionary[asyncio.AbstractEventLoop, Pump] = WeakKeyDictionary()


def _pump() -> Pump:
    """That of the running event loop."""
    return _pumps.setdefault(asyncio.get_running_loop(), Pump())


class Outgoing:
    """An answer of many messages; none is made while the client has enough to take."""

    def __init__(self, carrier: Carrier, messages: Iterator[bytes], ended: Callable[[Exception | None], None]) -> None:
        """``ended`` is called once: when the last message was sent, or with what went wrong."""
        self._carrier = carrier
        self._messages = messages
        self._ended = ended
        self._pump = _pump()
        self._sent = self._taken = 0
        self._begun = self._looked = 0.0
        bounds.streams.cell().value += 1

    def go_on(self) -> None:
        """The client takes what it gets: the next message leaves in a turn of the loop soon."""
        self._pump.add(self)

    def hold(self) -> None:
        """The client has enough to take."""
        self._pump.remove(self)

    def send(self) -> None:
        """Makes the next message and sends it."""
        if self._carrier.closing:
            self.end(ClientGone("the connection is closed"))
            return
        try:
            message = next(self._messages, None)
        except Exception as error:  # noqa: BLE001  a query ends here
            self.end(error)
            return
        if message is None:
            self.end()
            return
        self.go_on()  # before it is written, as that may call hold
        self._sent += 2 + len(message)
        self._carrier.write(b"%b%b" % (len(message).to_bytes(2, "big"), message))

    def is_too_slow(self, now: float) -> bool:
        """Has the client taken too little for too long? To be asked from time to time, once it is this answer's turn."""
        if not self._begun:
            self._begun = self._looked = now
        left = self._carrier.untaken()
        taken = self._sent - left
        if now - self._looked > PATIENCE:
            if left and taken - self._taken < LEAST:
                return True
            self._looked, self._taken = now, taken
        return now - self._begun > LONGEST

    def end(self, error: Exception | None = None) -> None:
        """No more is sent."""
        self.hold()
        bounds.streams.cell().value -= 1
        self._ended(error)
