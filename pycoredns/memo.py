"""Remembered replies: the octets of a query behind its ID to those of its reply.

Time goes in ticks of a quarter of a second, and leaps when some data have changed. An entry says up to which tick it may be given
without a look: that in which it ends or its TTLs change, a second at most. It goes when its time is over, or its block's data are
no longer those it was made from. Memory is level in a flood of random names: a query is remembered when it is asked for the
second time, where another one has to make room for it not before the fourth time, and the oldest entry that was not used
since goes first (FIFO with a second chance).
Queries that are spelled in many ways share an entry (see ``spelling``).
"""

from __future__ import annotations

import asyncio
from collections import Counter as Census
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import cycle
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING

from pycoredns.memory import turnover, zeros
from pycoredns.metrics import Counter
from pycoredns.plugin import Outcome, tell
from pycoredns.spelling import NAME, is_usual, respelled, usual, usual_reply
from pycoredns.traffic import FIRST_BUCKET, bucket_of
from pycoredns.wire import types
from pycoredns.wire.walk import walk

if TYPE_CHECKING:
    from pycoredns.chain import Block
    from pycoredns.response import Response

CAPACITY = 32768
"""Entries; each takes 1.7 kB with what it is made of, and with LONGEST 3 kB at most."""
LONGEST = 512
"""A longer query or reply is not remembered: what is asked often is short."""
TICKS_PER_SECOND = 4
_LONGEST_HOLD = 1.0
_LEAP = int(_LONGEST_HOLD * TICKS_PER_SECOND) + 1
"""Ticks: past all entries."""
_DOOR_SIZE = 1 << 20
"""Octets. With an eighth of them, 16 % of what is asked once would be taken for asked before, at 22,000 instructions."""
_DOOR_WIPE = 40_000
_OFTEN = 3
"""Times that a query must have been asked before to take the place of another one. To remember a reply takes six times as long as
to look it up, so where more names are asked than can be remembered, to keep each for a while costs more than it saves."""
_TRIES = 8
_MOST_SLOW = 2048
_AT_ONCE = 256
"""Entries that are counted in one turn of the loop, in a millisecond."""
evicted = Counter("memo_evictions_total", "Remembered replies that had to make room.", prefix="coredns_pycoredns_")
_TTL = Struct("!I")
_COUNTS = Struct("!HHH")


class Entry:
    """A reply without its ID, and how often it was given since that was last counted."""

    any_case = False
    """May it be given whatever the case of the question's letters is?"""
    shared = False
    """Is it for all spellings of its query?"""
    with_cookie = False
    """Does the reply end with the query's cookie?"""
    passed = 0
    """``hits`` when it was last passed over because it had been used."""

    def __init__(self, reply: bytes, outcome: Outcome, block: Block, tick: int, age: int) -> None:
        """``age`` is in seconds since the response's ``born``."""
        self.reply = reply
        self.outcome = outcome
        self.block = block
        self.version = block.version
        self.tick = tick
        """The last one in which it need not be looked at."""
        self.age = age
        self.hits = 0
        self.slow: dict[int, int] = {}
        """Of the hits, those in slow batches, by the bucket of their duration."""
        self.ttls: list[tuple[int, int]] | None = None

    def fresh(self, now: float) -> bool:
        """Does it still hold?"""
        response = self.outcome.response
        return now < response.until and (response.outlasts_changes or self.version == self.block.version)

    def count_down(self, now: float) -> None:
        """Lowers the TTLs by the seconds that have passed since they were true."""
        response = self.outcome.response
        age = int(now - response.born)
        if age == self.age:
            return
        if self.ttls is None:
            self.ttls = self._find_ttls()
        changed = bytearray(self.reply)
        for place, ttl in self.ttls:
            changed[place : place + 4] = _TTL.pack(max(ttl - age, 0))
        self.reply = bytes(changed)
        self.age = age

    def _find_ttls(self) -> list[tuple[int, int]]:
        """Places of the TTLs in the reply, and what each was when the response was born."""
        question_end = 10 + len(self.outcome.request.asked) + 4
        # a message's compression pointers count from its ID, which is missing here; walking does not follow them
        found = walk(self.reply, question_end, sum(_COUNTS.unpack_from(self.reply, 4)))
        return [(each.fixed + 4, each.ttl + self.age) for each in found if each.rtype != types.OPT]


