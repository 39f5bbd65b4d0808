"""Verifying signed messages, one or the many of a transfer, and answering those who signed (RFC 8945 §5.2, §5.3)."""

from __future__ import annotations

from enum import IntEnum
from hmac import compare_digest
from typing import NamedTuple

from pycoredns.tsig.keys import Algorithm, Key, Keyring
from pycoredns.tsig.record import BadTSIGError, Signature, find, prefixed, timers, unsigned, variables, wire, with_record
from pycoredns.tsig.signing import FUDGE, Signer

_SHORTEST_MAC = 10
_MOST_UNSIGNED = 99
_CLOCK_OCTETS = 6


class Status(IntEnum):
    """What verifying found, as the error field of an answer's TSIG record says it (RFC 8945 §3)."""

    GOOD = 0
    BADSIG = 16
    BADKEY = 17
    BADTIME = 18
    BADTRUNC = 22


_UNSIGNED = frozenset({Status.BADSIG, Status.BADKEY})


class Verified(NamedTuple):
    """A message's signature and what it is worth; ``key`` and ``algorithm`` are there unless they are not known here."""

    signature: Signature
    status: Status
    key: Key | None = None
    algorithm: Algorithm | None = None

    @property
    def good(self) -> bool:
        """Did a holder of the key sign it, just now?"""
        return self.status == Status.GOOD

    @property
    def size(self) -> int:
        """Octets that ``answer`` adds."""
        mac = self.algorithm.size if self.algorithm and self.status not in _UNSIGNED else 0
        clock = _CLOCK_OCTETS if self.status == Status.BADTIME else 0
        return self.signature.size - len(self.signature.mac) - len(self.signature.other) + mac + clock

    @property
    def surplus(self) -> int:
        """Octets that CoreDNS counts besides: an answer that is not signed has the question's MAC there."""
        return len(self.signature.mac) if self.status in _UNSIGNED else 0

    def signer(self) -> Signer:
        """Signs the messages of the answer to a good request; raises BadTSIGError for any other."""
        if not self.good or self.key is None:
            raise BadTSIGError(f"the request is not signed: {self.status.name}")
        return Signer(self.key, self.signature.mac, self.algorithm)

    def answer(self, message: bytes, now: float) -> bytes:
        """The answer with its TSIG record: signed, or saying why not (RFC 8945 §5.3.2); ``now`` in seconds since 1970.

        Where clocks differ the record has the client's time, and ours beside it (RFC 8945 §5.2.3).
        """
        asked, status, clock, other = self.signature, self.status, int(now), b""
        if status == Status.BADTIME:
            clock, other = asked.time, clock.to_bytes(_CLOCK_OCTETS, "big")
        clocks, mac = timers(clock, FUDGE), b""
        if self.key is not None and self.algorithm is not None and status not in _UNSIGNED:
            said = variables(asked.key, asked.algorithm, clocks, status, other)
            mac = self.key.mac(prefixed(asked.mac) + message + said, self.algorithm)
        return with_record(message, wire(asked.key, asked.algorithm, clocks, mac, message[:2], status, other))


def verify(message: bytes, signature: Signature, keys: Keyring, now: float) -> Verified:
    """What a request's signature, as ``find`` read it, is worth; ``now`` is in seconds since 1970.

    Raises BadTSIGError where its MAC has a length that none may have (RFC 8945 §5.2.2.1).
    """
    key, algorithm = keys.get(signature.key), Algorithm.named(signature.algorithm)
    if key is None:
        return Verified(signature, Status.BADKEY)
    if algorithm is None:  # RFC 8945 §5.2.1 would have BADKEY
        return Verified(signature, Status.BADSIG)
    octets = unsigned(message, signature) + signature.variables
    return Verified(signature, _status(octets, signature, key, algorithm, now), key, algorithm)


def _status(octets: bytes, signature: Signature, key: Key, algorithm: Algorithm, now: float) -> Status:
    """The checks in their order: MAC, time, truncation (RFC 8945 §5.2)."""
    size = len(signature.mac)
    if size != algorithm.size and not max(_SHORTEST_MAC, algorithm.size // 2) <= size < algorithm.size:
        raise BadTSIGError(f"a MAC of {size} octets is none of hmac-{algorithm.digest}")
    if not compare_digest(key.mac(octets, algorithm)[:size], signature.mac):
        return Status.BADSIG
    if abs(int(now) - signature.time) > signature.fudge:
        return Status.BADTIME
    return Status.GOOD if size == algorithm.size else Status.BADTRUNC


class Verifier:
    """Verifies the messages of one answer in their order (RFC 8945 §5.3.1).

    The first and the last must be signed, and at least each hundredth. ``feed`` every message, then ``finish``.
    """

    def __init__(self, key: Key, request_mac: bytes) -> None:
        """``request_mac`` is that of the question."""
        self._key = key
        self._octets = bytearray(prefixed(request_mac))
        self._begun = False
        self._unsigned = 0

    def feed(self, message: bytes, now: float) -> None:
        """Takes the next message; raises BadTSIGError where the key's holder did not send it and those before it."""
        signature = find(message)
        if signature is None:
            self._feed_unsigned(message)
            return
        algorithm = self._agreed(signature)
        fields = signature.timers if self._begun else signature.variables
        octets = b"".join((self._octets, unsigned(message, signature), fields))
        status = _status(octets, signature, self._key, algorithm, now)
        if status != Status.GOOD:
            raise BadTSIGError(f"its signature is not good: {status.name}")
        self._octets, self._begun, self._unsigned = bytearray(prefixed(signature.mac)), True, 0

    def finish(self) -> None:
        """The answer is complete; raises BadTSIGError where its last message was not signed."""
        if self._unsigned or not self._begun:
            raise BadTSIGError("the last message is not signed")

    def _feed_unsigned(self, message: bytes) -> None:
        """Keeps a message until a signature covers it."""
        self._unsigned += 1
        if not self._begun:
            raise BadTSIGError("the first message is not signed")
        if self._unsigned > _MOST_UNSIGNED:
            raise BadTSIGError(f"more than {_MOST_UNSIGNED} messages in a row are not signed")
        self._octets += message

    def _agreed(self, signature: Signature) -> Algorithm:
        """The algorithm, where the record is of our key and without an error of the other side."""
        if signature.error:
            raise BadTSIGError(f"the other side says {_error_text(signature.error)}")
        algorithm = Algorithm.named(signature.algorithm)
        if signature.key != self._key.name or algorithm is None:
            raise BadTSIGError("it is signed with another key or algorithm")
        return algorithm


def _error_text(error: int) -> str:
    """The name of what a TSIG record's error field says."""
    return Status(error).name if error in Status._value2member_map_ else f"error {error}"
