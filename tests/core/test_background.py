"""What is done beside the answers."""

import asyncio
import sys
import threading

import pytest

from pycoredns import background
from pycoredns.testing import eventually


async def test_what_goes_on_beside_something_ends_with_it() -> None:
    begun, seen = asyncio.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("ended")

    with pytest.raises(KeyError):
        async with background.beside(work()):
            await begun.wait()
            raise KeyError
    assert seen == ["cancelled", "ended"]


async def test_what_ends_by_itself_is_told_at_once_if_it_failed_and_stops_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def work(error: Exception | None) -> None:
        if error:
            raise error

    async with background.beside(work(None)), background.beside(work(ValueError("broken"))):
        await eventually(lambda: "a background task has ended: ValueError('broken')" in caplog.messages)
    assert len(caplog.messages) == 1


async def test_who_is_told_to_stop_stops_also_while_that_is_ending() -> None:
    ending = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await asyncio.sleep(0)

    async def owner() -> None:
        async with background.beside(work()):
            await asyncio.sleep(0)

    task = asyncio.create_task(owner())
    await ending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_long_work_takes_short_turns() -> None:
    usual = sys.getswitchinterval()
    seen = await background.in_background(sys.getswitchinterval)
    assert seen == pytest.approx(background.POLITE)
    assert sys.getswitchinterval() == usual


async def test_turns_are_as_usual_once_the_last_has_done_its_work() -> None:
    usual, ends = sys.getswitchinterval(), [threading.Event(), threading.Event()]
    for number, work in enumerate([asyncio.create_task(background.in_background(end.wait)) for end in ends]):
        await asyncio.sleep(0)
        assert sys.getswitchinterval() == pytest.approx(background.POLITE)
        ends[number].set()
        await work
    assert sys.getswitchinterval() == usual


async def test_no_more_threads_are_at_work_than_are_good() -> None:
    end, seen = threading.Event(), []

    def work() -> None:
        seen.append(threading.current_thread())
        end.wait()

    usual, tasks = sys.getswitchinterval(), [asyncio.create_task(background.in_background(work)) for _ in range(40)]
    await eventually(lambda: len(seen) == background.MOST_THREADS)
    (given_up := tasks.pop()).cancel()  # before its turn
    await asyncio.wait([given_up])
    end.set()
    await asyncio.gather(*tasks)
    assert len(seen) == len(tasks)
    assert len(set(seen)) == background.MOST_THREADS
    assert sys.getswitchinterval() == usual


async def test_what_fails_in_a_thread_fails_where_it_is_awaited() -> None:
    def work() -> None:
        raise OSError(2, "no such file")

    with pytest.raises(OSError, match="no such file"):
        await background.in_background(work)


async def test_where_the_system_gives_no_thread_that_is_told_and_the_next_time_is_as_good_as_any(monkeypatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    usual = sys.getswitchinterval()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(background.MOST_THREADS + 1):
            with pytest.raises(OSError, match="can't start new thread"):
                await background.in_background(str)
    assert sys.getswitchinterval() == usual
    async with asyncio.timeout(5):
        assert await background.in_background(lambda: "done") == "done"


async def test_where_the_system_gives_no_other_thread_the_one_at_work_does_it_all(monkeypatch) -> None:
    end = threading.Event()
    first = asyncio.create_task(background.in_background(end.wait))
    await asyncio.sleep(0)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    others = [asyncio.create_task(background.in_background(lambda: "done")) for _ in range(3)]
    await asyncio.sleep(0)
    end.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(first, *others) == [True, "done", "done", "done"]
