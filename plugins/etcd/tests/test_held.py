import random
from zlib import crc32

import pytest

from pycoredns.plugins.etcd import held as held_module
from pycoredns.plugins.etcd.held import Held, Newest


def newest(held: Held) -> Newest | None:
    """What was written last."""
    return max(held.newest_of_blocks(), key=lambda each: each.revision, default=None)


def test_puts_and_deletions() -> None:
    held = Held()
    assert held.put(b"a", 1, b"1234567890")
    assert held.put(b"b", 2, b"other")
    assert not held.put(b"a", 1, b"1234567890"), "known already"
    assert (len(held), held.size, newest(held)) == (2, 17, (b"b", 2, crc32(b"other")))
    assert held.put(b"a", 3, b"new"), "another revision"
    assert (len(held), held.size, newest(held)) == (2, 10, (b"a", 3, crc32(b"new")))
    assert held.put(b"a", 3, b"newer"), "the same revision of another history"
    assert (len(held), held.size, newest(held)) == (2, 12, (b"a", 3, crc32(b"newer")))
    assert held.put(b"a", 3, b"newer", 2**62 + 1), "another lease"
    assert not held.put(b"a", 3, b"newer", 2**62 + 1), "known already"
    assert held.delete(b"a")
    assert not held.delete(b"a"), "gone already"
    assert (len(held), held.size, newest(held)) == (1, 6, (b"b", 2, crc32(b"other")))
    held.delete(b"b")
    assert (len(held), held.size, newest(held)) == (0, 0, None)


@pytest.mark.parametrize(
    ("low", "high", "keys"),
    [
        (b"", b"", [b"a", b"b", b"c"]),
        (b"\0", b"\0", [b"a", b"b", b"c"]),
        (b"a", b"c", [b"a", b"b"]),
        (b"a\0", b"b\0", [b"b"]),
        (b"c", b"", [b"c"]),
        (b"d", b"", []),
        (b"", b"a", []),
    ],
)
def test_between(low: bytes, high: bytes, keys: list[bytes]) -> None:
    held = Held()
    for key in (b"b", b"c", b"a"):
        held.put(key, 1, b"")
    assert list(held.between(low, high)) == keys
    if high.strip(b"\0"):
        assert [held.first(low, high, most) for most in (1, 2, 3)] == [keys[:1], keys[:2], keys[:3]]


def test_like_a_dictionary_that_is_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that they split and vanish all the time."""
    monkeypatch.setattr(held_module, "LONGEST", 4)
    chance, held = random.Random(1), Held()
    expected: dict[bytes, int] = {}
    for revision in range(1, 5000):
        key = b"%d" % chance.randrange(200)
        if chance.random() < (0.3 if revision % 1000 < 500 else 0.7):
            assert held.delete(key) == (expected.pop(key, None) is not None)
        else:
            assert held.put(key, revision, b"1")
            expected[key] = revision
        low, high = sorted((b"%d" % chance.randrange(300), b"%d" % chance.randrange(300)))
        between = [name for name in sorted(expected) if low <= name < high]
        assert list(held.between(low, high)) == between
        assert held.first(low, high, most := chance.randrange(20)) == between[:most]
        assert len(held) == len(expected)
        assert held.size == sum(len(name) + 1 for name in expected)
        last = newest(held)
        assert (last and last[:2]) == max(expected.items(), key=lambda item: item[1], default=None)
    for key in expected:
        held.delete(key)
    assert len(held._blocks) == 1, "empty blocks are given up"


def test_keys_in_their_order_leave_no_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_module, "LONGEST", 4)
    held = Held()
    for number in range(100, 120):
        held.put(b"%d" % number, number, b"")
    assert [len(block.keys) for block in held._blocks] == [4] * 5
    assert list(held.between(b"", b"")) == [b"%d" % number for number in range(100, 120)]
    assert not held.put(b"119", 119, b"")


def test_many_keys_at_once_are_as_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_module, "LONGEST", 4)
    held, same = Held(), Held()
    for start in range(100, 130, 3):
        keys = [b"%d" % number for number in range(start, start + 3)]
        assert held.extend(keys, [start, start + 1, start + 2], [b"x", b"", b"xyz"], [0, 7, 2**62 + 7])
        for number, (key, value, lease) in enumerate(zip(keys, (b"x", b"", b"xyz"), (0, 7, 2**62 + 7), strict=True), start):
            same.put(key, number, value, lease)
    assert all(len(block.keys) <= 4 for block in held._blocks)
    assert list(held.between(b"", b"")) == list(same.between(b"", b""))
    assert [held.version(key) for key in same.between(b"", b"")] == [same.version(key) for key in same.between(b"", b"")]
    assert (len(held), held.size, newest(held)) == (len(same), same.size, newest(same))


@pytest.mark.parametrize("keys", [[], [b"b"], [b"a", b"c"], [b"c", b"c"], [b"d", b"c"]])
def test_many_keys_that_are_not_behind_all_others_are_not_taken(keys: list[bytes]) -> None:
    held = Held()
    held.put(b"b", 1, b"")
    assert not held.extend(keys, [2] * len(keys), [b""] * len(keys), [0] * len(keys))
    assert list(held.between(b"", b"")) == [b"b"]