class Turns(Entry):
    """Replies that differ by the order of their records only: they are given in turn."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Takes at least one entry for the same query."""
        first = entries[0]
        super().__init__(first.reply, first.outcome, first.block, first.tick, first.age)
        self._entries = entries
        self._turns = cycle(entries)

    @property
    def reply(self) -> bytes:
        """The next one; a property, so that the hot path asks nothing more of the usual entries."""
        return next(self._turns).reply

    @reply.setter
    def reply(self, reply: bytes) -> None:
        """Each of the entries has its own."""

    def count_down(self, now: float) -> None:
        """Lowers the TTLs of them all."""
        age = int(now - self.outcome.response.born)
        if age != self.age:
            for entry in self._entries:
                entry.count_down(now)
            self.age = age


class Memo:
    """The replies remembered for one listener. ``entries`` and ``tick`` are read by its transport for each datagram."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """``capacity`` is a number of entries; 0 remembers nothing."""
        self.entries: dict[bytes, Entry] = {}
        self.tick = 0
        self._spent = 0
        """Nanoseconds that passed for ``_given`` hits."""
        self._given = 0
        self._slow: dict[int, list[Entry]] = defaultdict(list)
        """Hits in slow batches that their entries have not been told of yet, by the bucket of their duration."""
        self._capacity = capacity
        self._quarter = 0
        self._order: deque[bytes] = deque()
        self._door = zeros(_DOOR_SIZE)
        self._knocks = 0

    def advance(self) -> int:
        """The present tick; to be called before a batch of look-ups."""
        quarter = int(monotonic() * TICKS_PER_SECOND)
        if quarter != self._quarter:
            self.tick += quarter - self._quarter
            self._quarter = quarter
        return self.tick

    def leap(self) -> None:
        """Has every entry looked at before it is given again."""
        self.tick += _LEAP

    def find(self, key: bytes) -> tuple[Entry | None, bytes | None]:
        """The entry of a query, and the reply to it, if one is remembered that holds in the present tick."""
        entry = self.entries.get(key)
        if entry is not None and (entry.tick >= self.tick or self.renew(entry)):
            return entry, entry.reply
        return (None, None) if is_usual(key) else self.alike(key)

    def renew(self, entry: Entry) -> bool:
        """Brings an entry of an earlier tick up to date; False if it holds no longer."""
        now = monotonic()
        if not entry.fresh(now):
            self.count(entry)
            return False
        response = entry.outcome.response
        until = min(response.until, now + _LONGEST_HOLD)
        if response.counts_down:
            entry.count_down(now)
            until = min(until, response.born + entry.age + 1)
        entry.tick = self.tick + max(int(until * TICKS_PER_SECOND) - 1 - self._quarter, 0)
        return True

    def asked_before(self, key: bytes) -> bool:
        """Was this asked often enough, since the doorkeeper was last wiped, to be remembered? It was once more from now on."""
        place = hash(key) & _DOOR_SIZE - 1
        times = self._door[place]
        if times and (times >= _OFTEN or len(self.entries) < self._capacity or key in self.entries):
            return True
        self._door[place] = times + 1
        if not times:
            self._knocks += 1
            if self._knocks > _DOOR_WIPE:
                self._door = zeros(_DOOR_SIZE)
                self._knocks = 0
        return False

    def alike(self, key: bytes) -> tuple[Entry | None, bytes | None]:
        """The entry of a query in its usual spelling, and the reply to this one, if there is one that holds."""
        entry = self.entries.get(usual(key))
        if entry is None or not entry.shared or not (entry.tick >= self.tick or self.renew(entry)):
            return None, None
        name = entry.outcome.request.name
        if entry.any_case or key.startswith(name, NAME):
            return entry, respelled(entry.reply, key, NAME + len(name), entry.with_cookie)
        return None, None

    def remember(self, key: bytes, reply: bytes, outcome: Outcome, block: Block) -> None:
        """Keeps a reply for a query; ``asked_before`` says whether it is worth it."""
        if self._capacity:
            request = outcome.request
            self._keep(key, self._entry(reply, outcome, block, lambda order: order.reply(request)))

    def remember_usual(self, key: bytes, outcome: Outcome, block: Block) -> None:
        """Keeps an answer for all spellings of a query; ``key`` is the usual one."""
        request, response = outcome.request, outcome.response
        reply = usual_reply(request, response)
        if self._capacity and len(reply) <= LONGEST:
            entry = self._entry(reply, outcome, block, lambda order: usual_reply(request, order))
            entry.shared, entry.any_case = True, response.any_case
            entry.with_cookie = request.terms.cookie
            self._keep(key, entry)

    def _keep(self, key: bytes, entry: Entry) -> None:
        old = self.entries.get(key)
        if old is not None:
            self.count(old)
        elif len(self.entries) >= self._capacity:
            self._make_room()
        turnover.add()
        self.entries[key] = entry
        if old is None:
            self._order.append(key)

    def _entry(self, reply: bytes, outcome: Outcome, block: Block, write: Callable[[Response], bytes]) -> Entry:
        """One entry, whether its reply is always the same or not; ``write`` makes another one."""
        response = outcome.response
        age = int(monotonic() - response.born) if response.counts_down else 0
        if response.orders is None:
            return Entry(reply, outcome, block, self.tick, age)
        return Turns([Entry(write(order), outcome, block, self.tick, age) for order in response.orders()])

    def _make_room(self) -> None:
        evicted.cell().value += 1
        for _ in range(_TRIES):
            key = self._order.popleft()
            entry = self.entries[key]
            if entry.hits == entry.passed:
                break
            entry.passed = entry.hits  # not counted now: with eight of them a burst of new names would wait for 50 µs each
            self._order.append(key)
        else:
            key = self._order.popleft()
        self.count(self.entries.pop(key))

    def count(self, entry: Entry) -> None:
        """Tells those who count how often an entry was given since it was last told."""
        hits = entry.hits
        if hits:
            if self._slow:
                self._divide_slow()
            outcome = entry.outcome
            outcome.times, outcome.slow = hits, entry.slow
            outcome.duration = self._spent // self._given if self._given else 0
            entry.hits, entry.slow = 0, {}
            entry.passed -= hits  # what it was given since it was passed over stays the same
            tell(entry.block.counters, outcome)
            if outcome.response.repeated is not None:
                tell((outcome.response.repeated,), outcome)

    def took(self, hits: list[Entry], duration: int) -> None:
        """Learns that a batch with these hits took so many nanoseconds."""
        self._spent += duration * len(hits)
        self._given += len(hits)
        if duration > FIRST_BUCKET:
            slow = self._slow[bucket_of(duration)]
            slow += hits
            if len(slow) > _MOST_SLOW:
                self._divide_slow()

    def _divide_slow(self) -> None:
        """Tells entries how many of their hits were in slow batches: many hits at once, as that takes a fifth of the time."""
        slow, self._slow = self._slow, defaultdict(list)
        for bucket, hits in slow.items():
            for entry, times in Census(hits).items():
                entry.slow[bucket] = entry.slow.get(bucket, 0) + times

    def count_all(self) -> None:
        """Counts all that was given."""
        for entry in list(self.entries.values()):
            self.count(entry)

    async def count_in_turns(self) -> None:
        """The same, a few at a time, so that questions need not wait: to count as many as it holds takes 200 ms."""
        entries = list(self.entries.values())
        for start in range(0, len(entries), _AT_ONCE):
            for entry in entries[start : start + _AT_ONCE]:
                if entry.hits:
                    self.count(entry)
            await asyncio.sleep(0)

    async def forget_in_turns(self) -> None:
        """Counts and drops all entries, likewise; for one that gets no new ones."""
        await self.count_in_turns()
        while self.entries:
            for _ in range(min(_AT_ONCE, len(self.entries))):
                self.count(self.entries.popitem()[1])
            await asyncio.sleep(0)
        self._order.clear()

    def forget(self) -> None:
        """Counts and drops all entries."""
        self.count_all()
        self.entries.clear()
        self._order.clear()
