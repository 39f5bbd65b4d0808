"""How little a zone takes, and that it is free of what the garbage collector must look at."""

import gc
import sys

from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("example.org")
MANY = 20_000


def large_zone() -> Zone:
    records = [Record(ORIGIN, types.SOA, 1, 60, b"\0\0" + bytes(20))]
    records += [
        Record(names.from_text(f"host{number}.example.org"), types.A, 1, 60, number.to_bytes(4, "big")) for number in range(MANY)
    ]
    return Zone.of(ORIGIN, records)


def test_a_record_takes_little_memory() -> None:
    zone = large_zone()
    sizes = sys.getsizeof(zone.nodes) + sum(sys.getsizeof(name) + sys.getsizeof(node) for name, node in zone.nodes.items())
    assert sizes / MANY < 200


def test_single_records_are_nothing_for_the_garbage_collector() -> None:
    zone = large_zone()
    gc.collect()
    assert not gc.is_tracked(zone.nodes)
