"""Answers that are kept, and where."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import inf
from typing import TypeAlias

from pycoredns.direct import Found, response_of
from pycoredns.errors import ServerFailure
from pycoredns.memory import turnover
from pycoredns.query import AD, CD, RD
from pycoredns.relayed import Relayed
from pycoredns.response import Response
from pycoredns.wire import names

OVERHEAD = 2200
"""Octets of memory that an answer takes besides its own: as it came, and as it was last given, as measured."""
PLACE = 135
"""Octets that the place of a relayed record takes, once it was looked for, as measured."""
PLAIN = 1000
"""Octets that the objects around the plain forms of a relayed answer take, as measured."""
AT_ONCE = 8
"""Answers that go together where memory is short."""
SUCCESS, DENIAL = "success", "denial"
"""The two sorts of answers, as options and metrics name them."""
OWN_FLAGS = ~(RD | CD)
"""The bits of a header that stay with an answer; RD and CD are repeated from each question (RFC 1035 §4.1.1, RFC 4035 §3.2.2)."""


class Popularity:
    """How often an answer was asked for without a gap, and whether it is being fetched again."""

    __slots__ = ("fetching", "hits", "last", "retry")

    def __init__(self, last: float = 0.0, hits: int = 0) -> None:
        """``last`` is when it was last asked for, in seconds of ``time.monotonic``."""
        self.last = last
        self.hits = hits
        self.fetching = False
        self.retry = 0.0
        """Not to be fetched before, since it failed."""

    def asked(self, now: float, gap: float, times: int = 1) -> None:
        """Counts questions; after a gap of more seconds the count begins anew."""
        self.hits = times if now - self.last > gap else self.hits + times
        self.last = max(self.last, now)

    def begin(self, now: float, recheck: float) -> bool:
        """May it be fetched now? Then it counts as being fetched until ``end``."""
        if self.fetching or (recheck and now < self.retry):
            return False
        self.fetching = True
        return True

    def end(self, now: float, recheck: float, fetched: bool) -> None:
        """It was fetched, or could not be; then it is left alone for ``recheck`` seconds."""
        self.fetching = False
        self.retry = 0.0 if fetched else now + recheck


class Kept:
    """An answer, until when it holds, and in the form it was last given."""

    given: Response
    age: int = -1
    """The age in whole seconds that ``given`` is made for; -1: none yet."""
    turn: float = 0.0
    """Until when ``given`` may be given at once, with nothing else to be looked at."""
    popularity: Popularity | None = None
    last_good: Kept | None = None
    """The one before it that answered, where it does not."""

    def __init__(self, response: Response, ttl: int, until: float, sort: str) -> None:
        """``ttl`` is what it was kept with, ``until`` in seconds of ``time.monotonic``, ``sort`` success or denial."""
        self.response = response
        self.ttl = ttl
        self.until = until
        self.sort = sort

    def copy(self) -> Kept:
        """The same for another cache."""
        other = Kept(self.response, self.ttl, self.until, self.sort)
        other.last_good = self.last_good and self.last_good.copy()
        if self.popularity is not None:
            other.popularity = Popularity(self.popularity.last, self.popularity.hits)
        return other

    @property
    def authentic(self) -> bool:
        """Has it AD set, which not all may see?"""
        return bool(self.response.flags & AD)

    def leave(self) -> None:
        """Lets go of the form it was last given in, which holds this: both would stay until the collector comes."""
        self.__dict__.pop("given", None)
        self.age, self.turn = -1, 0.0

    def watched(self) -> Popularity:
        """Its popularity, from now on."""
        if self.popularity is None:
            self.popularity = Popularity()
        return self.popularity

    def good(self) -> Kept | None:
        """Itself if it holds a record that was asked for, else the one before it that did."""
        return self if self.sort == SUCCESS and self.response.answers else self.last_good


Noted: TypeAlias = tuple[Found | tuple[bytes, bytes] | Response, int, float, str]
"""What a Kept is made with: the answer, perhaps as it was found directly or came from elsewhere, and the rest. Most are never
asked for again."""


def opened(noted: Noted) -> Kept:
    """The same as an object."""
    answer, ttl, until, sort = noted
    if isinstance(answer, tuple):
        if len(answer) == 2:
            wire, asked = answer
            answer = Relayed.read(wire, asked)
            answer = answer if answer.opt is None else answer.alike(opt=None)
        else:
            answer = response_of(answer)
            answer.until = inf
    return Kept(answer, ttl, until, sort)


class Store(dict[bytes, Kept | Noted]):
    """Answers of a sort by what was asked, the oldest first; filled by ``put`` only."""

    def __init__(self, capacity: int) -> None:
        """``capacity`` is a number of answers."""
        super().__init__()
        self.capacity = capacity
        self._share = max(1, capacity // 128)

    def put(self, key: bytes, kept: Kept | Noted) -> int:
        """Keeps an answer; says how many others had to go."""
        before = len(self)
        self[key] = kept
        if len(self) == before:  # of an older one this takes the place, which is not the newest's
            del self[key]
            self[key] = kept
            turnover.add()
        elif before >= self.capacity:
            return self.make_room()
        return 0

    def find(self, key: bytes) -> Kept | None:
        """The answer for a key; one that was only noted becomes an object."""
        kept = self.get(key)
        if isinstance(kept, tuple):
            kept = self[key] = opened(kept)
        return kept

    def drop(self, key: bytes) -> None:
        """Gives an answer up, if it is there."""
        if key in self:
            del self[key]

    def make_room(self, share: int = 0) -> int:
        """Gives up some of the oldest: to look for the first one in a dictionary takes long where others stood before it."""
        oldest = list(islice(self, share or self._share))
        for key in oldest:
            del self[key]
        turnover.add(len(oldest))
        return len(oldest)

    def take_over(self, old: Store, zones: Iterable[bytes]) -> None:
        """Copies what an older store holds for these zones; no answer is looked into, as questions wait meanwhile."""
        zones = tuple(zones)
        everything = names.ROOT in zones
        for key, kept in old.items():
            if everything or any(names.within(names.read(key, 0)[0], zone) for zone in zones):
                self.put(key, kept.copy() if isinstance(kept, Kept) else kept)


Bounds: TypeAlias = tuple[int, int, str, Store, int]
"""How answers of one meaning are kept: the shortest and the longest TTL in seconds, their sort, its store, and how many may be
there. A plain tuple, as it is taken apart for each answer."""


class Budget:
    """The octets that the stores of a cache may take together."""

    def __init__(self, most: int) -> None:
        """``most`` is in octets."""
        self.most = most
        self.used = 0
        self.stores: list[WeighedStore] = []

    def keep_to(self) -> int:
        """Gives up the oldest of the larger store until it is enough; says how many had to go."""
        given_up = 0
        while self.used > self.most:
            given_up += max(self.stores, key=lambda store: store.octets).make_room(AT_ONCE)
        return given_up


class WeighedStore(Store):
    """A store that keeps to a budget, too."""

    def __init__(self, capacity: int, budget: Budget) -> None:
        """The budget is shared with others."""
        super().__init__(capacity)
        self.octets = 0
        self._budget = budget
        budget.stores.append(self)

    def put(self, key: bytes, kept: Kept | Noted) -> int:
        """Keeps an answer; says how many others had to go."""
        return super().put(key, kept) + self._budget.keep_to()

    def __setitem__(self, key: bytes, kept: Kept | Noted) -> None:
        """Weighs it, and no longer the one before it."""
        before = self.find(key)
        kept = opened(kept) if isinstance(kept, tuple) else kept
        self._weigh(weight(key, kept))
        if before is not None:
            self._weigh(-weight(key, before))
            before.leave()
        super().__setitem__(key, kept)

    def __delitem__(self, key: bytes) -> None:
        """Weighs it no longer."""
        if (kept := self.find(key)) is not None:
            self._weigh(-weight(key, kept))
            kept.leave()
        super().__delitem__(key)

    def _weigh(self, octets: int) -> None:
        self.octets += octets
        self._budget.used += octets


def weight(key: bytes, kept: Kept) -> int:
    """The octets that an answer takes, nearly, once it has been given; the same at any time."""
    response, before = kept.response, kept.last_good
    octets = OVERHEAD + len(key) + (weight(b"", before) if before else 0)
    if not isinstance(response, Relayed):
        return octets + 2 * _octets(response)
    octets += 2 * len(response.wire) + PLACE * (response.answers + response.authorities + response.additionals)
    return octets if response.simple else octets + _weight_of_plain(response)


def _weight_of_plain(response: Relayed) -> int:
    """What the uncompressed forms take, which are made when somebody looks at the answer."""
    try:
        return PLAIN + 2 * _octets(response.plain())
    except ServerFailure:  # there will be none
        return 0


def _octets(response: Response) -> int:
    return len(response.answer) + len(response.authority) + len(response.additional)
