"""Long work is done in threads."""

import asyncio
import sys
import threading

import pytest

from pycoredns import background


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
