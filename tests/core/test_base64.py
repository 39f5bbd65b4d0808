"""What CoreDNS counts too many for signatures and keys."""

import pytest

from pycoredns.response import Response
from pycoredns.testing import request_for
from pycoredns.wire import types
from pycoredns.wire.base64 import surplus
from pycoredns.wire.message import Record, fit

NAME = b"\4test\0"
SIGNED = bytes(18) + NAME
ADDRESS = Record(NAME, types.A, types.IN, 300, bytes(4))
SIGNATURE = Record(NAME, types.RRSIG, types.IN, 300, SIGNED + bytes(64))
KEY = Record(NAME, types.DNSKEY, types.IN, 300, bytes(4 + 64))


@pytest.mark.parametrize(
    ("rtype", "rdata", "too_many"),
    [
        (types.RRSIG, SIGNED + bytes(64), 2),
        (types.RRSIG, SIGNED + bytes(96), 0),
        (types.RRSIG, SIGNED + bytes(256), 2),
        (types.RRSIG, SIGNED, 0),
        (types.RRSIG, bytes(18) + b"\4cut", 0),
        (24, SIGNED + bytes(65), 1),
        (types.DNSKEY, bytes(4 + 64), 2),
        (types.DNSKEY, bytes(4 + 260), 1),
        (types.CDNSKEY, bytes(4 + 96), 0),
        (37, bytes(5 + 10), 2),
        (49, bytes(35), 1),
        (61, bytes(100), 2),
        (types.DS, bytes(36), 0),
        (types.TXT, bytes(5), 0),
    ],
)
def test_what_is_kept_as_base64_is_rounded_up(rtype, rdata, too_many):
    assert surplus(rtype, rdata) == too_many


@pytest.mark.parametrize(
    ("qtype", "do", "sections", "too_many"),
    [
        ("A", True, ([ADDRESS, SIGNATURE],), 2),
        ("A", True, ([ADDRESS, SIGNATURE], [SIGNATURE], [SIGNATURE, KEY]), 8),
        ("A", True, ([ADDRESS],), 0),
        ("DNSKEY", False, ([KEY, KEY],), 4),
        ("ANY", False, ([ADDRESS, KEY],), 2),
    ],
)
def test_an_answer_has_the_size_that_coredns_shows(qtype, do, sections, too_many):
    response = Response.of(*sections)
    octets = len(response.answer) + len(response.authority) + len(response.additional)
    assert response.size(request_for("test", qtype, do=do)) == 12 + len(NAME) + 4 + octets + too_many


@pytest.mark.parametrize(("room", "records"), [(0, 1), (1, 1), (2, 2)])
def test_an_answer_is_cut_where_coredns_cuts_it(room, records):
    beginning = bytes(12) + NAME + bytes(4)
    whole, _ = fit(beginning, NAME, [[ADDRESS, SIGNATURE]], 65535)
    _, counts = fit(beginning, NAME, [[ADDRESS, SIGNATURE]], len(whole) + room)
    assert counts == (records, 0, 0)
