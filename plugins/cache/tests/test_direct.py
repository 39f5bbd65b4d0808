"""How what is found directly is kept; that it is kept as the usual way keeps it, ``tests/server`` compares."""

import pytest

from pycoredns.corefile.numbers import Whole
from pycoredns.direct import shape_of
from pycoredns.meaning import Meaning
from pycoredns.plugins.cache import Cache
from pycoredns.plugins.cache.direct import Plans
from pycoredns.plugins.cache.kept import DENIAL, SUCCESS
from pycoredns.plugins.cache.options import TTL, Limits


@pytest.mark.parametrize(
    ("meaning", "ttl", "kept_for", "sort"),
    [
        (Meaning.ANSWER, 60, 60, SUCCESS),
        (Meaning.ANSWER, 5, 5, SUCCESS),
        (Meaning.ANSWER, 3600, 3600, SUCCESS),
        (Meaning.NO_NAME, 60, 60, DENIAL),
        (Meaning.NO_DATA, 1800, 1800, DENIAL),
        (Meaning.ANSWER, 4, 5, SUCCESS),
        (Meaning.ANSWER, 3601, 3600, SUCCESS),
        (Meaning.NO_NAME, 1801, 1800, DENIAL),
        (Meaning.NO_DATA, 0, 5, DENIAL),
    ],
)
def test_kept_within_the_bounds(meaning, ttl, kept_for, sort):
    cache = Cache()
    plan = Plans(cache.bounds)[shape_of(meaning), ttl.to_bytes(4, "big")]
    assert plan == (kept_for, sort, cache.stores[sort], cache.stores[sort].capacity, kept_for != ttl)


def test_what_has_no_time_is_not_kept():
    cache = Cache(success=Limits(Whole(100), minttl=TTL(0)))
    assert Plans(cache.bounds)[shape_of(Meaning.ANSWER), bytes(4)] is None


def test_plans_do_not_pile_up():
    plans = Plans(Cache().bounds)
    for ttl in range(5000):
        assert plans[shape_of(Meaning.ANSWER), ttl.to_bytes(4, "big")][0] == min(max(ttl, 5), 3600)
    assert len(plans) <= 1024
