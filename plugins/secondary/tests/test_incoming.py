"""The forms a transfer may come in, and those that are refused (RFC 5936 §2.2, RFC 1995 §4)."""

import pytest

from pycoredns.plugins.secondary.incoming import Incoming, NothingNewer, TransferError
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.journal import is_newer
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("a.test")


def soa(serial: int, name: str = "a.test") -> Record:
    return Record(names.from_text(name), types.SOA, types.IN, 300, bytes(2) + serial.to_bytes(4, "big") + bytes(16))


def a(name: str, last: int = 1, ttl: int = 300) -> Record:
    return Record(names.from_text(name), types.A, types.IN, ttl, bytes((192, 0, 2, last)))


NS = Record(ORIGIN, types.NS, types.IN, 300, names.from_text("ns.a.test"))
OURS = Zone.of(ORIGIN, [soa(3), NS, a("x.a.test"), a("y.a.test")])


def taken(*records: Record, ours: Zone | None = OURS, most: int = 100) -> Zone:
    incoming = Incoming(ORIGIN, ours, most)
    for each in records:  # as if each came in a message of its own
        incoming.feed([each])
    assert incoming.complete
    return incoming.zone()[0]


def addresses(zone: Zone) -> set[tuple[str, int, int]]:
    return {(names.to_text(each.name), each.rdata[3], each.ttl) for each in zone.records() if each.rtype == types.A}


X, Y = ("x.a.test.", 1, 300), ("y.a.test.", 1, 300)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([soa(4), NS, a("z.a.test"), soa(4)], {("z.a.test.", 1, 300)}),
        ([soa(4), NS, a("Z.A.TEST"), a("other.test"), soa(4)], {("z.a.test.", 1, 300)}),
        ([soa(4), NS, soa(9, "sub.a.test"), soa(4)], set()),
        ([soa(4), soa(3), a("x.a.test"), soa(4), a("z.a.test"), soa(4)], {Y, ("z.a.test.", 1, 300)}),
        ([soa(4), soa(3), soa(4), soa(4)], {X, Y}),
        ([soa(4), soa(3), a("X.a.test"), soa(4), a("x.a.test", 1, 60), soa(4)], {("x.a.test.", 1, 60), Y}),
        ([soa(6), soa(3), a("x.a.test"), soa(5), a("z.a.test"), soa(5), a("z.a.test"), soa(6), a("x.a.test"), soa(6)], {X, Y}),
        ([soa(4), soa(3), a("x.a.test", 1, 9), soa(4), soa(4)], {Y}),
        ([soa(4), soa(3), soa(4), a("x.a.test"), soa(4)], {X, Y}),
        ([soa(5), soa(3), soa(4), a("x.a.test"), soa(4), a("x.a.test"), soa(5), soa(5)], {Y}),
        ([soa(5), soa(3), soa(4), a("z.a.test"), soa(4), a("z.a.test"), soa(5), soa(5)], {X, Y}),
        ([soa(6), soa(3), soa(4), a("x.a.test"), soa(4), a("x.a.test"), soa(6), a("x.a.test"), soa(6)], {X, Y}),
    ],
)
def test_what_a_transfer_makes_of_the_zone(records, expected):
    zone = taken(*records)
    assert zone.serial == int.from_bytes(records[0].rdata[-20:-16], "big")
    assert addresses(zone) == expected


