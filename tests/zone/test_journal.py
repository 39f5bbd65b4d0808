"""What is remembered of a zone's versions, whatever becomes of its serial."""

from itertools import pairwise

import pytest

from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.journal import Difference, Journal

ORIGIN = names.from_text("p.test")
HALF = 1 << 31
END = (1 << 32) - 1


def step(since: int, until: int) -> Difference:
    old, new = (
        Record(ORIGIN, types.SOA, types.IN, 300, bytes(2) + each.to_bytes(4, "big") + bytes(16)) for each in (since, until)
    )
    return Difference(old, (), new, ())


def journal(*serials: int) -> Journal:
    kept = Journal()
    for since, until in pairwise(serials):
        kept.add(step(since, until))
    return kept


@pytest.mark.parametrize(
    ("serials", "since", "expected"),
    [
        ((6, 7, 8), 6, [7, 8]),
        ((6, 7, 8), 5, None),
        ((END - 1, END, 0, 1), END - 1, [END, 0, 1]),
        # a reader would take the first 7 for the end
        ((6, 7, 8, 7), 6, None),
        ((6, 7, 8, 7), 8, None),
        ((6, 7, 8, 7, 9), 7, [9]),
        ((6, 5, 6, 7), 6, [7]),
        # around, as serials are set back (RFC 1982 §3.2)
        ((9, 10, 11, HALF + 10, 5, 10), 9, None),
        ((9, 10, 11, HALF + 10, 5, 10), 11, [HALF + 10, 5, 10]),
        ((9, 10, 11, HALF + 10, 5, 10, 11), 10, [11]),
    ],
)
def test_a_way_comes_by_the_newest_serial_once(serials: tuple[int, ...], since: int, expected: list[int] | None) -> None:
    found = journal(*serials).since(since)
    assert (None if found is None else [each.until for each in found]) == expected


def test_who_goes_on_with_a_copy_changes_nothing_for_others() -> None:
    kept = journal(1, 2)
    other = kept.copy()
    other.add(step(2, 3))
    assert [len(each.since(1) or ()) for each in (kept, other)] == [1, 2]
