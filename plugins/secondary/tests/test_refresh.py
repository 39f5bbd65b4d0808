"""When a zone is looked at again, and how many are at a time."""

import pytest

from pycoredns.plugins.secondary.refresh import Timers
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("a.test")


def soa(refresh: int, retry: int, expire: int) -> Record:
    numbers = b"".join(each.to_bytes(4, "big") for each in (1, refresh, retry, expire, 60))
    return Record(ORIGIN, types.SOA, types.IN, 300, bytes(2) + numbers)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ((3600, 600, 86400), (3600, 600, 86400)),
        ((0, 0, 0), (1, 1, 2)),
        ((3600, 600, 0), (3600, 600, 4200)),
        ((3600, 600, 4199), (3600, 600, 4200)),
        ((3600, 600, 4201), (3600, 600, 4201)),
    ],
)
def test_no_zone_expires_before_it_has_been_asked_for_twice(said, kept):
    timers = Timers.of(Zone.of(ORIGIN, [soa(*said)]))
    assert (timers.refresh, timers.retry, timers.expire) == kept
