"""Proofs of what is not there; what other name servers and validators make of them is judged elsewhere."""

from random import Random

import dns.name
import pytest

from pycoredns.dnssec.bitmaps import hashed_label, nsec3_hash
from pycoredns.response import Response
from pycoredns.testing import request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.denial import canonical, next_closer
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("example")
SOA = Record(ORIGIN, types.SOA, 1, 60, b"\0\0" + bytes(20))
PARAMETERS = b"\1\0\0\x0c\4\xaa\xbb\xcc\xdd"


def test_the_canonical_order_is_that_of_the_rfc() -> None:
    # RFC 4034 §6.1
    order = ["example", "a.example", "yljkjljk.a.example", "z.a.example", "zabc.a.example", "z.example", r"\001.z.example",
             "*.z.example", r"\200.z.example"]  # fmt: skip
    wires = [names.from_text(name) for name in order]
    assert sorted(wires, key=canonical) == wires


def test_the_canonical_order_is_that_of_dnspython() -> None:
    random = Random(1)
    labels = [bytes(random.choice(b"\0\1\2*Aaz\xff") for _ in range(random.randint(1, 3))).lower() for _ in range(40)]
    wires = [names.join([random.choice(labels) for _ in range(random.randint(1, 4))]) for _ in range(2000)]
    expected = sorted(wires, key=lambda wire: dns.name.from_wire(wire, 0)[0])
    assert sorted(wires, key=canonical) == expected


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("example", b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
        ("a.example", b"35mthgpgcu1qg68fab165klnsnk3dpvl"),
        ("*.w.example", b"r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
    ],
)
def test_names_are_hashed_as_in_the_rfc(name: str, label: bytes) -> None:
    assert hashed_label(nsec3_hash(names.from_text(name), b"\xaa\xbb\xcc\xdd", 12)) == b"\x20" + label  # RFC 5155 appendix A


def test_the_next_closer_name() -> None:
    assert next_closer(names.from_text("a.b.c.example"), ORIGIN) == names.from_text("c.example")
    assert next_closer(names.from_text("c.example"), ORIGIN) == names.from_text("c.example")


def test_hashes_are_no_names() -> None:
    owner = hashed_label(nsec3_hash(ORIGIN, b"\xaa\xbb\xcc\xdd", 12)) + ORIGIN
    nsec3 = Record(owner, types.NSEC3, 1, 60, PARAMETERS + b"\x14" + bytes(20) + b"\0\1\x40")
    zone = Zone.of(ORIGIN, [SOA, Record(ORIGIN, types.NSEC3PARAM, 1, 0, PARAMETERS), nsec3])
    response = zone.answer(request_for(names.to_text(owner), "NSEC3", do=True))
    assert isinstance(response, Response)
    assert response.rcode == types.NXDOMAIN
    assert [record.name for record in response.sections().authority if record.rtype == types.NSEC3] == [owner]


def test_a_chain_without_the_apex_proves_nothing_there() -> None:
    nsec3 = Record(b"\x20" + b"0" * 32 + ORIGIN, types.NSEC3, 1, 60, PARAMETERS + b"\x14" + bytes(20))
    zone = Zone.of(ORIGIN, [SOA, Record(ORIGIN, types.NSEC3PARAM, 1, 0, PARAMETERS), nsec3])
    response = zone.answer(request_for("example", "TXT", do=True))
    assert isinstance(response, Response)
    assert [record.rtype for record in response.sections().authority] == [types.SOA]


def test_too_many_iterations_are_refused() -> None:
    parameters = Record(ORIGIN, types.NSEC3PARAM, 1, 0, b"\1\0\xff\xff\0")
    nsec3 = Record(b"\x20" + b"0" * 32 + ORIGIN, types.NSEC3, 1, 60, b"\1\0\xff\xff\0\x14" + bytes(20))
    with pytest.raises(BadZoneError, match="65535 iterations"):
        Zone.of(ORIGIN, [SOA, parameters, nsec3])


def hashes(zone: Zone, name: str) -> set[bytes]:
    """The data of the NSEC3 and NSEC records that prove what there is of a name."""
    response = zone.answer(request_for(name, "TXT", do=True))
    assert isinstance(response, Response)
    return {record.rdata for record in response.sections().authority if record.rtype in (types.NSEC, types.NSEC3)}


def nsec3_chain(salt: bytes, *labels: str) -> list[Record]:
    parameters = b"\1\0\0\0%c%b" % (len(salt), salt)
    hashed = sorted(nsec3_hash(names.from_text(name), salt, 0) for name in labels)
    following = [*hashed[1:], *hashed[:1]]
    pairs = zip(hashed, following, strict=True)
    return [
        Record(hashed_label(each) + ORIGIN, types.NSEC3, 1, 60, parameters + b"\x14" + after + b"\0\1\x40")
        for each, after in pairs
    ]


def test_the_records_of_a_chain_with_another_salt_prove_nothing() -> None:
    present = ("example", *(f"h{number}.example" for number in range(20)))
    addresses = [Record(names.from_text(name), types.A, 1, 60, bytes(4)) for name in present[1:]]
    old, new = nsec3_chain(b"a", *present), nsec3_chain(b"b", *present)
    parameters = Record(ORIGIN, types.NSEC3PARAM, 1, 0, b"\1\0\0\0\1a")
    zone = Zone.of(ORIGIN, [SOA, parameters, *addresses, *old, *new])
    found = {rdata for number in range(40) for rdata in hashes(zone, f"nx{number}.example")}
    assert len(found) > 1
    assert found <= {record.rdata for record in old}


def test_nsec_records_that_are_still_being_made_or_taken_away_do_not_count() -> None:
    parameters = Record(ORIGIN, types.NSEC3PARAM, 1, 0, b"\1\0\0\0\0")
    nsec = Record(ORIGIN, types.NSEC, 1, 60, ORIGIN + b"\0\1\x40")
    chain = nsec3_chain(b"", "example")
    assert hashes(Zone.of(ORIGIN, [SOA, nsec, parameters, *chain]), "example") == {chain[0].rdata}
    assert hashes(Zone.of(ORIGIN, [SOA, nsec, parameters]), "example") == {nsec.rdata}
    other = Record(ORIGIN, types.NSEC3PARAM, 1, 0, b"\1\0\xff\xff\0")
    assert hashes(Zone.of(ORIGIN, [SOA, nsec, other, *chain]), "example") == {nsec.rdata}
