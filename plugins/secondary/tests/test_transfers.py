"""Zones fetched from a primary that does not always behave."""

from __future__ import annotations

from contextlib import AsyncExitStack

import dns.message
import dns.opcode
import dns.rdatatype
import pytest

from pycoredns.plugins.secondary import asking
from pycoredns.plugins.secondary.tests.support import Primary, Records, notify, says, secondary, soa, zone
from pycoredns.testing import eventually, free_port, running

pytestmark = pytest.mark.usefixtures("quick")


async def test_whole_at_first_then_what_changed():
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        old, new = soa(1), soa(2)
        primary.zone, primary.steps = zone(2, "two"), [new, old, "v.a.test. 300 TXT one", new, "v.a.test. 300 TXT two", new]
        reply = await notify(server)
        assert (reply[2] & 0xFC, reply[3]) == (0x80 | dns.opcode.NOTIFY << 3 | 4, 0)
        await eventually(lambda: says(server, "two"))
        assert primary.asked == ["AXFR", "SOA", "IXFR"]


async def test_a_notify_with_nothing_new_is_told(caplog):
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        assert "increase" not in caplog.text
        await notify(server)
        await eventually(lambda: "Notify from 127.0.0.1 for a.test.: no SOA serial increase seen" in caplog.messages)


async def test_a_primary_that_is_not_there_is_told_in_the_words_of_coredns(caplog):
    port = free_port()
    fault = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    async with running(f"a.test:{{port}} {{\n secondary {{\n transfer from 127.0.0.1:{port}\n }}\n}}") as server:
        await eventually(lambda: f"All 'a.test.' masters failed to transfer, retrying in 50ms: {fault}" in caplog.messages)
        assert f"Failed to setup transfer `a.test.' with `\"127.0.0.1:{port}\"': {fault}" in caplog.messages
        await notify(server)
        await eventually(lambda: f"Notify from 127.0.0.1 for a.test.: failed primary check: {fault}" in caplog.messages)


async def test_looks_that_fail_are_told_in_the_words_of_coredns(caplog):
    async with AsyncExitStack() as stack:
        primary = await stack.enter_async_context(Primary(zone(1, "one")).running())
        async with secondary(primary) as server:
            await eventually(lambda: says(server, "one"))
            await stack.aclose()
            fault = f"dial tcp 127.0.0.1:{primary.port}: connect: connection refused (zone a.test., retrying in "
            for kind in ("refresh", "retry"):
                await notify(server)
                await eventually(lambda kind=kind: f"Failed {kind} check {fault}" in caplog.text)


async def test_a_transfer_that_fails_is_told_in_the_words_of_coredns(caplog):
    async with Primary([soa(1), soa(1)]).running() as primary, secondary(primary):
        start = f'Failed to transfer `a.test.\' from "127.0.0.1:{primary.port}": '
        await eventually(lambda: any(message.startswith(start) for message in caplog.messages))


@pytest.mark.parametrize(
    "steps",
    [None, [soa(2), soa(1), "gone.a.test. 300 TXT x", soa(2), soa(2)], [soa(2), soa(1), soa(2)]],
    ids=["unknown", "do not fit", "cut"],
)
async def test_a_primary_whose_steps_are_no_good_gives_the_whole(steps):
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        primary.zone, primary.steps = zone(2, "two"), steps
        await notify(server)
        await eventually(lambda: says(server, "two"))
        assert primary.asked == ["AXFR", "SOA", "IXFR", "AXFR"]


def silent(primary: Primary) -> list[Records | bytes]:
    primary.hangs = True
    return []


def hung_up(primary: Primary) -> list[Records | bytes]:
    return []


def without_servers(primary: Primary) -> list[Records | bytes]:
    return [[primary.zone[0], primary.zone[0]]]


@pytest.mark.parametrize("answer", [silent, hung_up, without_servers], ids=lambda answer: answer.__name__)
async def test_whoever_fails_at_changes_gives_the_whole_and_is_not_asked_for_changes_for_a_while(answer, monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        primary.answer = lambda query: answer(primary) if query.question[0].rdtype == dns.rdatatype.IXFR else primary.usual(query)
        for serial, text in [(2, "two"), (3, "three")]:
            primary.zone = zone(serial, text)
            await notify(server)
            await eventually(lambda text=text: says(server, text))
        assert primary.asked == ["AXFR", "SOA", "IXFR", "AXFR", "SOA", "AXFR"]


def cut(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [primary.zone[:2]]


def garbage(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [b"\xff" * 100]


def stranger(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    answers = list(primary.usual(query))
    query.id ^= 1
    return answers if query.question[0].rdtype != dns.rdatatype.SOA else [primary.zone[:1]]


def endless(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    if query.question[0].rdtype == dns.rdatatype.SOA:
        return [primary.zone[:1]]
    return [[primary.zone[0], *[f"n{number}.a.test. 300 A 192.0.2.1" for number in range(200)]]]


def changing(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [[*primary.zone, soa(9)]]


def empty(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [[primary.zone[0], primary.zone[0]]]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (empty, "it has no NS record at its apex"),
        (cut, "the connection was closed too early"),
        (garbage, "a message does not answer our question"),
        (stranger, "a message does not answer our question"),
        (endless, "it has more than 100 records"),
        (changing, "it begins with serial 2 and ends with 9"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_a_broken_transfer_replaces_nothing(bad, said, caplog):
    async with Primary(zone(1, "one")).running() as primary, secondary(primary, "max_records 100") as server:
        await eventually(lambda: says(server, "one"))
        primary.zone, primary.answer = zone(2, "two"), lambda query: bad(primary, query)
        await notify(server)
        await eventually(lambda: said in caplog.text)
        assert await says(server, "one")
        primary.answer = primary.usual
        await notify(server)
        await eventually(lambda: says(server, "two"))


async def test_a_serial_that_goes_back_is_refused(caplog):
    async with Primary(zone(7, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        primary.zone = zone(3, "old")
        await notify(server)
        await eventually(lambda: "its serial 3 is not newer than ours, 7: not taken" in caplog.text)
        assert await says(server, "one")
        assert primary.asked == ["AXFR", "SOA"]


async def test_a_primary_that_says_nothing_is_left(monkeypatch, caplog):
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    async with Primary([]).running() as primary:
        primary.answer = lambda query: []
        async with secondary(primary) as server:
            await eventually(lambda: len(primary.asked) > 1)
            assert await server.rcode("v.a.test", "TXT") == "SERVFAIL"


async def test_the_next_primary_is_asked():
    async with Primary(zone(1, "one")).running() as primary:
        corefile = f"a.test:{{port}} {{\n secondary {{\n transfer from 127.0.0.1:{free_port()} 127.0.0.1:{primary.port}\n}}\n}}"
        async with running(corefile) as server:
            await eventually(lambda: says(server, "one"))
