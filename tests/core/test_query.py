"""What is read of a question, and by which way."""

import os
from contextlib import suppress

import pytest

from pycoredns.query import Malformed, Tail, header_of, tail_of
from pycoredns.request import Request
from pycoredns.service import Service
from pycoredns.testing import SilentListener, query_wire
from pycoredns.wire import edns, types

QUESTION = query_wire("a.test")
END = QUESTION.index(0, 12) + 1


def with_opt(options: bytes, size: int = 1232, flags: int = 0, version: int = 0, additionals: int = 1) -> bytes:
    opt = edns.opt(size, flags, options, version=version)
    return b"%b%b%b%b" % (QUESTION[:10], additionals.to_bytes(2, "big"), QUESTION[12:], opt)


def read(wire: bytes) -> dict[str, object]:
    tail = tail_of(wire, END, header_of(wire[2:12]))
    return {name: getattr(tail, name) for name in Tail.__slots__}


@pytest.mark.parametrize("terms", [{}, {"size": 0}, {"size": 4096, "flags": edns.DO}, {"version": 1}])
def test_a_cookie_is_read_as_any_other_option(terms: dict[str, int]) -> None:
    cookie = edns.option(edns.COOKIE, os.urandom(8))
    padded = read(with_opt(cookie + edns.option(edns.NSID, b""), **terms))
    expected = {
        **padded,
        "beside": len(with_opt(cookie)) - END + 12,
        "cookie": True,
        "direct": padded["usual"],
        "options": cookie,
        "id_less_opt": 2 - len(edns.opt(terms.get("size", 1232), terms.get("flags", 0), cookie)),
        "opt": edns.opt(terms.get("size", 1232), terms.get("flags", 0), cookie),
    }
    assert read(with_opt(cookie, **terms)) == expected


def test_a_header_that_others_take_the_place_of_holds_nothing_more() -> None:
    """Remembered replies hold theirs: 500 tails behind each of them would take all memory."""
    header = header_of(QUESTION[2:12])
    tail_of(QUESTION, END, header)
    assert header.tails
    for flags in range(1 << 11):
        with suppress(Malformed):
            header_of(flags.to_bytes(2, "big") + QUESTION[4:12])
    assert header is not header_of(QUESTION[2:12])
    assert not header.tails


def test_octets_like_a_cookie_that_no_record_holds_mean_nothing() -> None:
    cookie = edns.option(edns.COOKIE, bytes(8))
    found = read(with_opt(cookie, additionals=0))
    assert (found["edns"], found["opt"], found["options"]) == (False, b"", b"")


def test_a_cookie_in_an_answer_section_means_nothing() -> None:
    wire = bytearray(with_opt(edns.option(edns.COOKIE, bytes(8))))
    wire[7] = 1
    found = read(bytes(wire))
    assert (found["edns"], found["opt"], found["options"]) == (False, b"", b"")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (edns.LONG_LIVED_QUERY, bytes(17)),
        (edns.UPDATE_LEASE, bytes(5)),
        (edns.SUBNET, b""),
        (edns.SUBNET, b"\0\0\1\0"),  # no family, but a prefix
        (edns.SUBNET, b"\0\1\x21\0"),
        (edns.SUBNET, b"\0\1\0\x21"),
        (edns.SUBNET, b"\0\2\x81\0"),
        (edns.SUBNET, b"\0\3\0\0"),
        (edns.EXPIRE, b"ab"),
        (edns.KEEPALIVE, b"a"),
        (edns.EXTENDED_ERROR, b"a"),
        (edns.REPORT_CHANNEL, b""),
        (edns.REPORT_CHANNEL, b"\3ab"),
        (edns.ZONE_VERSION, b"\1"),
    ],
)
@pytest.mark.parametrize("beside", [b"", b"\0\0\x01\0\x01\0\0\0\0\0\4abcd"], ids=["alone", "after another record"])
def test_an_option_that_is_malformed_makes_the_query_malformed(code: int, value: bytes, beside: bytes) -> None:
    opt = edns.opt(1232, 0, edns.option(edns.NSID, b"") + edns.option(code, value))
    wire = QUESTION[:10] + bytes([0, 2 if beside else 1]) + QUESTION[12:] + beside + opt
    with pytest.raises(Malformed) as caught:
        Request.read(wire, None, SilentListener(Service("dns://:53", [])), 0)
    assert (caught.value.reply_bits & 15, caught.value.question) == (types.FORMERR, QUESTION[12:])


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (edns.SUBNET, b"\0\0\0\0"),
        (edns.SUBNET, b"\0\1\x18\0\xc0\0\2"),
        (edns.SUBNET, b"\0\2\x38\0"),  # the address is not looked at
        (edns.EXPIRE, b""),
        (edns.EXPIRE, b"abcd"),
        (edns.KEEPALIVE, b""),
        (edns.KEEPALIVE, b"ab"),
        (edns.EXTENDED_ERROR, b"\0\1why"),
        (edns.COOKIE, b"short"),
        (edns.REPORT_CHANNEL, b"\0"),
        (edns.ZONE_VERSION, b""),
        (65001, b""),
    ],
)
def test_options_that_make_sense_are_read(code: int, value: bytes) -> None:
    found = read(with_opt(edns.option(code, value)))
    assert found["options"] == edns.option(code, value)
