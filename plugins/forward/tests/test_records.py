"""The SOA record of a denial is read once for all names whose denials have the same octets, and depend on no others."""

import pytest

from pycoredns.plugins.forward import records
from pycoredns.plugins.forward.records import Records, authority_of
from pycoredns.wire import names

NUMBERS = bytes(20)
ZONE = b"\4zone\4test\0"


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    records._read.clear()


def denial(name, owner, server, mailbox, rtype=6, ttl=300):
    """A message that asks for a name's address, and its record; a number is where a pointer leads."""
    owner, server, mailbox = (to(each) if isinstance(each, int) else each for each in (owner, server, mailbox))
    rdata = server + mailbox + NUMBERS
    record = owner + rtype.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big") + len(rdata).to_bytes(2, "big") + rdata
    question = names.from_text(name) + b"\0\1\0\1"
    return bytes(12) + question + record, 12 + len(question)


def to(place):
    return (0xC000 | place).to_bytes(2, "big")


# names below zone.test whose first labels take four octets: the zone begins at 16, the record at 31
@pytest.mark.parametrize(
    ("names_of_record", "grown", "remembered"),
    [
        ((16, b"\2ns" + to(16), b"\2me" + to(16)), 3 * 9, True),
        ((16, 16, 43), 3 * 9, True),
        ((ZONE, ZONE, ZONE), 0, True),
        ((b"\0", b"\0", b"\0"), 0, True),
        ((b"\0", to(16), b"\0"), None, False),  # leads before the record, where the root leads nowhere
        ((21, to(21), b"\1m" + to(21)), 3 * 4, True),
        ((16, 21, to(16)), 9 + 4 + 9, True),
        ((21, to(16), b"\0"), None, False),
        ((16, to(12), b"\0"), None, False),
        ((16, b"\1m" + to(14), b"\0"), None, False),
        ((16, b"\0", to(12)), None, False),
        ((12, to(12), to(12)), 3 * 13, True),
        ((31, b"\0", b"\0"), None, False),
        ((60, b"\0", b"\0"), None, False),
        ((6, b"\0", b"\0"), None, False),
        ((16, to(16), to(200)), None, False),
        ((16, b"\x3f", b"\0"), None, False),
    ],
)
def test_what_is_read(names_of_record, grown, remembered):
    message, start = denial("abc.zone.test.", *names_of_record)
    found = authority_of(message, start)
    assert (found is not None) is remembered
    if found is not None:
        fixed = (
            len(message)
            - len(NUMBERS)
            - 10
            - sum(len(to(each) if isinstance(each, int) else each) for each in names_of_record[1:])
        )
        assert found == Records(start, fixed, len(message), 1, 300, grown, True)
        assert authority_of(message + b"behind", start) == found
        assert authority_of(message[:-1], start) is None


def test_names_below_a_zone_have_it_in_common():
    for name in ("abc.zone.test.", "xyz.zone.test.", "a.b.zone.test."):
        assert authority_of(*denial(name, 16, to(16), to(16)))
    assert len(records._read) == 1
    authority_of(*denial("abc.Zone.test.", 16, to(16), to(16)))
    authority_of(*denial("abcd.zone.test.", 17, to(17), to(17)))
    assert len(records._read) == 3


def test_where_it_depends_on_the_name_it_is_not_taken_for_others():
    assert authority_of(*denial("a.b.zone.test.", 14, to(14), b"\0")).grown == 2 * 11
    assert authority_of(*denial("abc.zone.test.", 14, to(14), b"\0")) is None, "no label is so long"


def test_other_records_are_left_alone():
    assert authority_of(*denial("abc.zone.test.", 16, b"\0", b"\0", rtype=2)) is None


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(records, "_MOST_READ", 10)
    for ttl in range(25):
        assert authority_of(*denial("abc.zone.test.", 16, b"\0", b"\0", ttl=ttl)).ttl == ttl
        assert len(records._read) <= 10
    message, start = denial("abc.zone.test.", 16, b"\0", b"\0")
    assert authority_of(message + bytes(500), start) is None
