"""What waits for an upstream's answer: a client's question, or a health check."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod


class Waiting(ABC):
    """A message that is sent to an upstream. Each time it is sent, one of the methods ends that, never at once."""

    message: bytes
    """The question behind its ID."""
    limit: int
    """The longest datagram that may come back."""
    sent: float = 0.0
    """When it was sent, in seconds of ``time.monotonic``."""
    counted: bool = True
    """Do the counters of connections count it?"""

    @abstractmethod
    def takes(self, reply: bytes, limit: int) -> bool:
        """Takes a message with its ID if that is an answer to it; ``limit`` is the longest in octets that could come that way."""

    @abstractmethod
    def attempt_failed(self, why: str) -> None:
        """No answer will come."""

    @abstractmethod
    def ask_again(self) -> None:
        """The connection was closed before an answer came, as happens to old ones: a new one may serve."""

    def fail_soon(self, why: str) -> None:
        """The attempt has failed, which is told once the present turn is over."""
        asyncio.get_running_loop().call_soon(self.attempt_failed, why)
