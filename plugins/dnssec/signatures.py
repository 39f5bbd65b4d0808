"""Signatures, kept by the digest of what they are over, so that a changed record never goes with an old one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from time import time
from typing import Self, TypeAlias

from pycoredns.dnssec.signing import beginning, label_count
from pycoredns.memory import turnover
from pycoredns.metrics import Cell
from pycoredns.plugins.dnssec.keyring import ZoneKeys

DAY = 86400
VALIDITY = 8 * DAY
"""Seconds from the making of a signature to its end."""
BACKDATED = 3 * 3600
"""Seconds by which a signature begins earlier than it is made, for clocks that are slow."""
RENEWED = 2 * DAY
"""Seconds before its end at which a signature is given no more."""
ORIGINAL_TTL = (3600).to_bytes(4, "big")
"""The TTL that is signed, as what comes here may have been counted down already; a longer one is signed as it is."""
_DIGEST_SIZE = 16
_LONGEST_PLAIN = 160  # octets that are kept as their own digest, which saves 1 µs
_TRIES = 8
_MOST_BEGUN = 256
_ASTERISK = 0x2A

Like: TypeAlias = tuple[bytes, bytes, bool, int, bytes]
"""Sets whose signatures differ in the last field only: zone and parent of the owner, whether it is a wildcard, type and TTL."""
Begun: TypeAlias = tuple[tuple[bytes, Callable[[bytes], bytes]], ...]
"""Of each key the RDATA before the signature, and what signs."""


def signed_ttl(ttl: bytes) -> bytes:
    """The original TTL of a set that is found with a TTL, both in wire form."""
    return ttl if ttl > ORIGINAL_TTL else ORIGINAL_TTL


class Tally:
    """One server's look-ups."""

    __slots__ = ("hits", "misses")

    def __init__(self, hits: Cell, misses: Cell) -> None:
        """Takes the cells that are counted in."""
        self.hits = hits
        self.misses = misses


class Signed:
    """The signatures over a set: the RDATA of each behind its length, and until when (seconds since 1970) they are given."""

    __slots__ = ("sized", "until", "used")

    def __init__(self, sized: Sequence[bytes], until: int) -> None:
        """Nobody has used them again so far."""
        self.sized = sized
        self.until = until
        self.used = False


class Signatures:
    """Signs sets of records, and keeps so many signatures; what was not used again goes first."""

    def __init__(self, capacity: int, clock: Callable[[], float] = time) -> None:
        """``capacity`` is a number of sets; 0 keeps nothing."""
        self._capacity = capacity
        self._clock = clock
        self._kept: dict[bytes, Signed] = {}
        self._order: deque[bytes] = deque()
        self._now = 0
        self._begun: dict[Like, Begun] = {}

    def __len__(self) -> int:
        """How many sets' signatures are kept."""
        return len(self._kept)

    def over(self, keys: ZoneKeys, owner: bytes, rtype: int, ttl: bytes, data: bytes, tally: Tally) -> Signed:
        """The signatures over a set in canonical form, whose records have this TTL (see ``signed_ttl``)."""
        digest = keys.origin + data
        if len(digest) > _LONGEST_PLAIN:
            digest = blake2b(digest, digest_size=_DIGEST_SIZE).digest()
        kept = self._kept.get(digest)
        now = int(self._clock())
        if kept is not None and now < kept.until:
            tally.hits.value += 1
            kept.used = True
            return kept
        tally.misses.value += 1
        if now != self._now or len(self._begun) >= _MOST_BEGUN:
            self._now = now
            self._begun.clear()
        length = owner[0]
        like = keys.origin, owner[length + 1 :], length == 1 and owner[1] == _ASTERISK, rtype, ttl
        sized = []
        for begun, sign in self._begun.get(like) or self._begin(like, keys, owner):
            rdata = begun + sign(begun + data)
            sized.append(len(rdata).to_bytes(2, "big") + rdata)
        made = Signed(sized, now + VALIDITY - RENEWED)
        if sized:
            self._keep(digest, made)
        return made

    def _begin(self, like: Like, keys: ZoneKeys, owner: bytes) -> Begun:
        """What the signatures begin with that are made this second over like sets: to keep it saves 1 µs for each."""
        *_, rtype, ttl = like
        common = rtype, label_count(owner), int.from_bytes(ttl, "big"), self._now - BACKDATED, self._now + VALIDITY
        begun = self._begun[like] = tuple([(beginning(key, *common), key.signer.sign) for key in keys.signing(rtype)])
        return begun

    def _keep(self, digest: bytes, made: Signed) -> None:
        if digest not in self._kept:
            if len(self._kept) >= self._capacity:
                if not self._capacity:
                    return
                self._make_room()
            self._order.append(digest)
        self._kept[digest] = made

    def _make_room(self) -> None:
        """The oldest goes, but what was used since gets a second chance: a flood of names pushes out itself."""
        digest = self._order.popleft()
        for _ in range(_TRIES):
            if not self._kept[digest].used:
                break
            self._kept[digest].used = False
            self._order.append(digest)
            digest = self._order.popleft()
        del self._kept[digest]
        turnover.add()

    def forget(self) -> None:
        """Drops all: the keys have changed."""
        self._kept.clear()
        self._order.clear()
        self._begun.clear()

    def take_over(self, old: Self) -> None:
        """Keeps what another one kept, as far as there is room."""
        for digest in old._order:
            if len(self._kept) < self._capacity:
                self._keep(digest, old._kept[digest])
