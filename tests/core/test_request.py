"""What is read of a question, and by which way."""

import os

import pytest

from pycoredns.request import Tail, header_of, tail_of
from pycoredns.testing import query_wire
from pycoredns.wire import edns

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
        "options": cookie,
        "opt": edns.opt(terms.get("size", 1232), terms.get("flags", 0), cookie),
    }
    assert read(with_opt(cookie, **terms)) == expected


def test_octets_like_a_cookie_that_no_record_holds_mean_nothing() -> None:
    cookie = edns.option(edns.COOKIE, bytes(8))
    found = read(with_opt(cookie, additionals=0))
    assert (found["edns"], found["opt"], found["options"]) == (False, b"", b"")
