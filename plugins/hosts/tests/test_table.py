"""What lines mean, and which records of them a name has."""

import pytest

from pycoredns.plugins.hosts.table import MOST_RECORDS, Table
from pycoredns.wire import types
from pycoredns.wire.names import ROOT, from_text


def table_of(text, zones=(".",), ttl=60, reverse=True):
    table = Table(tuple(map(from_text, zones)), ttl, reverse)
    understood = [table.add(line) for line in text.encode().split(b"\n")]
    return table, understood


def data(table, name, rtype=types.A):
    """The RDATA of a name's records: of PTR as it is, of addresses as text."""
    found = [record[10:] for record in table.find(rtype, from_text(name))]
    return [".".join(map(str, rdata)) if rtype == types.A else rdata for rdata in found]


@pytest.mark.parametrize(
    ("line", "understood", "entries"),
    [
        ("192.0.2.1 a.test", True, 2),
        ("  192.0.2.1\tA.Test. b.test # c.test", True, 4),
        ("192.0.2.1 a.test\r", True, 2),
        ("192.0.2.1 a.test#comment", True, 2),
        ("2001:DB8::1%eth0 a.test", True, 2),
        ("192.0.2.1 *.test", True, 1),
        ("192.0.2.1 .", True, 2),
        ("", True, 0),
        ("# nothing", True, 0),
        ("192.0.2.1", True, 0),
        ("wildcard on", False, 0),
        ("192.0.2.01 a.test", False, 0),
        ("192.0.2 a.test", False, 0),
        ("192.0.2.1/24 a.test", False, 0),
        ("192.0.2.1 a..test", False, 0),
        ("192.0.2.1 " + "a" * 64, False, 0),
        ("192.0.2.1 " + "a." * 128 + " b.test", False, 2),
    ],
)
def test_lines(line, understood, entries):
    table, results = table_of(line)
    assert (results, table.entries) == ([understood], entries)


def test_octets_that_are_no_text_are_no_entry():
    table, _ = table_of("")
    assert not table.add(b"\xff\xfe a.test")
    assert not table.add(b"192.0.2.1 \xff.test")
    assert table.entries == 0


def test_several_addresses_and_names_in_their_order():
    table, _ = table_of("192.0.2.1 a.test b.test\n192.0.2.2 a.test\n192.0.2.1 a.test\n::1 a.test")
    assert data(table, "a.test") == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    assert data(table, "a.test", types.AAAA) == [bytes(15) + b"\1"]
    names = [from_text(name) for name in ("a.test", "b.test", "a.test")]
    assert data(table, "1.2.0.192.in-addr.arpa", types.PTR) == names


def test_a_mapped_address_is_an_ipv4_address():
    table, _ = table_of("::ffff:192.0.2.9 a.test")
    assert data(table, "a.test") == ["192.0.2.9"]
    assert data(table, "9.2.0.192.in-addr.arpa", types.PTR) == [from_text("a.test")]


def test_names_outside_of_the_zones_are_left_out():
    table, understood = table_of("192.0.2.1 a.test a.other atest", zones=("test", "net"))
    assert understood == [True]
    assert (table.entries, data(table, "a.other"), data(table, "atest")) == (2, [], [])


def test_without_reverse_there_are_no_ptr_records():
    table, _ = table_of("192.0.2.1 a.test", reverse=False)
    assert table.entries == 1
    assert not table.exact[types.PTR]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.test", ["192.0.2.1"]),
        ("*.test", ["192.0.2.1"]),
        ("own.test", ["192.0.2.2"]),
        ("six.test", ["192.0.2.1"]),
        ("test", []),
        ("a.b.test", []),
        ("com", []),
        (".", []),
    ],
)
def test_a_wildcard_stands_for_one_label(name, expected):
    table, _ = table_of("192.0.2.1 *.test\n192.0.2.2 own.test\n::1 six.test\n192.0.2.3 *")
    assert data(table, name) == expected


LINES = ["192.0.2.1 a.test\n192.0.2.2 *.test", "192.0.2.3 b.test a.test\n192.0.2.4 *.test *.x.test"]


@pytest.mark.parametrize("name", ["a.test", "b.test", "c.test", "c.x.test", "test"])
def test_two_tables_find_what_each_finds(name):
    (first, _), (second, _) = map(table_of, LINES)
    expected = data(first, name) + data(second, name)
    first.extend(second)
    assert data(first, name) == expected
    assert first.entries == 3 + 6


def test_records_that_no_message_could_hold_are_only_counted():
    table, _ = table_of("\n".join(f"0.0.0.0 n{number}.test" for number in range(MOST_RECORDS + 10)))
    assert len(table.find(types.PTR, from_text("0.0.0.0.in-addr.arpa"))) == MOST_RECORDS
    assert table.entries == 2 * (MOST_RECORDS + 10)


def test_addresses_that_come_again_are_held_once():
    table, _ = table_of("0.0.0.0 a.test\n0.0.0.0 b.test")
    assert table.find(types.A, from_text("a.test")) is table.find(types.A, from_text("b.test"))


def test_the_root_may_have_an_address():
    table, _ = table_of("192.0.2.1 .")
    assert len(table.find(types.A, ROOT)) == 1
