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
