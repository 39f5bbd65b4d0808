"""How what is found directly is kept; that it is kept as the usual way keeps it, ``tests/server`` compares."""

import pytest

from pycoredns.direct import shape_of
from pycoredns.meaning import Meaning
from pycoredns.plugins.cache import Cache
from pycoredns.plugins.cache.direct import Plans
from pycoredns.plugins.cache.kept import DENIAL, SUCCESS


@pytest.mark.parametrize(
    ("meaning", "ttl", "sort"),
    [
        (Meaning.ANSWER, 60, SUCCESS),
        (Meaning.ANSWER, 5, SUCCESS),
        (Meaning.ANSWER, 3600, SUCCESS),
        (Meaning.NO_NAME, 60, DENIAL),
        (Meaning.NO_DATA, 1800, DENIAL),
        (Meaning.ANSWER, 4, None),
        (Meaning.ANSWER, 3601, None),
        (Meaning.NO_NAME, 1801, None),
        (Meaning.NO_DATA, 0, None),
    ],
)
def test_kept_as_it_is_where_its_ttl_is_within_the_bounds(meaning, ttl, sort):
    cache = Cache()
    plan = Plans(cache.bounds)[shape_of(meaning), ttl.to_bytes(4, "big")]
    store = cache.stores.get(sort)
    assert plan == (store if store is None else (ttl, sort, store, store.capacity))


def test_plans_do_not_pile_up():
    plans = Plans(Cache().bounds)
    for ttl in range(5000):
        assert (plans[shape_of(Meaning.ANSWER), ttl.to_bytes(4, "big")] is None) == (not 5 <= ttl <= 3600)
    assert len(plans) <= 1024