def test_a_zone_may_have_more_name_servers_than_fit_into_a_message():
    servers = [NS._replace(rdata=names.from_text(f"ns{number}.a.test")) for number in range(4000)]
    assert len(list(taken(soa(4), *servers, soa(4), most=5000).records())) == 4001


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([a("x.a.test")], "does not begin"),
        ([soa(4, "b.test")], "does not begin"),
        ([soa(4)._replace(rdata=b"\0\0\0")], "cut off"),
        ([soa(4), NS, soa(5)], "ends with 5"),
        ([soa(4), NS, soa(4), NS], "behind the last"),
        ([soa(4), NS._replace(rclass=types.CH)], "class CH"),
        ([soa(4), soa(2), soa(4), soa(4)], "first step is from serial 2"),
        ([soa(5), soa(3), soa(4), soa(3)], "ends at serial 4, the next begins at 3"),
        ([soa(5), soa(3), soa(2)], "from serial 3 to 2"),
        ([soa(4), soa(3), a("none.a.test"), soa(4), soa(4)], "none.a.test. is to go"),
        ([soa(4), soa(4)], "no NS record"),
        ([soa(4), a("x.a.test"), NS._replace(name=names.from_text("x.a.test")), soa(4)], "no NS record"),
        ([soa(4), soa(3), NS, soa(4), soa(4)], "no NS record"),
        ([soa(4), *[a(f"n{number}.a.test") for number in range(100)]], "more than 100 records"),
    ],
)
def test_what_is_refused(records, reason):
    with pytest.raises(TransferError, match=reason):
        taken(*records)


@pytest.mark.parametrize("serial", [3, 2, 3 + 0x80000001])
def test_what_is_not_newer_is_not_taken(serial):
    with pytest.raises(NothingNewer):
        taken(soa(serial))


def test_steps_need_a_zone_to_start_from():
    with pytest.raises(TransferError, match="which we have not got"):
        taken(soa(4), soa(3), soa(4), soa(4), ours=None)


def test_what_changed_is_known_for_those_who_transfer_it_on():
    incoming = Incoming(ORIGIN, OURS, 100)
    incoming.feed([soa(4), NS, a("x.a.test"), a("z.a.test"), soa(4)])
    _, changes = incoming.zone()
    assert changes is not None
    assert (changes.since, [names.to_text(each.name) for each in changes.removed]) == (3, ["y.a.test."])
    assert [names.to_text(each.name) for each in changes.added] == ["z.a.test."]


@pytest.mark.parametrize(
    ("rtype", "rdata", "good"),
    [
        (types.A, b"\xc0\0\2", False),
        (types.AAAA, bytes(15), False),
        (types.NS, b"", False),
        (types.MX, b"", False),
        (types.TXT, b"", False),
        (types.TXT, b"\3ab", False),
        (types.TXT, b"\2ab\0", True),
        (64, b"\0", False),
        (64, b"\0\1\0", True),
        (50, b"\1\0\0\0\x05", False),
        (65280, b"", True),
        (types.DS, b"\0\1\x0d\2short", True),
        (52, b"\3\1\1short", True),
        (types.HTTPS, b"\0\0\1x\0\0\1\0\3\2h2", True),
        (257, b"\0\3a", False),
        (types.OPT, b"", False),
        (types.ANY, b"", False),
        (types.TSIG, b"\0" + bytes(16), False),
    ],
)
def test_what_could_not_be_answered_from_is_refused(rtype, rdata, good):
    records = [soa(4), NS, Record(names.from_text("x.a.test"), rtype, types.IN, 300, rdata), soa(4)]
    if good:
        assert taken(*records).serial == 4
        return
    with pytest.raises(TransferError, match=r"x\.a\.test\. is malformed"):
        taken(*records)


@pytest.mark.parametrize(
    ("serial", "other", "newer"),
    [(2, 1, True), (1, 2, False), (1, 1, False), (0, 0xFFFFFFFF, True), (0x80000000, 0, False), (0x7FFFFFFF, 0, True)],
)
def test_serials_go_round(serial, other, newer):
    assert is_newer(serial, other) == newer


def test_steps_make_no_zone_larger_than_a_whole_one_may_be():
    def grown(ours: Zone, name: str, most: int = 7) -> Zone:
        before, after = soa(ours.serial), soa(ours.serial + 1)
        return taken(after, before, after, a(name), after, ours=ours, most=most)

    five = grown(OURS, "z1.a.test")
    six = grown(five, "z2.a.test")
    with pytest.raises(TransferError, match="the zone has more than 7 records"):
        grown(six, "z3.a.test")
    assert len(list(grown(six, "z3.a.test", 8).records())) == 7
    serial = six.serial + 1
    with pytest.raises(TransferError, match="it has more than 7 records"):
        taken(soa(serial), *list(six.records())[1:], a("z3.a.test"), soa(serial), ours=six, most=7)
