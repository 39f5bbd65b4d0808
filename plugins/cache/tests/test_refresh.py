"""Asking again: before the time of an answer is over, and after."""

import asyncio

import pytest

from pycoredns.answer import Pending
from pycoredns.errors import ServerFailure
from pycoredns.plugin import Outcome
from pycoredns.plugins.cache.options import Limits, Prefetch, ServeStale, Share
from pycoredns.query import AA, CD, QR, RD
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import record

DOWN = ServerFailure("unreachable")
SOA = record(names.from_text("test"), types.SOA, 10, bytes(22))


def answer(last=1, ttl=10):
    return Response(0, record(names.from_text("a.test"), types.A, ttl, bytes((192, 0, 2, last))), 1, flags=0)


NO_NAME, NO_DATA = Response(3, b"", 0, SOA, 1, flags=0), Response(0, b"", 0, SOA, 1, flags=0)


def shown(response):
    """The last octet of the address, and the TTL."""
    (octets, found), *_ = response.walk()
    return octets[-1], found[0].ttl


# --- prefetch


def prefetch(amount=2, duration=60, percentage=50):
    return Prefetch(amount, duration, Share(percentage))


@pytest.mark.parametrize(
    ("option", "gaps", "asked"),
    [
        pytest.param(prefetch(), [1, 5], 2, id="popular, in the last part"),
        pytest.param(prefetch(), [1, 3], 1, id="too early"),
        pytest.param(prefetch(3), [1, 5], 1, id="not popular"),
        pytest.param(prefetch(2, 3), [1, 5], 1, id="a gap"),
        pytest.param(prefetch(0), [1, 1, 1, 5], 1, id="never"),
        pytest.param(prefetch(1, 60, 10), [9], 2, id="the last second"),
    ],
)
def test_popular_answers_are_fetched_before_their_end(setting, option, gaps, asked):
    setting.begin(answer(1), answer(2), prefetch=option)
    for gap in gaps:
        assert shown(setting.later(gap).ask())[0] == 1
    assert setting.asked == asked
    assert setting.tally.prefetches == asked - 1
    assert shown(setting.ask())[0] == asked


def test_a_fetched_answer_stays_popular(setting):
    setting.begin(answer(), prefetch=prefetch(3))
    for _ in range(3):
        setting.ask()
    setting.later(6).ask()
    assert setting.asked == 2
    setting.later(6).ask()
    assert setting.asked == 3


def test_one_fetch_at_a_time_over_tcp_and_with_ad(setting):
    setting.begin(answer(1), pending := Pending(), prefetch=prefetch(1))
    setting.later(6)
    assert [shown(setting.ask()) for _ in range(3)] == [(1, 4)] * 3
    asked = setting.behind.seen[1]
    assert (setting.asked, asked.listener.protocol, asked.authentic) == (2, "tcp", True)
    pending.resolve(answer(2))
    assert shown(setting.ask()) == (2, 10)


def test_a_fetched_answer_ends_a_denial(setting):
    setting.begin(NO_NAME, answer(), prefetch=prefetch(1))
    assert setting.later(6).ask().rcode == 3
    assert setting.ask().rcode == 0


def test_questions_that_the_memo_answers_make_popular(setting):
    setting.begin(answer(), prefetch=prefetch(10))
    given = setting.ask()
    assert (given.memorable, given.until) == (True, 1001.0)
    outcome = Outcome(setting.request, given, None)
    outcome.times = 9
    given.repeated(outcome)
    given = setting.later(6).ask()
    assert (given.memorable, setting.asked) == (False, 2)


# --- past its time


def test_without_serve_stale_nothing_is_given_past_its_time(setting):
    setting.begin(answer(), DOWN)
    setting.later(10.5)
    with pytest.raises(ServerFailure):
        setting.ask()


@pytest.mark.parametrize(
    ("stale", "keepttl", "ttl"),
    [
        (ServeStale(), False, 0),
        (ServeStale(ttl=30), False, 30),
        (ServeStale(), True, 10),
        (ServeStale(ttl=30), True, 30),
    ],
)
def test_what_is_past_its_time_has_a_ttl_of_its_own(setting, stale, keepttl, ttl):
    setting.begin(answer(), DOWN, serve_stale=stale, keepttl=keepttl)
    given = setting.later(11).ask()
    assert (*shown(given), given.flags, given.memorable) == (1, ttl, AA, False)
    assert (setting.tally.stale, setting.tally.prefetches, setting.tally.successes) == (1, 1, 1)


