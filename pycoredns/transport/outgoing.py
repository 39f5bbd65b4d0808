"""An answer of many messages on its way down a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic

PATIENCE = 30.0
"""Seconds that a client may stand still amid an answer of many messages; a slow one that goes on is waited for."""


class ClientGone(Exception):
    """The client closed the connection, or took nothing more, before the answer was complete."""


class Outgoing:
    """Makes and sends one message in each turn of the loop, and none while the client has enough to take."""

    def __init__(
        self, transport: asyncio.Transport, messages: Iterator[bytes], ended: Callable[[Exception | None], None]
    ) -> None:
        """``ended`` is called once: when the last message was sent, or with what went wrong."""
        self._transport = transport
        self._messages = messages
        self._ended = ended
        self._next: asyncio.Handle | None = None
        self._unsent = 0
        self._moved = monotonic()

    def go_on(self) -> None:
        """The client takes what it gets: the next message leaves in the loop's next turn."""
        if self._next is None:
            self._moved = monotonic()
            self._next = asyncio.get_running_loop().call_soon(self._send)

    def hold(self) -> None:
        """The client has enough to take."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _send(self) -> None:
        self._next = None
        if self._transport.is_closing():
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
        self._transport.write(b"%b%b" % (len(message).to_bytes(2, "big"), message))

    def stands_still(self, now: float) -> bool:
        """Has the client taken nothing for too long? To be asked from time to time."""
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent or not unsent:
            self._unsent, self._moved = unsent, now
        return now - self._moved > PATIENCE

    def end(self, error: Exception | None = None) -> None:
        """No more is sent."""
        self.hold()
        self._ended(error)
