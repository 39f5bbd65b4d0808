"""The collector comes for what is new, also where it takes the place of something old."""

import gc

import pytest

from pycoredns import memory
from pycoredns.memo import Memo
from pycoredns.plugin import Outcome
from pycoredns.plugins.cache.kept import Kept, Store
from pycoredns.response import Response
from pycoredns.testing import request_for

MOST_NEW = 3000
"""Objects, which take the collector some 2 ms."""


def fill_memo():
    request, memo = request_for("example.org"), Memo(1000)
    block = request.listener.service.zones[b"\0"][0]

    def keep(number):
        response = Response()
        memo.remember(b"%d" % number, response.reply(request), Outcome(request, response, block), block)

    return keep


def fill_store(names):
    store = Store(1000)
    return lambda number: store.put(b"%d" % (number % names), Kept(Response(), 300, 300.0, "success"))


@pytest.mark.parametrize(
    "keeping",
    [fill_memo, lambda: fill_store(100_000), lambda: fill_store(500)],
    ids=["memo", "a full store", "other answers to the same questions"],
)
def test_what_takes_the_place_of_others_is_looked_at_in_small_parts(keeping):
    keep, looked_at = keeping(), []
    for number in range(1500):
        keep(number)

    def look(phase, about):
        if phase == "start":
            looked_at.append(sum(len(gc.get_objects(each)) for each in range(about["generation"] + 1)))

    gc.collect(1)
    gc.set_threshold(*memory.THRESHOLDS)
    gc.callbacks.append(look)
    try:
        for number in range(1500, 6000):
            keep(number)
        left = len(gc.get_objects(0))
    finally:
        gc.callbacks.remove(look)
        gc.set_threshold(700, 10, 10)
    assert looked_at
    assert max(*looked_at, left) < MOST_NEW * memory.ROUNDS
