"""How words become values, and what is said about those that do not suit."""

from __future__ import annotations

import enum
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

import pytest

from pycoredns.corefile.keys import Key, split_key
from pycoredns.corefile.kinds import (
    Address,
    Choice,
    Fallthrough,
    ListenAddress,
    Name,
    Network,
    NetworkOrAddress,
    OnOff,
    RegularExpression,
    Zone,
    kind_of,
)
from pycoredns.corefile.model import Directive, Place, Token
from pycoredns.corefile.numbers import (
    TTL,
    Count,
    Duration,
    Percentage,
    Port,
    PositiveSeconds,
    Seconds,
    SignedDuration,
    TimeToLive,
    Whole,
)
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.corefile.servers import ServerAddress
from pycoredns.wire.names import from_text

PLACE = Place("Corefile", 1)
CONTEXT = Context(root=Path("/zones"))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Short(Duration):
    lowest, highest = 1.0, 2.5


def value_of(kind: Any, text: str) -> Any:
    """What a kind makes of a word."""
    return kind.parse(Token(text, PLACE), CONTEXT)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Whole, "-7", -7),
        (Count, "+0", 0),
        (Port, "65535", 65535),
        (Seconds, "0", 0),
        (TTL, "2147483647", 2147483647),
        (Percentage, "10%", 10),
        (Duration, "0", 0.0),
        (Duration, "1m30s", 90.0),
        (Duration, "1h0.5m", 3630.0),
        (Duration, ".5s", 0.5),
        (Duration, "100ms", 0.1),
        (Duration, "5us", 5e-6),
        (Duration, "5µs", 5e-6),
        (SignedDuration, "-2s", -2.0),
        (TimeToLive, "30", 30),
        (TimeToLive, "", 0),
        (TimeToLive, "1h1.9s", 3601),
        (Zone, "Example.ORG", from_text("example.org")),
        (Zone, "dns://example.org.:53", from_text("example.org")),
        (Zone, "10.0.0.0/24", from_text("0.0.10.in-addr.arpa")),
        (Name, "A\\.b.c", from_text("a\\.b.c")),
        (kind_of(Address), "2001:db8::1", ip_network("2001:db8::1").network_address),
        (kind_of(Network), "10.1.2.3/8", ip_network("10.0.0.0/8")),
        (NetworkOrAddress, "::1", ip_network("::1/128")),
        (ListenAddress, ":8080", ListenAddress("", 8080)),
        (ListenAddress, "[::1]:8080", ListenAddress("::1", 8080)),
        (ListenAddress, "localhost:0", ListenAddress("localhost", 0)),
        (OnOff, "on", True),
        (kind_of(str), "", ""),
        (kind_of(int), "5", 5),
        (kind_of(Path), "db", Path("/zones/db")),
        (kind_of(Path), "/db", Path("/db")),
        (kind_of(Literal["a", "b"]), "b", "b"),
        (kind_of(Colour), "red", Colour.RED),
        (Choice({"Yes": 1}, folded=True), "yES", 1),
        (RegularExpression, r"^[[:alpha:]]+\d$", re.compile(r"^[A-Za-z]+\d$", re.ASCII)),
        (RegularExpression, r"a\z\\z", re.compile(r"a\Z\\z", re.ASCII)),
        (RegularExpression, r"(?<n>a)\(?<n>", re.compile(r"(?P<n>a)\(?<n>", re.ASCII)),
        (ServerAddress, "[2001:db8::1]:54", ServerAddress("2001:db8::1", 54)),
        (ServerAddress, "fe80::1%eth0", ServerAddress("fe80::1%eth0", 53)),
        (ServerAddress, "192.0.2.1:", ServerAddress("192.0.2.1", 53)),
    ],
)
def test_values(kind: Any, text: str, expected: Any) -> None:
    value = value_of(kind, text)
    assert value == expected


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Whole, "1.5", '"1.5" is not a whole number'),
        (Whole, "1_000", '"1_000" is not a whole number'),
        (Whole, "9" * 5000, "is not a whole number"),
        (Count, "-1", '"-1" is too small; it must be at least 0'),
        (Port, "65536", '"65536" is too large; it can be 65535 at most'),
        (PositiveSeconds, "0", '"0" is too small; it must be at least 1'),
        (Percentage, "10", '"10" is not a percentage; write it as 10%'),
        (Percentage, "101%", '"101%" is too large; it can be 100 at most'),
        (Duration, "5", '"5" is not a duration; write it as 5s, 1m30s or 100ms'),
        (Duration, "s", '"s" is not a duration'),
        (Duration, "5 s", '"5 s" is not a duration'),
        (Duration, "-1s", '"-1s" is negative'),
        (Duration, "9999999h", '"9999999h" is too long; it can be 2562047h at most'),
        (Short, "3s", '"3s" is too long; it can be 2.5s at most'),
        (Short, "10ms", '"10ms" is too short; it must be at least 1s'),
        (TimeToLive, "soon", '"soon" is not a TTL; write it as 30, 30s, 5m or 2h30m'),
        (TimeToLive, "4294967296", "is out of range"),
        (Zone, "a..b", 'zone "a..b" is not a domain name'),
        (Zone, "", '"" stands for no zones; give one zone'),
        (Zone, "10.0.0.0/22", '"10.0.0.0/22" stands for 4 zones; give one zone'),
        (Name, "", '"" is not a domain name: a label needs 1 to 63 octets'),
        (Name, "a..b", '"a..b" is not a domain name: a label needs 1 to 63 octets'),
        (Name, r"a\256", r'"a\256" is not a domain name: \256 is above 255'),
        (kind_of(Address), "10.0.0.256", '"10.0.0.256" is not an IP address'),
        (kind_of(Network), "192.0.2", '"192.0.2" is not a network; write it as 192.0.2.0/24'),
        (kind_of(Network), "192.0.2.0/33", '"192.0.2.0/33" is not a network'),
        (kind_of(Network), "fe80::%eth0/64", '"fe80::%eth0/64" is not a network'),
        (ServerAddress, "example.org:53", 'must specify an IP address: "example.org"; write it as 192.0.2.1'),
        (ServerAddress, "tls://192.0.2.1", 'must specify an IP address: "tls://192.0.2.1"'),
        (ServerAddress, "192.0.2.1:domain", '"domain" is not a port; write it as 192.0.2.1:5300'),
        (ServerAddress, "192.0.2.1:-1", '"-1" is not a port'),
        (ServerAddress, "192.0.2.1:65536", "port 65536 is out of range; it must be 0 to 65535"),
        (kind_of(Network), "10.0.0.0/255.0.0.0", "is not a network"),
        (ListenAddress, "8080", '"8080" is not an address with a port'),
        (ListenAddress, "::1:8080", "is not an address with a port"),
        (ListenAddress, "a:65536", "is not an address with a port"),
        (OnOff, "yes", '"yes" is neither on nor off'),
        (kind_of(Path), "", "the path is empty"),
        (kind_of(Literal["a", "b"]), "c", '"c" is unknown; choose one of a, b'),
        (RegularExpression, "(a", '"(a" is not a regular expression'),
        (RegularExpression, "(?<n a)", '"(?<n a)" is not a regular expression'),
    ],
)
def test_words_that_do_not_suit(kind: Any, text: str, expected: str) -> None:
    with pytest.raises(BadValueError) as caught:
        value_of(kind, text)
    assert expected in "; ".join(filter(None, [caught.value.cause, caught.value.remedy]))


