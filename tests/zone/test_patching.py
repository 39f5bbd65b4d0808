"""A patched zone is the same as one made anew from the same records, however little of it was looked at."""

import time
from random import Random

import pytest

from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone import crumbling, journal
from pycoredns.zone.journal import difference
from pycoredns.zone.patching import MissingRecord, Patch
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("p.test")
LABELS = ("a", "b", "c", "*", "x-1")


def soa(serial: int) -> Record:
    return Record(ORIGIN, types.SOA, types.IN, 300, bytes(2) + serial.to_bytes(4, "big") + bytes(16))


def some_record(random: Random) -> Record:
    """A record of any sort that matters to a zone's shape, often at or below the name of another."""
    name = ".".join([*(random.choice(LABELS) for _ in range(random.randint(0, 3))), "p.test"])
    rtype = random.choice([types.A, types.A, types.A, types.TXT, types.NS, types.CNAME, types.DNAME, types.MX, types.RRSIG])
    target = names.from_text(f"{random.choice(LABELS)}.p.test")
    rdata = {
        types.A: bytes((192, 0, 2, random.randint(0, 3))),
        types.TXT: b"\1" + bytes((random.randint(97, 99),)),
        types.MX: b"\0\1" + target,
        types.RRSIG: types.A.to_bytes(2, "big") + bytes(16) + target,
    }.get(rtype, target)
    return Record(names.from_text(name), rtype, types.IN, random.choice([60, 300]), rdata)


def contents(zone: Zone) -> tuple[object, ...]:
    def sets(nodes):
        return {name: sorted([node] if isinstance(node, bytes) else node) for name, node in nodes.items()}

    def records(nodes):
        return {name: {record for record in zone.records() if record.name == name} for name in nodes}

    parts = zone.nodes, zone.cuts, zone.hidden, zone.hashed
    return (*(records(part) for part in parts), *(set(sets(part)) for part in parts), zone.redirected, zone.serial)


def unique(records: list[Record]) -> list[Record]:
    return list({(each.name, each.rtype, each.rdata): each for each in records}.values())


@pytest.mark.parametrize("seed", range(150))
def test_as_if_made_anew(seed: int):
    random = Random(seed)
    records = unique([some_record(random) for _ in range(random.randint(0, 25))])
    old, patch = Zone.of(ORIGIN, [soa(1), *records]), Patch()
    for each in random.sample(records, min(len(records), random.randint(0, 3))):
        patch.remove(each)
        records.remove(each)
    for _ in range(random.randint(0, 5)):
        added = random.choice([*records, some_record(random)])
        patch.add(added)
        records = unique([*records, added])
        if random.random() < 0.4:
            records.remove(gone := random.choice(records))
            patch.remove(gone)
    new, expected = patch.apply(old, soa(2)), Zone.of(ORIGIN, [soa(2), *records])
    assert contents(new) == contents(expected)
    among, all_names = difference(old, new, patch.names(old)), difference(old, expected)
    assert (set(among.removed), set(among.added)) == (set(all_names.removed), set(all_names.added))


def test_unchanged_names_are_shared_not_made_anew(monkeypatch):
    old = Zone.of(ORIGIN, [soa(1), Record(names.from_text("a.p.test"), types.A, types.IN, 60, b"\1\2\3\4")])
    monkeypatch.setattr(Zone, "of", None)
    patch = Patch()
    patch.add(Record(names.from_text("b.c.p.test"), types.A, types.IN, 60, b"\1\2\3\5"))
    new = patch.apply(old, soa(2))
    assert new.nodes[names.from_text("a.p.test")] is old.nodes[names.from_text("a.p.test")]
    assert new.nodes[names.from_text("c.p.test")] == ()
    assert names.from_text("b.c.p.test") not in old.nodes


def test_the_new_zone_stays_whole_when_the_old_one_is_freed(monkeypatch):
    monkeypatch.setattr(crumbling, "MANY", 0)
    kid = Record(names.from_text("kid.p.test"), types.NS, types.IN, 60, names.from_text("ns.kid.p.test"))
    glue = Record(names.from_text("ns.kid.p.test"), types.A, types.IN, 60, b"\1\2\3\4")
    old, patch = Zone.of(ORIGIN, [soa(1), kid, glue]), Patch()
    patch.add(Record(names.from_text("a.p.test"), types.A, types.IN, 60, b"\1\2\3\5"))
    new = patch.apply(old, soa(2))
    freed = old.cuts
    del old
    while freed:
        time.sleep(0.001)
    assert (kid.name in new.cuts, glue.name in new.hidden) == (True, True)


@pytest.mark.parametrize("beside", [[], [Record(names.from_text("a.p.test"), types.TXT, types.IN, 60, b"\1a")]])
def test_what_stands_twice_goes_altogether(beside: list[Record]):
    address, patch = Record(names.from_text("a.p.test"), types.A, types.IN, 60, b"\1\2\3\4"), Patch()
    patch.remove(address)
    new = patch.apply(Zone.of(ORIGIN, [soa(1), address, address, *beside]), soa(2))
    assert list(new.records()) == [soa(2), *beside]


def test_what_is_not_there_cannot_go():
    patch = Patch()
    patch.remove(Record(names.from_text("a.p.test"), types.A, types.IN, 60, b"\1\2\3\4"))
    with pytest.raises(MissingRecord, match=r"a\.p\.test\."):
        patch.apply(Zone.of(ORIGIN, [soa(1)]), soa(2))


def test_more_changes_than_are_remembered_end_what_is_known(monkeypatch):
    monkeypatch.setattr(journal, "MOST_RECORDS", 5)
    names_of = [names.from_text(f"n{number}.p.test") for number in range(5)]
    many = [Record(name, types.A, types.IN, 60, b"\1\2\3\4") for name in names_of]
    first, second, third = Zone.of(ORIGIN, [soa(1)]), Zone.of(ORIGIN, [soa(2), *many[:2]]), Zone.of(ORIGIN, [soa(3), *many[2:]])
    kept = journal.Journal()
    kept.add(difference(first, second))
    assert len(kept.since(1) or ()) == 1
    kept.add(difference(second, third))
    assert kept.since(1) is None
    assert kept.since(2) is None
