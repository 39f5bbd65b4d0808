"""What waits for an upstream's answer: a client's question, or a health check."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod


class Waiting(ABC):
    """A message that is sent to an upstream. For each time it is sent, one of the three methods is called, never at once."""

    message: bytes
    """The question behind its ID."""
    limit: int
    """The longest datagram that may come back."""
    sent: float = 0.0
    """When it was sent, in seconds of ``time.monotonic``."""
    counted: bool = True
    """Do the counters of connections count it?"""

    @abstractmethod
    def is_answered_by(self, reply: bytes) -> bool:
        """Is a message that has its ID an answer to it?"""

    @abstractmethod
    def received(self, reply: bytes, now: float, limit: int) -> None:
        """Takes such a message; ``limit`` is the longest in octets that could come that way."""

    @abstractmethod
    def attempt_failed(self, why: str) -> None:
        """No answer will come."""

    @abstractmethod
    def ask_again(self) -> None:
        """The connection was closed before an answer came, as happens to old ones: a new one may serve."""

    def fail_soon(self, why: str) -> None:
        """The attempt has failed, which is told once the present turn is over."""
        asyncio.get_running_loop().call_soon(self.attempt_failed, why)