@pytest.mark.parametrize(
    ("words", "covered", "not_covered"),
    [
        ("", [".", "a.org"], []),
        ("a.org B.org", ["a.org", "x.b.org"], [".", "org", "xa.org"]),
        ("10.0.0.0/23", ["1.0.0.10.in-addr.arpa", "1.0.10.in-addr.arpa"], ["2.0.10.in-addr.arpa"]),
    ],
)
def test_fallthrough(words: str, covered: list[str], not_covered: list[str]) -> None:
    line = Directive(Token("fallthrough", PLACE), tuple(Token(word, PLACE) for word in words.split()))
    fallthrough = Fallthrough.from_line(line, CONTEXT)
    assert [name for name in covered + not_covered if fallthrough.covers(from_text(name))] == covered
    assert not Fallthrough().covers(from_text("a.org"))


def test_an_empty_word_is_no_zone() -> None:
    empty = Token("", PLACE)
    assert Zone.parse_all(empty, CONTEXT) == ()
    assert not Fallthrough.from_line(Directive(Token("fallthrough", PLACE), (empty,)), CONTEXT).covers(from_text("a.org"))


@pytest.mark.parametrize(
    ("text", "scheme", "zones", "port"),
    [
        (".", "dns", ["."], None),
        ("Example.org:1053", "dns", ["example.org"], 1053),
        ("tls://a.", "tls", ["a"], None),
        ("https3://a.:443", "https3", ["a"], 443),
        ("foo://a.:53", "dns", ["foo://a"], 53),
        ("a.org:http", "dns", ["a.org:http"], None),
        ("10.20.4.0/22", "dns", [f"{number}.20.10.in-addr.arpa" for number in range(4, 8)], None),
        ("10.9.8.7/16:53", "dns", ["9.10.in-addr.arpa"], 53),
        ("10.0.0.1/32", "dns", ["1.0.0.10.in-addr.arpa"], None),
        ("0.0.0.0/0", "dns", ["in-addr.arpa"], None),
        ("2001:db8:77::/48:53", "dns", ["7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa"], 53),
        ("2001:db8::/31", "dns", ["8.b.d.0.1.0.0.2.ip6.arpa", "9.b.d.0.1.0.0.2.ip6.arpa"], None),
        ("10.0.0.0/33", "dns", ["10.0.0.0/33"], None),
        ("010.0.0.0/8", "dns", ["010.0.0.0/8"], None),
    ],
)
def test_keys(text: str, scheme: str, zones: list[str], port: int | None) -> None:
    assert split_key(text) == Key(scheme, tuple(map(from_text, zones)), port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":1053", 'zone "" is not a domain name'),
        ("a.:", '"a.:" has a colon but no port'),
        (".:x", 'zone ".:x" is not a domain name'),
        (".:99999", "port 99999 is out of range"),
        (".:-1", "port -1 is out of range"),
        ("a..b", 'zone "a..b" is not a domain name'),
        ("a" * 64, "is not a domain name"),
        ("a." * 130, "is longer than 255 characters"),
        ("::/0", "must not begin with 0 or a colon"),
    ],
)
def test_keys_that_cannot_be(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        split_key(text)
