"""Large zones go beside the answers."""

import threading

import pytest

from pycoredns.testing import eventually
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone import crumbling
from pycoredns.zone.patching import Patch
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("example.org")


def zone() -> Zone:
    """With 100 names and 100 cuts."""
    records = [Record(ORIGIN, types.SOA, 1, 60, b"\0\0" + bytes(20))]
    for number in range(100):
        records.append(Record(names.from_text(f"a{number}.example.org"), types.A, 1, 60, bytes(4)))
        records.append(Record(names.from_text(f"c{number}.example.org"), types.NS, 1, 60, b"\0"))
    return Zone.of(ORIGIN, records)


async def test_a_zone_that_nobody_has_any_more_is_freed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crumbling, "MANY", 50)
    monkeypatch.setattr(crumbling, "_AT_ONCE", 7)
    old = zone()
    nodes, cuts = old.nodes, old.cuts
    del old
    await eventually(lambda: not nodes and not cuts)
    await eventually(lambda: "crumble" not in {thread.name for thread in threading.enumerate()})


async def test_a_version_made_from_another_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crumbling, "MANY", 50)
    old = zone()
    cuts = old.cuts
    patch = Patch()
    patch.add(Record(names.from_text("new.example.org"), types.A, 1, 60, bytes(4)))
    new = patch.apply(old, old.soa())
    del old
    await eventually(lambda: not cuts)
    assert len(new.cuts) == 100
    assert len(list(new.records())) == 202
