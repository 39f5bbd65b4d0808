"""What is read from a catalog zone, and what becomes of its members (RFC 9432)."""

import pytest

from pycoredns.plugins.secondary.catalog import Change, Owners, members_of
from pycoredns.plugins.secondary.incoming import TransferError
from pycoredns.plugins.secondary.options import Members
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.zone import Zone

A, B = names.from_text("a.test"), names.from_text("b.test")
CATALOG, OTHER = names.from_text("cat.test"), names.from_text("dog.test")


def catalog(*lines: str, origin: str = "cat.test") -> Zone:
    """A catalog from lines such as ``x.zones PTR a.test``."""
    records = [Record(names.from_text(origin), types.SOA, types.IN, 0, bytes(22))]
    for line in lines:
        owner, rtype, data = line.split()
        name = names.from_text(f"{owner}.{origin}" if owner != "@" else origin)
        rdata = bytes((len(data),)) + data.encode() if rtype == "TXT" else names.from_text(data)
        records.append(Record(name, types.TYPE_NUMBERS[rtype], types.IN, 0, rdata))
    return Zone.of(names.from_text(origin), records)


USUAL = ("@ NS invalid", "version TXT 2")


def test_members_with_their_labels_and_next_owners():
    lines = ("x.zones PTR A.test", "coo.x.zones PTR dog.test", "group.x.zones TXT g", "y.zones PTR b.test", "z.y.zones TXT 1")
    members = members_of(catalog(*USUAL, *lines), 2)
    assert {zone: (member.label, member.next_owner) for zone, member in members.items()} == {
        A: (b"\1x", OTHER),
        B: (b"\1y", b""),
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("version TXT 2",), "NS record"),
        (("@ NS invalid",), "exactly one version"),
        (("@ NS invalid", "version TXT 1"), "version '1' is not known"),
        (("@ NS invalid", "version TXT 2", "version TXT 1"), "exactly one version"),
        ((*USUAL, "x.zones PTR a.test", "x.zones PTR b.test"), "member x has 2 PTR"),
        ((*USUAL, "x.zones PTR a.test", "y.zones PTR a.test"), "a.test. twice"),
        ((*USUAL, "x.zones PTR a.test", "y.zones PTR b.test", "z.zones PTR c.test"), "lists 3 zones, more than 2"),
        ((*USUAL, "x.zones PTR a.test", "coo.x.zones PTR a.test", "coo.x.zones PTR b.test"), "member x has 2 coo"),
    ],
)
def test_what_is_no_catalog(lines, reason):
    with pytest.raises(TransferError, match=reason):
        members_of(catalog(*lines), 2)


def applied(
    owners: Owners, origin: str, *lines: str, wanted: Members | None = None, others: tuple[bytes, ...] = ()
) -> list[Change]:
    members = members_of(catalog(*USUAL, *lines, origin=origin), 9)
    admitted = {zone: member for zone, member in members.items() if (wanted or Members()).admit(zone)}
    return list(owners.apply(names.from_text(origin), members, admitted, others))


def told(changes: list[Change]) -> list[str]:
    return [f"{change.text.split()[0]} {names.to_text(change.zone)}{' kept' * change.preserves}" for change in changes]


def test_members_come_and_go():
    owners = Owners()
    assert told(applied(owners, "cat.test", "x.zones PTR a.test", "y.zones PTR b.test")) == ["Added a.test.", "Added b.test."]
    assert told(applied(owners, "cat.test", "x.zones PTR a.test", "y.zones PTR b.test")) == []
    assert told(applied(owners, "cat.test", "z.zones PTR a.test")) == ["Reset a.test.", "Removed b.test."]
    assert told(applied(owners, "cat.test")) == ["Removed a.test."]


def test_what_is_told_of_members():
    def lines(origin: str, *lines: str) -> list[str]:
        return [change.text % tuple(change.told) for change in applied(owners, origin, *lines)]

    owners, coo = Owners(), "coo.y.zones PTR dog.test"
    assert lines("cat.test", "x.zones PTR a.test") == ["Added catalog member zone a.test. from catalog cat.test."]
    assert lines("cat.test", "y.zones PTR a.test", coo) == [
        "Reset catalog member zone a.test. from cat.test. after member ID changed from x to y"
    ]
    assert lines("cow.test", "y.zones PTR a.test") == ["Skipping catalog member zone a.test. from cow.test.: zone already exists"]
    assert lines("dog.test", "y.zones PTR a.test", "coo.y.zones PTR cat.test") == [
        "Migrated catalog member zone a.test. from catalog cat.test. to dog.test., preserving state for member ID y"
    ]
    assert lines("cat.test", "z.zones PTR a.test") == [
        "Migrated catalog member zone a.test. from catalog dog.test. to cat.test."
        " with state reset after member identity changed from y to z"
    ]
    assert lines("cat.test") == ["Removed catalog member zone a.test. from catalog cat.test."]


def test_zones_of_others_are_left_alone():
    owners = Owners()
    assert told(applied(owners, "cat.test", "x.zones PTR a.test", others=(A,))) == ["Skipping a.test."]
    applied(owners, "cat.test", "x.zones PTR b.test")
    assert told(applied(owners, "dog.test", "x.zones PTR b.test")) == ["Skipping b.test."]
    assert told(applied(owners, "dog.test")) == []


@pytest.mark.parametrize(("label", "expected"), [("x", "Migrated a.test. kept"), ("y", "Migrated a.test.")])
def test_a_member_changes_hands_where_its_catalog_agrees(label, expected):
    owners = Owners()
    applied(owners, "cat.test", "x.zones PTR a.test", "coo.x.zones PTR dog.test")
    assert told(applied(owners, "dog.test", f"{label}.zones PTR a.test")) == [expected]
    assert told(applied(owners, "cat.test")) == []
    assert told(applied(owners, "dog.test")) == ["Removed a.test."]


def test_only_members_within_the_given_zones():
    owners, within = Owners(), Members((names.from_text("a.test"),))
    lines = ("x.zones PTR a.test", "y.zones PTR www.a.test", "z.zones PTR b.test")
    assert told(applied(owners, "cat.test", *lines, wanted=within)) == ["Added a.test.", "Added www.a.test."]


@pytest.mark.parametrize(("one", "other", "both"), [((A,), (B,), (A, B)), ((A,), (), ()), ((), (B,), ())])
def test_two_lines_admit_what_either_does(one, other, both):
    assert (Members(one) | Members(other)).zones == both
