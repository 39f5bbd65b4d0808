"""Pages whose ends are guessed hold each key once, in order, and etcd need not count everything for each."""

import random
from bisect import bisect_left
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from pycoredns.plugins.etcd.reach import Reach


def listed(keys: list[bytes], prefix: bytes, limit: int) -> tuple[list[bytes], int, int]:
    """What a listing in pages of ``limit`` gives, how many pages that takes, and how many keys an etcd counts for them."""
    reach, found, pages, counted = Reach(prefix), list[bytes](), 0, 0
    while not reach.over:
        start = bisect_left(keys, reach.start)
        end = len(keys) if reach.end == b"\0" else bisect_left(keys, reach.end)
        page = keys[start:end][:limit]
        found += page
        pages += 1
        counted += end - start
        kvs = [SimpleNamespace(key=key) for key in page]
        reach.advance(SimpleNamespace(kvs=kvs, more=len(page) < end - start))  # type: ignore[arg-type]  # all that is looked at
    return found, pages, counted


NAMES: dict[str, Callable[[int], bytes]] = {
    "numbered": lambda number: b"/skydns/test/bench/n%d" % number,
    "below each other": lambda number: b"/skydns/test/bench/n%d/x" % number,
    "many zones": lambda number: b"/skydns/org/z%d/w%d" % (number % 100, number),
    "one zone beside a large one": lambda number: b"/skydns/org/%b" % (b"a/%d" % number if number > 9 else b"b%d" % number),
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_few_pages_more_and_few_keys_counted(name):
    keys = sorted(map(name, range(20_000)))
    found, pages, counted = listed(keys, b"/skydns/", 100)
    assert found == keys
    assert pages < 2 * len(keys) / 100
    assert counted < 50 * len(keys), "100 times as many if all that follow were"


def test_all_keys_whatever_they_are():
    chance = random.Random(1)
    for _ in range(2000):
        prefix, octets = chance.choice((b"", b"a", b"\xff", b"a\xff")), chance.choice((b"\0\xff", b"ab\xff", b"abc/"))
        names = {bytes(chance.choices(octets, k=chance.randrange(8))) for _ in range(chance.randrange(60))}
        keys = sorted({prefix + name for name in names} - {b""})
        assert listed(keys, prefix, chance.choice((1, 2, 5)))[0] == keys
