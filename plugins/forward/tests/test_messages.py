import random
from contextlib import suppress
from struct import Struct
from time import perf_counter_ns

import dns.message
import pytest

from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward.messages import behind_id, is_bare_error, new_id, read_answer
from pycoredns.plugins.forward.tests.support import ONE_ADDRESS, Scripted, forwarding, reply_to, wait
from pycoredns.request import Request
from pycoredns.testing import SilentListener, exchange_udp, query_wire, request_for, running
from pycoredns.wire import edns
from pycoredns.wire.message import BadMessageError

ASKED = b"\3www\7example\3org\0"


def an_answer() -> bytes:
    """One with aliases, compressed names of all kinds, and an OPT record."""
    reply = dns.message.make_response(dns.message.make_query("www.example.org", "A", use_edns=True, payload=4096))
    reply.answer = dns.message.from_text(
        "id 1\n;QUESTION\nwww.example.org. IN A\n;ANSWER\nwww.example.org. 60 IN CNAME a.example.org.\n"
        "a.example.org. 60 IN A 192.0.2.1\na.example.org. 60 IN A 192.0.2.2\n"
    ).answer
    reply.authority = dns.message.from_text(
        "id 1\n;AUTHORITY\nexample.org. 60 IN NS ns.example.org.\nexample.org. 60 IN SOA ns.example.org. a.test. 1 2 3 4 5\n"
        "example.org. 60 IN MX 10 ns.example.org.\n_x.example.org. 60 IN SRV 1 2 3 a.example.org.\n"
    ).authority
    return reply.to_wire()


@pytest.mark.parametrize("asked", [0x2100, 0x2000, 0x0100, 0, 0x0110])
@pytest.mark.parametrize("sent", [0x8100, 0x8000, 0x8510, 0x8410])
@pytest.mark.parametrize("plain", [False, True])
def test_rd_and_cd_are_passed_on_as_the_upstream_set_them(asked: int, sent: int, plain: bool) -> None:
    request = request_for("www.example.org", "SOA", flags=asked)
    bits = sent | asked & 0x7800
    response = read_answer(request.wire[:2] + bits.to_bytes(2, "big") + request.wire[4:], ASKED, 512)
    response = response.plain() if plain else response
    assert int.from_bytes(response.reply(request)[:2], "big") == response.flags_to(request) == bits


@pytest.mark.parametrize("end", range(33, 60))
def test_an_answer_that_says_it_was_cut_may_end_anywhere(end: int) -> None:
    answer = read_answer(an_answer()[:2] + b"\x83\x80" + an_answer()[4:end], ASKED, 4096)
    assert (answer.truncated, answer.answers, answer.rcode) == (True, 0, 0)


@pytest.mark.parametrize(("bits", "passed_on"), [(0x8180, 0x8380), (0x8190, 0x8390), (0x8583, 0x8783), (0x8080, 0x8280)])
def test_of_an_answer_that_is_too_large_the_flags_are_passed_on(bits: int, passed_on: int) -> None:
    request = request_for("www.example.org", flags=0x0110)
    reply = reply_to(request.wire, ONE_ADDRESS * 40, (40, 0, 0), bits)
    assert read_answer(reply, ASKED, 512).reply(request)[:10] == passed_on.to_bytes(2, "big") + b"\0\1" + bytes(6)


@pytest.mark.parametrize("behind", [b"", b"more"])
def test_ad_is_set_where_the_answer_may_be_for_others_too(behind: bytes) -> None:
    wire = query_wire("www.example.org")
    request = Request.read(wire + behind, b"", request_for("www.example.org").listener, 0)
    assert behind_id(request) == wire[2:]
    request.authentic = True
    assert behind_id(request) == b"\1\x20" + wire[4:]


QUESTION = b"\3www\7example\3org\0\0\1\0\1"
RECORD = b"\1x\0\0\1\0\1\0\0\0\1\0\4\1\2\3\4"


@pytest.mark.parametrize("authentic", [False, True])
@pytest.mark.parametrize(
    ("counts", "records", "passed_on"),
    [
        ((0, 0, 1), b"", (0, 0, 0)),
        ((0, 0, 2), edns.opt(1232), (0, 0, 1)),
        ((1, 1, 2), RECORD, (1, 0, 0)),
        ((1, 0, 1), RECORD + edns.opt(1232), (1, 0, 1)),
        ((0, 0, 1), b"\1x" + edns.opt(1232), (0, 0, 1)),
        ((0, 0, 2), RECORD + edns.opt(1232), (0, 0, 2)),
        ((0, 0, 1), RECORD, (0, 0, 1)),
    ],
)
async def test_a_question_is_sent_with_the_records_it_has(
    counts: tuple[int, int, int], records: bytes, passed_on: tuple[int, int, int], authentic: bool
) -> None:
    """Also where it counts more of them, or has its OPT record in an unusual form."""
    wire = Struct("!HHHHHH").pack(7, 0x0100, 1, *counts) + QUESTION + records
    for behind in (b"", b"more") if sum(passed_on) == sum(counts) else (b"",):
        request = Request.read(wire + behind, b"", request_for("a.test").listener, perf_counter_ns())
        request.authentic = authentic
        async with Scripted(lambda query, _: [reply_to(query)]) as other, forwarding(f"forward . {other.address}") as forward:
            await wait(forward.handle(request))
        head = Struct("!HHHHH").pack(0x0120 if authentic else 0x0100, 1, *passed_on)
        assert other.wires[0][2:] == behind_id(request) == head + QUESTION + records


