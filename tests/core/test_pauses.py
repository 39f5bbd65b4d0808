"""What stops the event loop shows in the metrics, at little cost."""

import asyncio
import gc
import time

import pytest

from pycoredns import pauses
from pycoredns.pauses import PauseWatch


@pytest.fixture
def watch(monkeypatch):
    """A watch of the test's own, with metrics that begin at zero."""
    for metric in (pauses.loop_pauses, pauses.collections):
        monkeypatch.setattr(metric, "cells", {})
    return PauseWatch()


def longer_than(seconds):
    """How many pauses of the loop were longer."""
    cell = pauses.loop_pauses.cell()
    return sum(cell.counts[cell.bounds.index(seconds) + 1 :])


def looks():
    """How often the watch has looked."""
    return sum(pauses.loop_pauses.cell().counts)


async def work():
    """A turn of a loop at work."""
    time.sleep(0.01)  # noqa: ASYNC251  the work
    await asyncio.sleep(0)


async def test_a_pause_is_seen(watch):
    with watch.watching():
        time.sleep(0.1)  # noqa: ASYNC251  the pause
        await asyncio.sleep(0.01)
    assert longer_than(0.05) >= 1  # others may stop it, too


async def test_short_pauses_of_a_loop_at_work_are_seen(watch):
    with watch.watching():
        async with asyncio.timeout(10):
            while not longer_than(0.002):  # when it is first late enough is chance
                await work()
        for _ in range(40):
            await work()
    assert longer_than(0.002) >= 15  # one in two turns, however long they take; 10 where it looks seldom


async def test_an_idle_loop_is_left_alone(watch, monkeypatch):
    monkeypatch.setattr(pauses, "LATE", 1.0)  # it may well be late where others work
    with watch.watching():
        await asyncio.sleep(0.2)
    assert 1 <= looks() <= 0.2 / pauses.SELDOM


async def test_those_who_watch_share_a_timer_and_the_last_one_ends_it(watch, monkeypatch):
    monkeypatch.setattr(pauses, "LATE", 1.0)
    with watch.watching():
        with watch.watching():
            pass
        await asyncio.sleep(0.1)
        assert 1 <= looks() <= 0.1 / pauses.SELDOM
    seen, callbacks = looks(), list(gc.callbacks)
    await asyncio.sleep(3 * pauses.SELDOM)
    assert looks() == seen
    assert not [each for each in callbacks if getattr(each, "__self__", None) is watch]


async def test_the_garbage_collector_is_clocked(watch):
    with watch.watching():
        gc.collect(1)
    assert sum(pauses.collections.cell("1").counts) == 1
    assert pauses.collections.cell("1").sum > 0
