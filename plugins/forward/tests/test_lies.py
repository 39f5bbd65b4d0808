"""Upstreams that lie, and those whose answers cannot be read."""

import asyncio
from collections.abc import Callable, Iterable

import pytest

from pycoredns.plugins.forward.tests.support import (
    ONE_ADDRESS,
    Scripted,
    forwarding,
    question_of,
    reply_to,
    wait,
)
from pycoredns.testing import eventually, records, request_for, running

LIES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda query: b"",
    "one octet": lambda query: query[:1],
    "a header only": lambda query: query[:2] + b"\x81\x80" + bytes(8),
    "another ID": lambda query: bytes((query[0] ^ 1, query[1])) + reply_to(query)[2:],
    "the query itself": lambda query: query,
    "another name": lambda query: reply_to(query, question=b"\1b\4test\0\0\1\0\1"),
    "the name in other letters": lambda query: reply_to(query, question=question_of(query).upper()),
    "another type": lambda query: reply_to(query, question=question_of(query)[:-4] + b"\0\x1c\0\1"),
    "two questions": lambda query: query[:2] + b"\x81\x80\0\2\0\0\0\0\0\0" + question_of(query) * 2,
    "an error without question that has records": lambda query: query[:2] + b"\x81\x82\0\0\0\1\0\0\0\0" + ONE_ADDRESS,
}


@pytest.mark.parametrize("lie", LIES)
async def test_what_is_no_answer_is_passed_over_while_waiting_goes_on(lie: str) -> None:
    def script(query: bytes, protocol: str) -> Iterable[bytes]:
        return [LIES[lie](query), reply_to(query)]

    async with Scripted(script) as other, forwarding(f"forward . {other.address}") as forward:
        for protocol in ("udp", "tcp"):
            response = await wait(forward.handle(request_for("a.test", protocol=protocol)))
            assert records(response) == ["a.test. 300 A 192.0.2.1"]
        assert other.queries == ["udp", "tcp"]


async def test_an_answer_from_another_port_is_passed_over() -> None:
    async with Scripted(lambda query, _: []) as other, forwarding(f"forward . {other.address}") as forward:
        answer = forward.handle(request_for("a.test"))
        await eventually(lambda: bool(other.wires))
        channel = forward._upstreams[0]._datagrams._channels[0]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=channel._sock.getsockname()
        )
        transport.sendto(reply_to(other.wires[0]))
        other._datagrams.sendto(reply_to(other.wires[0], b"", (0, 0, 0), 0x8183), channel._sock.getsockname())
        assert (await wait(answer)).rcode == 3
        transport.close()


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "fewer records than counted": lambda query: reply_to(query, ONE_ADDRESS, (2, 0, 0)),
    "a record that is cut off": lambda query: reply_to(query, ONE_ADDRESS[:-1]),
    "RDATA longer than the message": lambda query: reply_to(query, ONE_ADDRESS[:10] + b"\xff\xff" + ONE_ADDRESS[12:]),
    "an owner that points to itself": lambda query: reply_to(query, b"\xc0" + bytes((len(query),)) + ONE_ADDRESS[2:]),
    "an alias that points forwards": lambda query: reply_to(query, b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\xff"),
    "a label of an unknown kind": lambda query: reply_to(query, b"\x80" + ONE_ADDRESS[1:]),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_an_answer_that_cannot_be_read_is_a_failed_attempt(fault: str) -> None:
    async with (
        Scripted(lambda query, _: [BROKEN[fault](query)]) as bad,
        Scripted(lambda query, _: [reply_to(query)]) as good,
        forwarding(f"forward . {bad.address} {good.address} {{\n policy sequential\n}}") as forward,
    ):
        for protocol in ("udp", "tcp"):
            response = await wait(forward.handle(request_for("a.test", protocol=protocol)))
            assert records(response) == ["a.test. 300 A 192.0.2.1"]


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
async def test_an_error_without_a_question_is_an_answer(rcode: int) -> None:
    async with (
        Scripted(lambda query, _: [query[:2] + (0x8180 | rcode).to_bytes(2, "big") + bytes(8)]) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        reply = await server.query("a.test", size=1232)
        assert (reply.header.rcode, str(reply.q.qname)) == (rcode, "a.test.")