@pytest.mark.parametrize("missing", [2, 4])
async def test_a_question_without_class_or_type_is_sent_with_those_it_was_read_as(missing: int) -> None:
    """CoreDNS takes them for 0; an upstream might not answer what is cut off, and would be thought of as down."""
    query = query_wire("www.example.org")
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        await exchange_udp(query[:-missing], ("127.0.0.1", server.port), 5)
    assert other.wires[0][2:] == query[2:-missing] + bytes(missing)


async def test_a_question_that_counts_a_record_it_does_not_have_is_mended_on_the_direct_way_too() -> None:
    query = query_wire("www.example.org")
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        await exchange_udp(query[:11] + b"\1" + query[12:], ("127.0.0.1", server.port), 5)
    assert other.wires[0][2:] == query[2:]


def test_whatever_is_accepted_can_be_passed_on() -> None:
    chance, whole = random.Random(20261121), an_answer()
    request, accepted = request_for("www.example.org", size=4096), 0
    small = request_for("www.example.org")
    for _ in range(5000):
        wire = bytearray(whole)
        for _ in range(chance.randrange(1, 5)):
            wire[chance.randrange(6, len(wire))] = chance.choice((0, 1, 0xC0, 0xC1, 0xFF, chance.randrange(256)))
        del wire[chance.choice((len(wire), chance.randrange(34, len(wire)))) :]
        with suppress(BadMessageError, ServerFailure):
            answer = read_answer(bytes(wire), ASKED, 4096)
            for each in (request, small):
                assert len(answer.reply(each)) <= each.limit
                assert answer.size(each) >= 12
            accepted += 1
    assert 100 < accepted < 4900


def test_an_unharmed_answer_is_accepted() -> None:
    answer = read_answer(an_answer(), ASKED, 4096)
    reply = dns.message.from_wire(bytes(2) + answer.reply(request_for("www.example.org", size=4096)))
    assert [len(section) for section in (reply.answer, reply.authority, reply.additional)] == [2, 4, 0]


@pytest.mark.parametrize("opt", [b"", edns.opt(1232)])
def test_all_records_of_an_answer_are_found(opt: bytes) -> None:
    """Also where those that answer are of the usual sort, and only others are looked for."""
    query, beside = query_wire("www.example.org"), b"\1a\xc0\x10\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\2"
    answer = read_answer(reply_to(query, ONE_ADDRESS + beside + opt, (1, 0, 1 + bool(opt))), ASKED, 4096)
    assert [[each.ttl for each in found] for _, found in answer.walk()] == [[300], [], [30]]
    assert [[each.ttl for each in section] for section in answer.with_ttl(7).sections()] == [[7], [], [7]]


@pytest.mark.parametrize(
    ("size", "junk", "kept"),
    [(0, b"", True), (0, b"junk", False), (1232, b"", True), (1232, b"junk", False)],
)
def test_a_question_is_sent_without_what_follows_it(size: int, junk: bytes, kept: bool) -> None:
    wire = query_wire("www.example.org", size=size)
    listener = SilentListener(request_for("a.test").listener.service)
    request = Request.read(wire + junk, b"", listener, 0)
    assert behind_id(request) == wire[2:]
    assert (request.wire == wire) == kept


@pytest.mark.parametrize(
    ("reply", "is_error"),
    [
        (b"\0\0\x81\x81" + bytes(8), True),
        (b"\0\0\x81\x80" + bytes(8), False),
        (b"\0\0\x81\x83" + bytes(8), False),
        (b"\0\0\x81\x89" + bytes(8), False),
        (b"\0\0\x01\x81" + bytes(8), False),
        (b"\0\0\x81\x81\0\1" + bytes(6), False),
        (b"\0\0\x81\x81" + bytes(7), False),
    ],
)
def test_errors_without_a_question(reply: bytes, is_error: bool) -> None:
    assert is_bare_error(reply) == is_error


def test_ids_differ_from_those_in_use() -> None:
    taken = {number.to_bytes(2, "big") for number in range(65535)}
    assert new_id(taken) == b"\xff\xff"
    assert len({new_id(()) for _ in range(10_000)}) > 8000
