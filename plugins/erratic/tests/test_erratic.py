"""Answers that are wrong on purpose, by the number of the question."""

import asyncio
import socket
from time import monotonic

import dns.message
import pytest

from pycoredns.corefile.numbers import Duration
from pycoredns.errors import ConfigErrors, Dropped, ServerFailure
from pycoredns.plugin import Plugin
from pycoredns.plugins.erratic import Amount, Erratic, Late, Some
from pycoredns.response import NO_ANSWER
from pycoredns.testing import query_wire, request_for, running


def some(amount):
    return Some(Amount(amount))


def outcomes(plugin, count, qtype="A"):
    """What becomes of so many questions: a letter each for dropped, truncated, ordinary."""
    letters = ""
    for _ in range(count):
        try:
            letters += "t" if plugin.handle(request_for("a.test", qtype)).truncated else "o"
        except Dropped:
            letters += "d"
    return letters


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Erratic(), "dododo"),
        (Erratic(drop=some(3)), "doodoo"),
        (Erratic(drop=some(0)), "oooooo"),
        (Erratic(truncate=some(0)), "dododo"),
        (Erratic(delay=Late(Amount(0))), "dododo"),
        (Erratic(large=True), "dododo"),
        (Erratic(truncate=some(1)), "tototo"),
        (Erratic(truncate=Some()), "ttoott"),
        (Erratic(truncate=some(3)), "toooto"),
        (Erratic(drop=some(2), truncate=some(1)), "dododo"),
        (Erratic(drop=some(3), truncate=some(1)), "dotdto"),
    ],
)
def test_numbers_decide(plugin, expected):
    assert outcomes(plugin, 6) == expected


@pytest.mark.parametrize(
    ("qtype", "large", "expected"),
    [
        ("A", False, ["a.Test. 0 IN A 192.0.2.53"]),
        ("AAAA", True, ["a.Test. 0 IN AAAA 2001:db8::53"]),
        ("A", True, ["a.Test. 0 IN A 192.0.2.53"] * 30),
    ],
)
def test_addresses(qtype, large, expected):
    request = request_for("a.Test", qtype, size=4096)
    response = Erratic(drop=some(0), large=large).handle(request)
    reply = dns.message.from_wire(bytes(2) + response.reply(request), one_rr_per_rrset=True)
    assert [str(rrset) for rrset in reply.answer] == expected
    assert request.personal


def test_other_types_fail_without_being_reported():
    with pytest.raises(ServerFailure) as caught:
        Erratic(drop=some(0)).handle(request_for("a.test", "TXT"))
    assert not str(caught.value)


@pytest.mark.parametrize(("truncate", "ends"), [(None, True), (some(1), False)])
def test_a_zone_is_transferred_with_or_without_its_end(truncate, ends):
    request = request_for("a.test", "AXFR", protocol="tcp")
    response = Erratic(drop=some(0), truncate=truncate).handle(request)
    reply = dns.message.from_wire(bytes(2) + response.reply(request), one_rr_per_rrset=True)
    texts = [str(rrset) for rrset in reply.answer]
    assert texts[:5] == [
        "a.test. 0 IN SOA sns.dns.icann.org. noc.dns.icann.org. 2018050825 7200 3600 1209600 3600",
        "a.test. 0 IN NS b.a.test.",
        "a.test. 0 IN NS a.a.test.",
        "a.a.test. 0 IN AAAA 2001:bd8::53",
        "b.a.test. 0 IN AAAA 2001:500::54",
    ]
    assert texts[5:] == (texts[:1] if ends else [])


@pytest.mark.parametrize(("qtype", "rcode"), [("A", 0), ("TXT", 2)])
async def test_a_late_answer_comes_when_its_time_has_come(qtype, rcode):
    corefile = ".:{port} {\nbind 127.0.0.1\nerratic {\ndelay 1 200ms\n}\n}"
    async with running(corefile) as server:
        started = monotonic()
        reply = await server.query("a.test", qtype)
        assert monotonic() - started >= 0.19
        assert reply.header.rcode == rcode


def test_ready_for_two_questions():
    plugin = Erratic(drop=some(0))
    states = [plugin.ready()]
    for _ in range(6):
        outcomes(plugin, 1)
        states.append(plugin.ready())
    assert states == [False, False, False, True, True, False, False]


class Watching(Plugin):
    """Notes what observers are told."""

    name = "watching"
    step = False

    def __init__(self):
        self.seen = []
        self.failures = []

    def observe(self, outcome):
        self.seen.append((outcome.response, outcome.size))

    def observe_failure(self, outcome):
        self.failures.append(outcome)


async def test_a_dropped_question_is_observed_as_no_answer_and_is_no_failure():
    async with running(".:{port} {\nbind 127.0.0.1\nerratic\n}") as server:
        block, watching = server.server.blocks[0], Watching()
        block.each.append(watching.observe)
        block.failures.append(watching.observe_failure)
        with pytest.raises(TimeoutError):
            await server.query("a.test", timeout=0.1)
        await server.query("a.test")
        with pytest.raises(TimeoutError):
            await server.query("a.test", "TXT", timeout=0.1)
        assert await server.rcode("a.test", "TXT") == "SERVFAIL"
    assert watching.seen[0] == (NO_ANSWER, 0)
    assert [response is NO_ANSWER for response, _ in watching.seen] == [True, False, True, False]
    assert watching.failures == []


async def test_a_connection_ends_after_a_dropped_question():
    async with running(".:{port} {\nbind 127.0.0.1\nerratic\n}") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for name in ("dropped.test", "answered.test"):
            wire = query_wire(name)
            writer.write(len(wire).to_bytes(2, "big") + wire)
        assert b"answered" in await asyncio.wait_for(reader.read(512), 5)
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("block", "cause"),
    [("drop -1", "drop"), ("drop 1 2", "unexpected"), ("corrupt 2", "corrupt"), ("delay x", "delay"), ("large 3", "large")],
)
async def test_options_that_are_refused(block, cause):
    with pytest.raises(ConfigErrors, match=cause):
        async with running(f".:{{port}} {{\nerratic {{\n{block}\n}}\n}}"):
            pass


async def test_words_behind_the_name_mean_nothing():
    async with running(".:{port} {\nerratic a.test 5 {\ndrop 3\n}\n}") as server:
        plugin = server.server.blocks[0].plugins[0]
    assert plugin.drop == Some(Amount(3))


async def test_amounts_may_be_left_out():
    async with running(".:{port} {\nerratic {\ndrop\ndelay\ntruncate\n}\n}") as server:
        plugin = server.server.blocks[0].plugins[0]
    assert (plugin.drop, plugin.truncate, plugin.delay) == (Some(), Some(), Late(Amount(2), Duration(0.1)))
