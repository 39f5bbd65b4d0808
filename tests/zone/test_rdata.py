"""RDATA that look-ups rely on: what is not whole makes no zone."""

import pytest

from pycoredns.testing import request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.rdata import CHECKED
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("example.org")
NAME = b"\1n" + ORIGIN
SOA = Record(ORIGIN, types.SOA, types.IN, 60, ORIGIN + ORIGIN + bytes(20))
WHOLE = {
    "SOA": ORIGIN + NAME + bytes(20),
    "NS": NAME,
    "CNAME": NAME,
    "DNAME": NAME,
    "PTR": NAME,
    "MX": b"\0\1" + NAME,
    "SRV": bytes(6) + NAME,
    "NAPTR": bytes(4) + b"\1u\0\3abc" + NAME,
    "RP": NAME + ORIGIN,
    "SVCB": b"\0\1" + NAME,
    "HTTPS": b"\0\1" + NAME,
    "RRSIG": b"\0\1" + bytes(16) + NAME,
    "NSEC": NAME,
    "NSEC3": b"\1\0\0\1\2ab\3abc",
    "NSEC3PARAM": b"\1\0\0\1\2ab",
}
GOING_ON = {"SVCB", "HTTPS", "RRSIG", "NSEC", "NSEC3"}


def zone(rtype: str, rdata: bytes) -> Zone:
    owner = ORIGIN if rtype == "SOA" else b"\1x" + ORIGIN
    return Zone.of(ORIGIN, [SOA, Record(owner, types.TYPE_NUMBERS[rtype], types.IN, 60, rdata)])


@pytest.mark.parametrize("rtype", WHOLE)
def test_what_is_whole_is_taken_and_what_is_cut_is_not(rtype: str) -> None:
    rdata = WHOLE[rtype]
    assert len(list(zone(rtype, rdata).records())) == 1 + (rtype != "SOA")
    for length in range(len(rdata)):
        with pytest.raises(BadZoneError, match=rf"the {rtype} record of (x\.)?example\.org\. is malformed"):
            zone(rtype, rdata[:length])


@pytest.mark.parametrize("rtype", WHOLE)
def test_only_some_types_go_on(rtype: str) -> None:
    if rtype in GOING_ON:
        zone(rtype, WHOLE[rtype] + b"\0\1\x40")
    else:
        with pytest.raises(BadZoneError):
            zone(rtype, WHOLE[rtype] + b"\0")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"\1n\xc0\0", id="compressed"),
        pytest.param(b"\x40" + bytes(64) + b"\0", id="label too long"),
        pytest.param(b"\1a" * 127 + b"\1a\0", id="name too long"),
    ],
)
@pytest.mark.parametrize("rtype", ["NS", "HTTPS"])
def test_names_keep_to_their_limits(rtype: str, name: bytes) -> None:
    zone(rtype, WHOLE[rtype].replace(NAME, b"\1a" * 127 + b"\0"))
    with pytest.raises(BadZoneError):
        zone(rtype, WHOLE[rtype].replace(NAME, name))


def test_other_types_are_taken_as_they_are() -> None:
    for number in {*types.TYPES} - CHECKED:
        record = Record(b"\1x" + ORIGIN, number, types.IN, 60, b"")
        zone = Zone.of(ORIGIN, [SOA, record])
        zone.answer(request_for("x.example.org"))
        assert record in zone.records()
