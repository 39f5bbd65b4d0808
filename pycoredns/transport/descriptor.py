"""A connection over a descriptor that does not block, without a transport between: it costs a fifth of one."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from pycoredns.transport.connection import Batch, Connection

if TYPE_CHECKING:
    from pycoredns.transport.tcp import TCPListener

IN, OUT = 1, 4
"""EPOLLIN and EPOLLOUT (epoll_ctl(2))."""
_FIRST_OCTETS = 2 + 12 + 255 + 4
"""Octets in which a name ends, and its question: behind the length of a message and its header (RFC 1035 §4)."""

HandOver: TypeAlias = Callable[[bytes, int], bool]
"""Gives a connection, from which this has been read, to whom it belongs; False if it is to stay."""


class TCPConnection(Connection):
    """One over a descriptor that does not block."""

    __slots__ = ("_hand_over", "_unsent", "closing", "descriptor", "interest", "name")

    def __init__(self, listener: TCPListener, deadline: float, descriptor: int, name: bytes, hand_over: HandOver | None) -> None:
        """``name`` is the client's ``sockaddr``. ``hand_over`` is asked about the first question, if anybody is."""
        super().__init__(listener, deadline)
        self.descriptor = descriptor
        self.name = name
        self.closing = False
        self.interest = IN
        """What its listener's set is asked for."""
        self._unsent = bytearray()
        self._hand_over = hand_over
        self.clear = hand_over is None

    @property
    def unsent(self) -> int:
        """Octets that the kernel has not taken."""
        return len(self._unsent)

    def untaken(self) -> int:
        """Octets that the client has not acknowledged."""
        left = len(self._unsent)
        with suppress(OSError):
            left += struct.unpack("i", fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, bytes(4)))[0]
        return left

    def receive(self, data: bytes, batch: Batch) -> None:
        """The first question may be another's; then the connection goes there."""
        if self._hand_over is None or not data:
            super().receive(data, batch)
            return
        data = self._rest + data
        self._rest = b""
        size = len(data)
        if size < _FIRST_OCTETS and (size < 2 or size < 2 + int.from_bytes(data[:2], "big")):
            self._rest = data
            self._weigh()
            return
        hand_over, self._hand_over = self._hand_over, None
        if hand_over(data, self.descriptor):
            self.listener.poll.unregister(self.descriptor)  # it is not closed as long as others have it
            self.abort()
        else:
            super().receive(data, batch)

    def write(self, octets: bytes) -> None:
        """Sends this; what the kernel does not take now is sent when it does."""
        if self.closing:
            return
        if self._unsent:
            self._unsent += octets
            self._weigh()
        else:
            try:
                sent = os.write(self.descriptor, octets)
            except BlockingIOError:
                sent = 0
            except OSError:  # the client has gone
                self.abort()
                return
            if sent < len(octets):
                self._unsent += octets[sent:]
                self._ask_for(self.interest | OUT)
                self.pause_writing()

    def heed(self, event: int) -> None:
        """Something else than a question has come: room to send, or the end."""
        if event & OUT:
            self._flush()
        elif not event & self.interest:
            self.abort()

    def _flush(self) -> None:
        """Sends what the kernel did not take."""
        try:
            del self._unsent[: os.write(self.descriptor, self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        if self._unsent:
            self._weigh()
        elif self.closing:
            self.abort()
        else:
            self._ask_for(self.interest & ~OUT)
            self.resume_writing()

    def listen(self, wanted: bool) -> None:
        """Reads from now on, or no more."""
        self._ask_for(self.interest & ~IN | (IN if wanted else 0))

    def _ask_for(self, interest: int) -> None:
        if interest != self.interest and self.descriptor >= 0:
            self.interest = interest
            self.listener.poll.modify(self.descriptor, interest)

    def close(self) -> None:
        """Ends it when all has been sent."""
        self.closing = True
        if self._unsent:
            self.listen(False)
        else:
            self.abort()

    def abort(self) -> None:
        """Ends it."""
        self.closing = True
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self.listener.dismiss(descriptor)
            os.close(descriptor)
            self._unsent.clear()
            if self._held or self._outgoing:
                self.lose()
