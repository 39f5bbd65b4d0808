"""Signing messages, one or the many of a transfer (RFC 8945 §5.3, §5.3.1)."""

from __future__ import annotations

from pycoredns.tsig.keys import Algorithm, Key
from pycoredns.tsig.record import Signature, prefixed, with_record

FUDGE = 300
"""Seconds by which clocks may differ (RFC 8945 §10)."""


def sign(message: bytes, key: Key, now: float, algorithm: Algorithm | None = None) -> tuple[bytes, bytes]:
    """A question with its TSIG record, and the MAC that its answer refers to; ``now`` in seconds since 1970."""
    chosen = algorithm or key.algorithm
    signature = _signature(message, key, chosen, int(now))
    signature = signature._replace(mac=key.mac(message + signature.variables, chosen))
    return with_record(message, signature.wire()), signature.mac


def _signature(message: bytes, key: Key, algorithm: Algorithm, time: int) -> Signature:
    """A record that has no MAC yet."""
    return Signature(len(message), key.name, algorithm.wire, time, FUDGE, b"", int.from_bytes(message[:2], "big"))


class Signer:
    """Signs the messages of one answer in their order: the first as any, each further one with the MAC before it."""

    def __init__(self, key: Key, request_mac: bytes, algorithm: Algorithm | None = None) -> None:
        """``request_mac`` is that of the question."""
        self.key = key
        self.algorithm = algorithm or key.algorithm
        self._mac = request_mac
        self._begun = False

    @property
    def size(self) -> int:
        """Octets that a signature adds to a message."""
        return _signature(b"", self.key, self.algorithm, 0).size + self.algorithm.size

    def sign(self, message: bytes, now: float) -> bytes:
        """The next message with its TSIG record; ``now`` in seconds since 1970."""
        unsigned = _signature(message, self.key, self.algorithm, int(now))
        fields = unsigned.timers if self._begun else unsigned.variables
        self._mac = self.key.mac(prefixed(self._mac) + message + fields, self.algorithm)
        self._begun = True
        return with_record(message, unsigned._replace(mac=self._mac).wire())