@pytest.mark.parametrize("asked", [RD, 0])
def test_what_is_past_its_time_repeats_the_header_of_who_asks(setting, asked):
    setting.begin(answer().alike(flags=RD | CD), DOWN, serve_stale=ServeStale())
    assert setting.later(11).ask(flags=asked).flags_to(setting.request) == QR | AA | asked


def test_immediate_gives_first_and_asks_then(setting):
    setting.begin(answer(1), answer(2), serve_stale=ServeStale())
    assert shown(setting.later(11).ask()) == (1, 0)
    assert shown(setting.ask()) == (2, 10)


def test_not_for_longer_than_the_duration(setting):
    setting.begin(answer(), DOWN, serve_stale=ServeStale(up_to=20))
    setting.later(29.9).ask()
    with pytest.raises(ServerFailure):
        setting.later(0.2).ask()


@pytest.mark.parametrize("useless", [DOWN, Response(2), Response(5), answer(9).alike(flags=0x0200)])
@pytest.mark.parametrize("verify", [True, False])
def test_what_is_no_answer_replaces_none(setting, useless, verify):
    setting.begin(answer(), useless, serve_stale=ServeStale(verify=verify))
    setting.later(11)
    assert [shown(setting.ask()) for _ in range(2)] == [(1, 0)] * 2
    assert setting.asked == 3


def test_verify_asks_first(setting):
    setting.begin(answer(1), answer(2), serve_stale=ServeStale(verify=True))
    given = setting.later(11).ask()
    assert (*shown(given), given.flags, setting.tally.stale) == (2, 10, 0, 0)
    assert shown(setting.ask()) == (2, 10)


def test_a_denial_replaces_what_is_past_its_time(setting):
    setting.begin(answer(), NO_NAME, serve_stale=ServeStale(verify=True))
    assert setting.later(11).ask().rcode == 3


@pytest.mark.parametrize("verify", [True, False])
def test_after_a_failure_it_is_left_alone_for_a_while(setting, verify):
    setting.begin(answer(), DOWN, serve_stale=ServeStale(verify=verify, recheck=5))
    setting.later(11)
    for _ in range(3):
        setting.ask()
    assert setting.asked == 2
    setting.later(5.1).ask()
    assert setting.asked == 3


async def test_verify_waits_no_longer_than_it_may(setting):
    setting.begin(answer(1), pending := Pending(), serve_stale=ServeStale(verify=True, timeout=0.01))
    setting.later(11)
    assert shown(await setting.ask()) == (1, 0)
    pending.resolve(answer(2))
    assert shown(setting.ask()) == (2, 10)


async def test_verify_in_time_gives_the_new_answer_as_from_the_cache(setting):
    setting.begin(answer(1), pending := Pending(), serve_stale=ServeStale(verify=True, timeout=5))
    given = asyncio.ensure_future(setting.later(11).ask())
    await asyncio.sleep(0)
    pending.resolve(answer(2))
    assert (*shown(await given), given.result().flags) == (2, 10, AA)


# --- a positive answer before a denial


POSITIVE = {"serve_stale": ServeStale(verify=True), "serve_stale_policy": (True,), "success": Limits(1024, 10)}


@pytest.mark.parametrize("newer", [NO_NAME, NO_DATA, Response(2), Response(0)])
def test_prefer_positive_hides_what_does_not_answer(setting, newer):
    setting.begin(answer(), newer, **POSITIVE)
    setting.later(11)
    assert [shown(setting.ask()) for _ in range(2)] == [(1, 0)] * 2


def test_without_prefer_positive_it_does_not(setting):
    setting.begin(answer(), NO_NAME, serve_stale=ServeStale(verify=True))
    setting.later(11).ask()
    assert setting.ask().rcode == 3


def test_prefer_positive_takes_a_newer_answer(setting):
    setting.begin(answer(1), NO_NAME, answer(2), **POSITIVE)
    setting.later(11).ask()
    assert shown(setting.ask()) == (2, 10)
    assert not setting.cache.stores["denial"]
