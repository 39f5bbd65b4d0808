"""Queries that ask the same in other octets are answered by one remembered reply, each in its own spelling."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import dns.message
import dns.name
import pytest
from dnslib import RR, A, DNSRecord

from pycoredns import bounds
from pycoredns.chain import Block
from pycoredns.memo import Memo
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.spelling import usual
from pycoredns.testing import SilentListener, Upstream, exchange_tcp, exchange_udp, running
from pycoredns.wire import edns, message, names, types

NAME = b"\3www\7Example\4test\0"
QUESTION = b"\0\1\0\1"
COREFILE = """
.:{port} {
    cache
    forward . {upstream}
}
"""


def reply(query: DNSRecord) -> DNSRecord:
    answer = query.reply()
    answer.add_answer(RR(query.q.qname, rdata=A("192.0.2.1"), ttl=300))
    return answer


def mixed(name: bytes, chance: random.Random) -> bytes:
    return bytes(octet ^ 0x20 if chr(octet).isalpha() and chance.random() < 0.5 else octet for octet in name)


def query(name: bytes = NAME, options: bytes | None = None, surplus: bytes = b"", additionals: int | None = None) -> bytes:
    """A query with these octets as its name, and with these options if they are not None."""
    opt = edns.opt(1232, options=options) if options is not None else b""
    count = bool(opt) if additionals is None else additionals
    return os.urandom(2) + b"\1\0\0\1\0\0\0\0" + count.to_bytes(2, "big") + name + QUESTION + opt + surplus


def cookie(size: int = 8) -> bytes:
    return edns.option(edns.COOKIE, os.urandom(size))


SPELLINGS: dict[str, Callable[[], bytes | None]] = {
    "without EDNS": lambda: None,
    "no option": lambda: b"",
    "cookie": cookie,
    "cookie of zeros": lambda: edns.option(edns.COOKIE, bytes(8)),
    "with the server's part": lambda: cookie(24),
    "NSID, then a cookie": lambda: edns.option(edns.NSID, b"") + cookie(),
    "a cookie, then NSID": lambda: cookie() + edns.option(edns.NSID, b""),
    "padding that looks like a cookie": lambda: edns.option(edns.PADDING, b"\0\x0a\0\x08" + os.urandom(8)),
    "a cookie in an option that is not echoed": lambda: edns.option(65001, b"\0\x0a\0\x08" + os.urandom(8)),
    "two cookies": lambda: cookie() + cookie(),
}


def judge(asked: bytes, answered: bytes, owner: str, address: str) -> None:
    """Compares a reply with what the query says: its ID, its letters, its options."""
    assert answered[:2] == asked[:2]
    end = asked.find(0, 12) + 5
    assert answered[12:end] == asked[12:end]
    sent, got = dns.message.from_wire(asked, ignore_trailing=True), dns.message.from_wire(answered)
    assert [each.to_text() for each in got.answer] == [f"{owner} {got.answer[0].ttl} IN A {address}"]
    assert 295 <= got.answer[0].ttl <= 3600
    assert got.edns == sent.edns
    echoed = [(int(each.otype), each.to_wire()) for each in sent.options if each.otype in edns.ECHOED]
    assert [(int(each.otype), each.to_wire()) for each in got.options] == echoed


def entries() -> int:
    """How many replies are remembered."""
    return sum(len(listener.memo.entries) for service in bounds.services for listener in service.listeners)


@pytest.mark.parametrize("exchange", [exchange_udp, exchange_tcp])
async def test_each_spelling_gets_its_own_letters_and_options_back(exchange: Callable[..., object]) -> None:
    chance = random.Random(7)
    async with Upstream(reply) as upstream, running(COREFILE, upstream=upstream.address) as server:
        address = ("127.0.0.1", server.port)
        await exchange_udp(query(), address)  # from now on the cache has it, as spelled here
        for _ in range(400):
            asked = query(mixed(NAME, chance), chance.choice(list(SPELLINGS.values()))())
            judge(asked, await exchange(asked, address), "www.Example.test.", "192.0.2.1")  # type: ignore[misc]
        assert len(upstream.questions) == 1


async def test_all_spellings_share_an_entry() -> None:
    chance = random.Random(11)
    async with Upstream(reply) as upstream, running(COREFILE, upstream=upstream.address) as server:
        address = ("127.0.0.1", server.port)
        for _ in range(50):
            await exchange_udp(query(mixed(NAME, chance), cookie()), address)
            await exchange_udp(query(mixed(NAME, chance)), address)
        assert entries() == 2


async def test_a_cookie_of_zeros_gets_nobody_elses_back() -> None:
    """A cookie is a secret between its client and the server (RFC 7873 §4.1)."""
    async with Upstream(reply) as upstream, running(COREFILE, upstream=upstream.address) as server:
        for asked in [query(NAME.lower(), cookie()) for _ in range(4)] + [
            query(NAME.lower(), edns.option(edns.COOKIE, bytes(8)))
        ]:
            judge(asked, await exchange_udp(asked, ("127.0.0.1", server.port)), "www.example.test.", "192.0.2.1")


async def test_records_that_follow_the_clients_letters_are_not_given_to_others() -> None:
    spellings = [b"localhost", b"localhost", b"LOCALHOST", b"LOCALHOST", b"localhost", b"LocalHost"]
    async with running(".:{port} {\n local \n}") as server:
        for spelled in spellings:
            answered = await exchange_udp(query(b"\x09" + spelled + b"\0", cookie()), ("127.0.0.1", server.port))
            assert dns.message.from_wire(answered).answer[0].name.to_text() == spelled.decode() + "."


async def test_records_that_follow_the_clients_letters_are_remembered_for_the_same_letters() -> None:
    async with running(".:{port} {\n local \n}") as server:
        for _ in range(3):
            await exchange_udp(query(b"\x09LocalHost\0"), ("127.0.0.1", server.port))
        assert entries() == 1


async def test_a_cookie_behind_another_option_is_not_taken_for_one_of_zeros() -> None:
    both = edns.option(edns.NSID, b"")
    async with Upstream(reply) as upstream, running(COREFILE, upstream=upstream.address) as server:
        for last in (edns.option(edns.COOKIE, bytes(8)),) * 4 + (cookie(), cookie()):
            asked = query(NAME.lower(), both + last)
            judge(asked, await exchange_udp(asked, ("127.0.0.1", server.port)), "www.example.test.", "192.0.2.1")


async def test_octets_behind_a_question_that_look_like_a_cookie_are_none() -> None:
    async with Upstream(reply) as upstream, running(COREFILE, upstream=upstream.address) as server:
        for _ in range(4):
            asked = query(surplus=b"\0\x0a\0\x08" + os.urandom(8), additionals=0)
            judge(asked, await exchange_udp(asked, ("127.0.0.1", server.port)), "www.Example.test.", "192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (query(NAME), query(NAME.upper()), True),
        (query(NAME, cookie()), query(NAME.lower(), cookie()), True),
        (query(NAME, b""), query(NAME, cookie()), False),
        (query(b"\1a\0"), query(b"\1b\0"), False),
        (query(b"\1a\0") + b"A", query(b"\1a\0") + b"a", False),
        (query(b"\4a\0BC\0"), query(b"\4a\0bc\0"), False),
        (query(NAME, cookie(16)), query(NAME, cookie(16)), False),
        (b"\0\0\1\0\0\1\0\0\0\0\0\0\3WWW", b"\0\0\1\0\0\1\0\0\0\0\0\0\3www", False),
    ],
)
def test_only_letters_of_the_name_and_the_cookie_make_no_difference(one: bytes, other: bytes, alike: bool) -> None:
    assert (usual(one[2:]) == usual(other[2:])) == alike


class Faulty(Plugin):
    """Answers as a cache does; what it would give in turn from memory cannot be made."""

    name = "faulty"

    def handle(self, request: Request) -> Response:
        response = Response(answer=message.record(request.name, types.A, 60, b"\xc0\0\2\1"), answers=1)
        response.any_case, response.orders = True, lambda: 1 / 0  # type: ignore[assignment,return-value]  # it is meant to fail
        return response


@pytest.mark.parametrize("name", [NAME, NAME.lower()])
def test_an_answer_that_cannot_be_remembered_is_given_all_the_same(name: bytes, caplog: pytest.LogCaptureFixture) -> None:
    zone = names.from_text("example.test")
    service = Service("dns://:53", [(zone, Block([zone], [Faulty()]))])
    listener = SilentListener(service)
    listener.memo = Memo()
    for _ in range(3):
        answered = service.serve(query(name), b"", listener, 0)
        assert answered is not None
        assert dns.message.from_wire(bytes(2) + answered).answer[0].to_text().endswith("192.0.2.1")
    assert "could not be remembered" in caplog.text
