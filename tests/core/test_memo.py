"""What is remembered, for how long, and who is told of it."""

import asyncio
from itertools import pairwise

import pytest

from pycoredns import memo as memo_module
from pycoredns.memo import Memo
from pycoredns.plugin import Outcome, Plugin
from pycoredns.response import Response
from pycoredns.testing import request_for
from pycoredns.wire import message


class Counting(Plugin):
    name = "counting"
    step = False

    def __init__(self):
        self.times = 0

    def observe(self, outcome):
        self.times += outcome.times


@pytest.fixture
def clock(monkeypatch):
    """The memo's clock: a list of one number of seconds."""
    now = [1000.0]
    monkeypatch.setattr(memo_module, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def counting():
    return Counting()


def remembered(memo, counting, number=0, **attributes):
    """An entry of the memo for an answer with these attributes, and its request."""
    request = request_for(f"n{number}.test", plugins=[counting])
    response = Response(answer=message.record(request.asked, 1, 300, b"\1\2\3\4"), answers=1)
    for name, value in attributes.items():
        setattr(response, name, value)
    block = request.listener.service.zones[b"\0"][0]
    key = request.wire[2:]
    memo.remember(key, response.reply(request), Outcome(request, response, block), block)
    return key, block


def test_the_first_question_only_knocks():
    memo = Memo()
    assert [memo.asked_before(key) for key in (b"a", b"b", b"a")] == [False, False, True]


def test_a_full_memo_takes_what_is_asked_often(counting):
    memo = Memo(capacity=2)
    first, _ = remembered(memo, counting)
    assert [memo.asked_before(b"a") for _ in range(2)] == [False, True]
    remembered(memo, counting, 1)
    assert [memo.asked_before(b"b") for _ in range(5)] == [False, False, False, True, True]
    assert [memo.asked_before(first) for _ in range(2)] == [False, True]  # an entry whose time is over needs no room
    memo.forget()
    assert [memo.asked_before(b"c") for _ in range(2)] == [False, True]


def test_ticks_are_quarters_of_a_second(clock):
    memo = Memo()
    tick = memo.advance()
    clock[0] += 0.3
    assert [memo.advance(), memo.advance()] == [tick + 1] * 2
    clock[0] += 10
    assert memo.advance() == tick + 41


@pytest.mark.parametrize(
    ("attributes", "ticks"),
    [
        ({}, 3),  # nothing that changes with time: a second with this tick
        ({"until": 1000.6}, 1),
        ({"until": 1000.5}, 1),
        ({"until": 1000.1}, 0),
        ({"until": 1300.0, "counts_down": True, "born": 1000.0}, 3),
        ({"until": 1300.0, "counts_down": True, "born": 999.7}, 1),  # its TTLs change in 0.7 seconds
        ({"until": 1300.0, "counts_down": True, "born": 999.2}, 0),
        ({"until": 1000.3, "counts_down": True, "born": 999.7}, 0),
    ],
)
def test_how_long_an_entry_holds_without_a_look(attributes, ticks, clock, counting):
    memo = Memo()
    key, _ = remembered(memo, counting, **attributes)
    tick = memo.advance()
    assert memo.renew(memo.entries[key])
    assert memo.entries[key].tick == tick + ticks
    memo.leap()
    assert memo.entries[key].tick < memo.tick


def test_ttls_count_down(clock, counting):
    memo = Memo()
    key, _ = remembered(memo, counting, counts_down=True, born=1000.0, until=1300.0)
    clock[0] += 100.5
    entry = memo.entries[key]
    assert memo.renew(entry)
    assert entry.reply.endswith(b"\x00\x00\x00\xc8\x00\x04\x01\x02\x03\x04")
    clock[0] += 100
    assert memo.renew(entry)
    assert entry.reply.endswith(b"\x00\x00\x00\x64\x00\x04\x01\x02\x03\x04")
    clock[0] += 100
    assert not memo.renew(entry)


def test_ttls_stay_without_counts_down(clock, counting):
    memo = Memo()
    key, _ = remembered(memo, counting)
    clock[0] += 5000
    assert memo.renew(memo.entries[key])
    assert memo.entries[key].reply.endswith(b"\x00\x00\x01\x2c\x00\x04\x01\x02\x03\x04")


@pytest.mark.parametrize(("outlasts", "holds"), [(False, False), (True, True)])
def test_changed_data(clock, counting, outlasts, holds):
    memo = Memo()
    key, block = remembered(memo, counting, outlasts_changes=outlasts)
    block.changed()
    assert memo.renew(memo.entries[key]) is holds


def test_memory_is_bounded_and_what_is_used_stays(clock, counting):
    memo, before = Memo(capacity=10), memo_module.evicted.cell().value
    hot, _ = remembered(memo, counting)
    for number in range(1, 50):
        memo.entries[hot].hits += 1
        remembered(memo, counting, number)
    assert len(memo.entries) == 10
    assert memo_module.evicted.cell().value == before + 40
    assert hot in memo.entries
    memo.count_all()
    assert counting.times == 49


@pytest.mark.parametrize("counted", [False, True])
def test_a_new_entry_does_not_wait_for_others_to_be_counted(clock, counting, counted):
    memo = Memo(capacity=10)
    keys = [remembered(memo, counting, number)[0] for number in range(10)]
    for key in keys[:7]:
        memo.entries[key].hits += 3
    if counted:
        memo.count_all()
    before = counting.times
    remembered(memo, counting, 10)
    assert counting.times == before
    assert keys[7] not in memo.entries  # the oldest that was not used; the others were passed over
    for key in keys[1:7]:
        memo.entries[key].hits += 1
    for number in range(11, 14):
        remembered(memo, counting, number)
    assert [key in memo.entries for key in keys] == [False, *[True] * 6, False, False, False]
    memo.count_all()
    assert counting.times == 7 * 3 + 6


def test_hits_are_counted_once(clock, counting):
    memo = Memo()
    told = []
    key, _ = remembered(memo, counting, repeated=lambda outcome: told.append(outcome.times))
    memo.entries[key].hits = 7
    memo.count_all()
    memo.count_all()
    memo.entries[key].hits = 1
    memo.forget()
    assert counting.times == 8
    assert told == [7, 1]


def test_slow_batches_are_counted_by_their_buckets(clock, counting):
    memo, seen = Memo(), []
    key, block = remembered(memo, counting)
    block.counters.append(lambda outcome: seen.append((outcome.times, outcome.duration, outcome.slow)))
    entry = memo.entries[key]
    entry.hits = 3
    memo.took([entry, entry], 1_000_000)
    memo.took([entry], 100_000)
    memo.count(entry)
    assert seen == [(3, 700_000, {2: 2})]


async def test_many_are_counted_a_few_at_a_time(clock, counting):
    memo = Memo()
    for number in range(600):
        key, _ = remembered(memo, counting, number)
        memo.entries[key].hits = 2
    turns, seen = 0, []

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            seen.append(counting.times)
            await asyncio.sleep(0)

    others = asyncio.ensure_future(turn())
    await memo.count_in_turns()
    assert counting.times == 1200
    memo.entries[key].hits = 1
    await memo.forget_in_turns()
    others.cancel()
    assert (counting.times, len(memo.entries)) == (1201, 0)
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 2 * 256
    assert turns >= 5
