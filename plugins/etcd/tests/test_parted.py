"""A dictionary in parts is a dictionary."""

from pycoredns.plugins.etcd.parted import PARTS, Parted


def test_like_a_dictionary() -> None:
    parted = Parted()
    expected = {b"%d" % number: b"%d" % (number % 7) for number in range(1000)}
    parted.update(expected)
    assert (dict(parted), len(parted)) == (expected, 1000)
    assert parted.setdefault(b"1", b"new") == b"1"
    assert parted.setdefault(b"new", b"1") == parted.pop(b"new") == b"1"
    assert b"1" in parted
    assert b"new" not in parted
    assert parted.get(b"new") is None


def test_no_part_holds_most_of_it() -> None:
    parted = Parted()
    for number in range(64 * PARTS):
        parted[b"/skydns/test/n%d" % number] = b""
    assert max(map(len, parted.parts)) < 64 * 2
