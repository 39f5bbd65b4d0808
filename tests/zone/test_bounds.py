"""Zones with sets of tens of thousands of records: no answer takes more work than the message that holds it."""

from collections.abc import Callable, Iterator

import pytest

from pycoredns.response import Response
from pycoredns.testing import request_for
from pycoredns.wire import message, names, types
from pycoredns.wire.message import Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.packed import LARGEST, MOST_OCTETS, MOST_RECORDS
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("example.org")
MANY = 20_000
MOST_ANSWERED = MOST_OCTETS + 2 * LARGEST
"""Octets of a section: what is there when it is full, and the one set that fills it."""


def at(name: str, rtype: int, rdata: bytes) -> Record:
    return Record(names.from_text(f"{name}.example.org" if name else "example.org"), rtype, types.IN, 60, rdata)


def signature(covered: int, number: int = 0) -> bytes:
    return covered.to_bytes(2, "big") + bytes(16) + ORIGIN + number.to_bytes(4, "big")


def many(name: str, rtype: int, before: bytes = b"", number: int = MANY) -> Iterator[Record]:
    """Records of one set, each with the name of another host of the zone."""
    return (at(name, rtype, before + b"\5h%04x" % (each & 0xFFFF) + ORIGIN) for each in range(number))


def addresses(name: str, number: int = MANY) -> Iterator[Record]:
    return (at(name, types.A, each.to_bytes(4, "big")) for each in range(number))


def zone(*records: Record) -> Zone:
    soa = at("", types.SOA, ORIGIN + ORIGIN + bytes(20))
    return Zone.of(ORIGIN, [soa, *records])


def answered(zone: Zone, name: str, qtype: str, do: bool = False, protocol: str = "udp") -> Response:
    response = zone.answer(request_for(name, qtype, do=do, protocol=protocol))
    assert isinstance(response, Response)
    return response


LARGE: dict[str, tuple[Callable[[], list[Record]], str, str]] = {
    "addresses": (lambda: [*addresses("x")], "x.example.org", "A"),
    "addresses of a wildcard": (lambda: [*addresses("*.x")], "a.x.example.org", "A"),
    "name servers of the zone": (lambda: [*many("", types.NS)], "example.org", "NS"),
    "name servers of a cut": (lambda: [*many("kid", types.NS)], "a.kid.example.org", "A"),
    "glue of a cut": (lambda: [at("kid", types.NS, b"\2ns\3kid" + ORIGIN), *addresses("ns.kid")], "a.kid.example.org", "A"),
    "mail servers": (lambda: [*many("x", types.MX, b"\0\1"), *addresses("h0001")], "x.example.org", "MX"),
    "services": (lambda: [*many("x", types.SRV, bytes(6)), *addresses("h0001")], "x.example.org", "SRV"),
    "aliases": (lambda: [*many("x", types.CNAME)], "x.example.org", "A"),
    "a chain of them": (
        lambda: [each for n in range(9) for each in many(f"h{n:04x}", types.CNAME)],
        "h0005.example.org",
        "A",
    ),
    "texts": (lambda: [at("x", types.TXT, b"\xff%b" % bytes(255) * 200) for _ in range(999)], "x.example.org", "TXT"),
    "signatures": (
        lambda: [at("x", types.A, bytes(4)), *(at("x", 46, signature(1, n)) for n in range(MANY))],
        "x.example.org",
        "A",
    ),
    "signatures by themselves": (lambda: [at("x", 46, signature(n % 9, n)) for n in range(MANY)], "x.example.org", "RRSIG"),
    "signatures of the SOA": (lambda: [at("", 46, signature(6, n)) for n in range(MANY)], "nothere.example.org", "A"),
    "signatures of denials": (
        lambda: [at("", 47, ORIGIN + b"\0\1\x40"), *(at("", 46, signature(47, n)) for n in range(MANY))],
        "nothere.example.org",
        "A",
    ),
}


@pytest.mark.parametrize("do", [False, True])
@pytest.mark.parametrize("case", LARGE)
def test_answers_are_cut_before_they_are_taken_apart(case: str, do: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    records, name, qtype = LARGE[case]
    response = answered(zone(*records()), name, qtype, do)
    for section in (response.answer, response.authority, response.additional):
        assert len(section) <= MOST_ANSWERED
    for number in (response.answers, response.authorities, response.additionals):
        assert number <= 2 * MOST_RECORDS
    taken: list[int] = []
    read_record = message.read_record
    monkeypatch.setattr(message, "read_record", lambda octets, place: taken.append(place) or read_record(octets, place))
    wire = response.reply(request_for(name, qtype, do=do, size=1232))
    assert len(wire) <= 1230
    assert len(taken) < 1232 / 12


def test_name_servers_too_many_for_a_message_are_left_out_of_other_answers() -> None:
    large = zone(*many("", types.NS), at("x", types.A, bytes(4)), *many("m", types.MX, b"\0\1", 2))
    for name, qtype, number in (("x.example.org", "A", 1), ("m.example.org", "MX", 2)):
        response = answered(large, name, qtype)
        assert (response.answers, response.authorities, response.truncated) == (number, 0, False)


def test_as_many_name_servers_as_fit_go_along() -> None:
    assert answered(zone(*many("", types.NS, number=500), at("x", types.A, bytes(4))), "x.example.org", "A").authorities == 500


def test_addresses_go_along_as_far_as_they_may() -> None:
    hosts = [at(f"h{each:04x}", types.A, bytes(4)) for each in range(700)]
    assert 500 < answered(zone(*many("x", types.MX, b"\0\1", 700), *hosts), "x.example.org", "MX").additionals < 700


@pytest.mark.parametrize("beside", [[], [at("x", types.A, bytes(4))]])
def test_more_signatures_than_a_set_may_hold_make_no_zone(beside: list[Record]) -> None:
    signatures = [at("x", types.RRSIG, signature(types.A, each)) for each in range(0x10000)]
    assert zone(*beside, *signatures[1:]).serial == 0
    with pytest.raises(BadZoneError, match=r"x\.example\.org\. has too many records"):
        zone(*beside, *signatures)
