"""What others will find fault with in a zone, and the command that tells it."""

from pathlib import Path

import pytest

from pycoredns.cli import main
from pycoredns.wire import names
from pycoredns.wire.message import Record
from pycoredns.zone.judging import complaints
from pycoredns.zone.reading import Reading

ORIGIN = names.from_text("example.org")
GOOD = "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", []),
        ("x.example.net. A 192.0.2.1", ["x.example.net.: lies outside the zone and is left out"]),
        ("a CNAME ns\na A 192.0.2.1", ["a.example.org.: a CNAME stands beside A (RFC 2181 §10.1)"]),
        ("a CNAME ns\na CNAME b", ["a.example.org.: there is more than one CNAME (RFC 2181 §10.1)"]),
        ("d DNAME ns\nd DNAME b", ["d.example.org.: there is more than one DNAME (RFC 6672 §2.4)"]),
        ("@ SOA ns host 2 2 3 4 5", ["example.org.: there is more than one SOA (RFC 1035 §5.2)"]),
        ("a SOA ns host 2 2 3 4 5", []),
        ("a A 192.0.2.1\na A 192.0.2.1", ["a.example.org.: the same A record stands more than once"]),
        ("a A 192.0.2.1\na 60 A 192.0.2.2", ["a.example.org.: A records have different TTLs (RFC 2181 §5.2)"]),
        ("k NS ns.k", ["k.example.org.: NS leads to ns.k.example.org., which has no address"]),
        ("k NS ns.k\nns.k A 192.0.2.1", []),
        ("k NS ns.l\nl NS ns", []),
        ("m MX 5 none", ["m.example.org.: MX leads to none.example.org., which has no address"]),
        ("m MX 5 x.w\n*.w A 192.0.2.1", []),
        ("m MX 0 .", []),
        ("m SRV 1 2 3 a\na CNAME ns", ["m.example.org.: SRV leads to a.example.org., which is an alias (RFC 2181 §10.3)"]),
        ("s DS 1 13 1 " + "ab" * 20, ["s.example.org.: DS records without NS records (RFC 4035 §2.4)"]),
        ("k NS ns\nk DS 1 13 2 abcd", ["k.example.org.: the digest of a DS record has not the length of its type"]),
        ("k NS ns\nk DS 1 13 9 abcd", []),
        ("k NS ns\nk TXT x", ["k.example.org.: nobody sees TXT: the name is delegated"]),
        (
            "k NS ns\nx.k TXT x",
            ["x.k.example.org.: nobody sees it: k.example.org. is delegated, only addresses are taken from below"],
        ),
        (
            "d DNAME ns\nx.d A 192.0.2.1",
            ["x.d.example.org.: nobody sees it: it lies below the DNAME at d.example.org. (RFC 6672 §2.4)"],
        ),
    ],
)
def test_faults_are_told(path: Path, lines: str, told: list[str]) -> None:
    path.write_text(f"{GOOD}{lines}\n")
    found: list[Record] = []
    Reading(path, ORIGIN).read(lambda name, rtype, ttl, rdata: found.append(Record(name, rtype, 1, ttl, rdata)))
    assert complaints(ORIGIN, found) == told


def test_a_zone_has_name_servers() -> None:
    soa = Record(ORIGIN, 6, 1, 60, b"\0\0" + bytes(20))
    assert complaints(ORIGIN, [soa]) == ["example.org.: has no NS records (RFC 1035 §5.2)"]


def test_a_zone_has_a_soa_of_its_own() -> None:
    found = [Record(ORIGIN, 2, 1, 60, b"\0"), Record(b"\1x" + ORIGIN, 6, 1, 60, b"\0\0" + bytes(20))]
    assert complaints(ORIGIN, found) == ["example.org.: has no SOA record of its own (RFC 1035 §5.2)"]


def test_a_zone_is_printed_in_canonical_form(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(GOOD + 'WWW A 192.0.2.2\n* TXT "a\\"b"\na.WWW AAAA 2001:DB8::1\nu TYPE65280 \\# 2 abcd\n')
    assert main(["zone", str(path), "Example.org"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "example.org.\t300\tIN\tSOA\tns.example.org. host.example.org. 1 2 3 4 5",
        "example.org.\t300\tIN\tNS\tns.example.org.",
        '*.example.org.\t300\tIN\tTXT\t"a\\"b"',
        "ns.example.org.\t300\tIN\tA\t192.0.2.1",
        "u.example.org.\t300\tIN\tTYPE65280\t\\# 2 abcd",
        "www.example.org.\t300\tIN\tA\t192.0.2.2",
        "a.www.example.org.\t300\tIN\tAAAA\t2001:db8::1",
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (f"{GOOD}a A 1\n", [], "db:5: "),
        (f"{GOOD}m MX 5 none\n", ["--check"], "db: m.example.org.: MX leads to none.example.org., which has no address"),
        (None, [], "db: cannot be read: No such file or directory"),
        ("$TTL 1\n@ NS ns\n", [], "no SOA record for example.org."),
    ],
)
def test_the_command_fails_where_something_is_wrong(
    path: Path, capsys: pytest.CaptureFixture[str], text: str | None, arguments: list[str], told: str
) -> None:
    if text is not None:
        path.write_text(text)
    assert main(["zone", str(path), "example.org", *arguments]) == 1
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


def test_the_command_wants_a_name(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zone", str(path), "a..b"]) == 1
    assert main(["zone", str(path), "\udcff"]) == 1
    assert "a..b" in capsys.readouterr().err
