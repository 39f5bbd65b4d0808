"""Signatures, kept by the digest of what they are over, so that a changed record never goes with an old one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from itertools import islice
from time import monotonic, time
from typing import TYPE_CHECKING, Self, TypeAlias

from pycoredns.dnssec.signing import beginning, label_count
from pycoredns.metrics import Cell
from pycoredns.plugins.dnssec.keyring import ZoneKeys

if TYPE_CHECKING:
    from pycoredns.plugin import Outcome

DAY = 86400
VALIDITY = 8 * DAY
"""Seconds from the making of a signature to its end."""
BACKDATED = 3 * 3600
"""Seconds by which a signature begins earlier than it is made, for clocks that are slow."""
RENEWED = 2 * DAY
"""Seconds before its end at which a signature is given no more."""
GIVEN = VALIDITY - RENEWED
"""Seconds for which a signature is given."""
ORIGINAL_TTL = (3600).to_bytes(4, "big")
"""The TTL that is signed, as what comes here may have been counted down already; a longer one is signed as it is."""
_DIGEST_SIZE = 16
_LONGEST_PLAIN = 160  # octets that are kept as their own digest, which saves 1 µs
_MOST_BEGUN = 256
_MOST_AT_ONCE = 64
_WILDCARD = b"\1*"

Signed: TypeAlias = tuple[int, Sequence[bytes]]
"""Until when (seconds since 1970) the signatures over a set are given, and the RDATA of each behind its length."""
Begun: TypeAlias = Sequence[tuple[bytes, bytes, Callable[[bytes], bytes]]]
"""Of each key the RDATA before the signature, behind the length of all, and without; and what signs."""


class Tally:
    """One server's look-ups."""

    __slots__ = ("hits", "misses", "once")

    def __init__(self, hits: Cell, misses: Cell) -> None:
        """Takes the cells that are counted in."""
        self.hits = hits
        self.misses = misses
        self.once: Callable[[Outcome], None] = partial(self.repeated, 1, None)
        """For an answer with the signatures of one set that was given again from memory."""

    def repeated(self, sets: int, behind: Callable[[Outcome], None] | None, outcome: Outcome) -> None:
        """Counts the signatures of an answer that was given again from memory; those behind are told too."""
        self.hits.value += sets * outcome.times
        if behind is not None:
            behind(outcome)


class Signatures:
    """Signs sets of records, and keeps so many signatures; what was not used again goes first."""

    def __init__(self, capacity: int, clock: Callable[[], float] = time) -> None:
        """``capacity`` is a number of sets; 0 keeps nothing."""
        self._capacity = capacity
        self._share = max(1, min(_MOST_AT_ONCE, capacity // _MOST_AT_ONCE))
        self._clock = clock
        self._kept: dict[bytes, Signed] = {}
        self._used: set[bytes] = set()
        """What was used again since it was kept, or since it was last spared."""
        self._now = 0
        self._begun: dict[bytes, Begun] = {}
        self.ahead = 0.0
        """What makes seconds of ``time.monotonic`` of those since 1970; looked at once a second."""

    def __len__(self) -> int:
        """How many sets' signatures are kept."""
        return len(self._kept)

    def over(self, keys: ZoneKeys, owner: bytes, rtype: int, ttl: bytes, data: bytes, tally: Tally) -> Signed:
        """The signatures over a set in canonical form, whose records have this TTL (see ``ORIGINAL_TTL``)."""
        digest = keys.origin + data
        if len(digest) > _LONGEST_PLAIN:
            digest = blake2b(digest, digest_size=_DIGEST_SIZE).digest()
        kept = self._kept.get(digest)
        now = int(self._clock())
        if now != self._now:
            self._turn(now)
        if kept is not None and now < kept[0]:
            tally.hits.value += 1
            self._used.add(digest)
            return kept
        tally.misses.value += 1
        # zone, parent of the owner, type, class and TTL: with these begin alike signatures that are made in one second
        like = keys.origin + data[owner[0] + 1 : len(owner) + 8]
        if data[:2] == _WILDCARD:
            like += _WILDCARD
        sized = []
        for head, begun, sign in self._begun.get(like) or self._begin(like, keys, owner, rtype, ttl):
            sized.append(head + sign(begun + data))
        made = now + GIVEN, sized
        if sized and self._capacity:
            if kept is None and len(self._kept) >= self._capacity:
                self._make_room()
            self._kept[digest] = made
        return made

    def _turn(self, now: int) -> None:
        """Another second has begun."""
        self._now = now
        self._begun.clear()
        self.ahead = monotonic() - self._clock()

    def _begin(self, like: bytes, keys: ZoneKeys, owner: bytes, rtype: int, ttl: bytes) -> Begun:
        """What the signatures begin with that are made this second over like sets: to keep it saves 1 µs for each."""
        if len(self._begun) >= _MOST_BEGUN:
            self._begun.clear()
        common = rtype, label_count(owner), int.from_bytes(ttl, "big"), self._now - BACKDATED, self._now + VALIDITY
        made = []
        for key in keys.signing(rtype):
            begun = beginning(key, *common)
            length = len(begun) + key.signer.size
            made.append((length.to_bytes(2, "big") + begun, begun, key.signer.sign))
        self._begun[like] = made
        return made

    def _make_room(self) -> None:
        """The oldest go, but what was used since gets a second chance: a flood of names pushes out itself.

        Some dozens at once, as to look for the first one in a dictionary takes long where others stood before it.
        """
        for digest in list(islice(self._kept, self._share)):
            kept = self._kept.pop(digest)
            if digest in self._used:
                self._used.remove(digest)
                self._kept[digest] = kept
        if len(self._kept) >= self._capacity:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._used.discard(oldest)

    def forget(self) -> None:
        """Drops all: the keys have changed."""
        self._kept.clear()
        self._used.clear()
        self._begun.clear()

    def take_over(self, old: Self) -> None:
        """Keeps what another one kept, as far as there is room."""
        self._kept.update(islice(old._kept.items(), self._capacity))
