"""Which questions are relayed, over which protocol, and what comes back of their answers."""

import asyncio

import pytest

from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward.tests.support import (
    ONE_ADDRESS,
    Scripted,
    forwarding,
    question_of,
    reply_to,
    wait,
    with_address,
)
from pycoredns.testing import Upstream, eventually, query_wire, request_for, running


async def test_a_question_and_its_answer_pass_unchanged() -> None:
    async with (
        Upstream(with_address("192.0.2.7")) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        for tcp in (False, True):
            reply = await server.query("Www.Example.org", tcp=tcp)
            assert [str(rr.rdata) for rr in reply.rr] == ["192.0.2.7"]
            assert str(reply.q.qname) == "Www.Example.org."
            assert (reply.header.ra, reply.header.aa, reply.header.rd) == (1, 0, 1)
        assert [str(each.qname) for each in other.questions] == ["Www.Example.org."] * 2


@pytest.mark.parametrize(
    ("zone", "exceptions", "relayed", "passed_on"),
    [
        (".", "", ["a.test", "."], []),
        ("fw.test", "", ["fw.test", "a.fw.test", "A.FW.test"], ["test", "xfw.test", "other.test"]),
        (".", "inner.test", ["test", "xinner.test"], ["inner.test", "x.inner.test"]),
        ("fw.test", "fw.test", ["fw.test"], ["a.fw.test"]),
        ("fw.test", "a.fw.test b.fw.test", ["fw.test", "c.fw.test"], ["a.fw.test", "x.b.fw.test"]),
    ],
)
async def test_which_names_are_relayed(zone: str, exceptions: str, relayed: list[str], passed_on: list[str]) -> None:
    block = f"{{\n except {exceptions}\n}}" if exceptions else ""
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward {zone} {other.address} {block}") as forward,
    ):
        for name in relayed:
            assert (await wait(forward.handle(request_for(name)))).answers == 1
        for name in passed_on:
            with pytest.raises(ServerFailure, match="no next plugin found"):
                forward.handle(request_for(name))


@pytest.mark.parametrize(("cache", "flags"), [("", 0x0100), ("cache", 0x0120)])
async def test_before_a_cache_upstreams_are_asked_with_ad(cache: str, flags: int) -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        running(".:{port} {\n {cache}\n forward . {other}\n}", other=other.address, cache=cache) as server,
    ):
        reply = await server.query("a.test")
        assert (reply.header.rd, reply.header.ad) == (1, 0)
        assert [int.from_bytes(query[2:4], "big") for query in other.wires] == [flags]


async def test_octets_behind_the_last_record_are_not_relayed() -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", server.port))
        wire = query_wire("a.test", size=1232)
        transport.sendto(wire + b"and more")
        await eventually(lambda: bool(other.wires))
        transport.close()
        assert [query[2:] for query in other.wires] == [wire[2:]]


@pytest.mark.parametrize(
    ("options", "asked", "protocols"),
    [
        ("", "udp", ["udp"]),
        ("", "tcp", ["tcp"]),
        ("force_tcp", "udp", ["tcp"]),
        ("prefer_udp", "tcp", ["udp"]),
        ("prefer_udp\n force_tcp", "udp", ["tcp"]),
    ],
)
async def test_protocols(options: str, asked: str, protocols: list[str]) -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n {options}\n}}") as forward,
    ):
        await wait(forward.handle(request_for("a.test", protocol=asked)))
        assert other.queries == protocols


def cut_over_udp(query: bytes, protocol: str) -> list[bytes]:
    """Truncated over UDP, whole over TCP."""
    return [reply_to(query, b"", (0, 0, 0), 0x8380) if protocol == "udp" else reply_to(query)]


@pytest.mark.parametrize(("options", "answers", "protocols"), [("", 0, ["udp"]), ("prefer_udp", 1, ["udp", "tcp"])])
async def test_truncated_answers(options: str, answers: int, protocols: list[str]) -> None:
    async with Scripted(cut_over_udp) as other, forwarding(f"forward . {other.address} {{\n {options}\n}}") as forward:
        response = await wait(forward.handle(request_for("a.test")))
        assert (response.answers, response.truncated) == (answers, not answers)
        assert other.queries == protocols


@pytest.mark.parametrize(("size", "answers"), [(0, 0), (512, 0), (1232, 64), (9000, 64), (65535, 64)])
async def test_datagrams_longer_than_the_client_takes_become_empty(size: int, answers: int) -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query[:12] + question_of(query), ONE_ADDRESS * 64, (64, 0, 0))]) as other,
        forwarding(f"forward . {other.address}") as forward,
    ):
        response = await wait(forward.handle(request_for("a.test", size=size)))
        assert (response.answers, response.truncated) == (answers, not answers)


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
async def test_answers_of_many_octets_arrive_whole(address: str) -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query, ONE_ADDRESS * 1000, (1000, 0, 0))]) as other,
        running(f".:{{port}} {{\n bind {address}\n forward . {other.address}\n}}") as server,
    ):
        for tcp in (False, True):
            reply = await server.query("a.test", size=65535, tcp=tcp)
            assert len(reply.rr) == 1000
