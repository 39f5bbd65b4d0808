"""Upstreams that lie, and those whose answers cannot be read."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import product

import dns.message
import pytest

from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward.tests.support import (
    ONE_ADDRESS,
    Scripted,
    forwarding,
    question_of,
    reply_to,
    wait,
)
from pycoredns.testing import eventually, records, request_for, running
from pycoredns.wire import edns

LIES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda query: b"",
    "one octet": lambda query: query[:1],
    "a header only": lambda query: query[:2] + b"\x81\x80" + bytes(8),
    "another ID": lambda query: bytes((query[0] ^ 1, query[1])) + reply_to(query)[2:],
    "the query itself": lambda query: query,
    "another name": lambda query: reply_to(query, question=b"\1b\4test\0\0\1\0\1"),
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


CUT: dict[str, Callable[[bytes], bytes]] = {
    "fewer records than counted": lambda query: reply_to(query, ONE_ADDRESS, (2, 0, 0)),
    "fewer records than counted before the additional ones": lambda query: reply_to(query, ONE_ADDRESS, (1, 1, 1)),
    "a record that is cut off": lambda query: reply_to(query, ONE_ADDRESS[:-1]),
    "RDATA longer than the message": lambda query: reply_to(query, ONE_ADDRESS[:10] + b"\xff\xff" + ONE_ADDRESS[12:]),
    "a label of an unknown kind": lambda query: reply_to(query, b"\x80" + ONE_ADDRESS[1:]),
}
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "an owner that points to itself": lambda query: reply_to(query, b"\xc0" + bytes((len(query),)) + ONE_ADDRESS[2:]),
    "an alias that points forwards": lambda query: reply_to(query, b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\xff"),
    "an option that is cut off": lambda query: reply_to(query, edns.opt(1232, options=b"\0\3\0\4ab"), (0, 0, 1)),
    "an option that is too short": lambda query: reply_to(query, edns.opt(1232, options=b"\0\x0f\0\1a"), (0, 0, 1)),
}


LONG = b"\1a" * 127 + b"\0"


@pytest.mark.parametrize(("count", "trouble"), [(1900, ""), (2000, "its records take .* octets, more than")])
async def test_an_answer_whose_pointers_make_it_too_large_is_not_taken(count: int, trouble: str) -> None:
    """All of its records have the same long name, so that it is twenty times as large for all who look at it."""

    def script(query: bytes, protocol: str) -> Iterable[bytes]:
        place = (0xC000 | len(query) + 12).to_bytes(2, "big")
        text = b"\xc0\x0c\0\x10\0\1\0\0\0\1" + len(LONG).to_bytes(2, "big") + LONG
        return [reply_to(query, text + (place + ONE_ADDRESS[2:]) * count, (count + 1, 0, 0))]

    async with Scripted(script) as other, forwarding(f"forward . {other.address} {{\n max_fails 0\n}}") as forward:
        answer = forward.handle(request_for("a.test", protocol="tcp"))
        if trouble:
            with pytest.raises(ServerFailure, match=trouble):
                await wait(answer)
        else:
            assert (await wait(answer)).answers == count + 1


@pytest.mark.parametrize(("fault", "protocol"), [*product(BROKEN, ("udp", "tcp")), *product(CUT, ("tcp",))])
async def test_an_answer_that_cannot_be_read_is_a_failed_attempt(fault: str, protocol: str) -> None:
    async with (
        Scripted(lambda query, _: [(BROKEN | CUT)[fault](query)]) as bad,
        Scripted(lambda query, _: [reply_to(query)]) as good,
        forwarding(f"forward . {bad.address} {good.address} {{\n policy sequential\n}}") as forward,
    ):
        response = await wait(forward.handle(request_for("a.test", protocol=protocol)))
        assert records(response) == ["a.test. 300 A 192.0.2.1"]


@pytest.mark.parametrize("fault", CUT)
@pytest.mark.parametrize("options", ["", "prefer_udp"])
async def test_a_datagram_that_ends_within_a_record_has_the_question_asked_over_tcp(fault: str, options: str) -> None:
    def script(query: bytes, protocol: str) -> Iterable[bytes]:
        return [CUT[fault](query) if protocol == "udp" else reply_to(query)]

    async with Scripted(script) as other, forwarding(f"forward . {other.address} {{\n {options}\n}}") as forward:
        response = await wait(forward.handle(request_for("a.test")))
        assert (response.truncated, response.answers) == (not options, len(options) // 10)


ALIAS, SOA = b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\x0f", b"\xc0\x0c\0\6\0\1\0\0\0\1\0\x16\0\0" + bytes(20)


@pytest.mark.parametrize(
    ("records_", "counts"),
    [
        pytest.param(ONE_ADDRESS, (1, 0, 0), id="an address"),
        pytest.param(SOA, (0, 1, 0), id="a denial"),
        pytest.param(ALIAS + SOA, (1, 1, 0), id="an alias and a denial"),
    ],
)
async def test_wherever_an_answer_ends_it_is_no_fault_of_ours(
    records_: bytes, counts: tuple[int, int, int], caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query, records_[: int(query[13:15], 16)], counts)]) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        for end in range(len(records_)):
            assert (await server.query(f"{end:02x}.test")).header.tc
        assert not (await server.query(f"{len(records_):02x}.test")).header.tc
    assert not caplog.records


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_additional_records_may_be_missing(protocol: str, missing: int) -> None:
    """As of servers that repeat the counts of a question with an OPT record."""
    beside = ONE_ADDRESS * (2 - missing)
    async with (
        Scripted(lambda query, _: [reply_to(query, ONE_ADDRESS + beside, (1, 0, 2))]) as other,
        forwarding(f"forward . {other.address}") as forward,
    ):
        request = request_for("a.test", protocol=protocol, size=1232)
        response = await wait(forward.handle(request))
        assert (response.answers, response.additionals) == (1, 2 - missing)
        reply = dns.message.from_wire(bytes(2) + response.reply(request))
        assert (len(reply.answer), len(reply.additional)) == (1, 2 - missing)


# --- 0x20: clients that ask in large and small letters by chance, to know forged answers


def in_small_letters(query: bytes) -> bytes:
    return reply_to(query, question=question_of(query).lower())


@pytest.mark.parametrize("block", ["forward . {other}", "cache\n forward . {other}", "loadbalance\n forward . {other}"])
@pytest.mark.parametrize(("protocol", "asked"), [("udp", 2), ("tcp", 1)])
async def test_an_upstream_may_answer_in_other_letters_a_datagram_if_it_does_so_twice(
    protocol: str, asked: int, block: str
) -> None:
    async with (
        Scripted(lambda query, _: [in_small_letters(query)]) as other,
        running(f".:{{port}} {{\n {block}\n}}", other=other.address) as server,
    ):
        reply = await server.query("WwW.a.TeSt", tcp=protocol == "tcp")
        assert [str(each.rdata) for each in reply.rr] == ["192.0.2.1"]
        assert str(reply.q.qname) == "WwW.a.TeSt."
        assert other.queries == [protocol] * asked
        if asked > 1:
            assert other.wires[0][:2] != other.wires[1][:2]


async def test_one_forged_datagram_in_other_letters_does_no_harm() -> None:
    def forged(query: bytes) -> bytes:
        return reply_to(query, ONE_ADDRESS[:-4] + b"\6\6\6\6", question=question_of(query).lower())

    first: list[bytes] = []

    def script(query: bytes, protocol: str) -> Iterable[bytes]:
        first.append(query)
        return [forged(first[0])] * 3 + [reply_to(query)]

    async with Scripted(script) as other, forwarding(f"forward . {other.address}") as forward:
        response = await wait(forward.handle(request_for("A.test")))
        assert records(response) == ["A.test. 300 A 192.0.2.1"]


async def test_each_upstream_has_to_answer_in_other_letters_twice() -> None:
    async with (
        Scripted(lambda query, _: [in_small_letters(query)] if len(first.queries) == 1 else []) as first,
        Scripted(lambda query, _: [in_small_letters(query)]) as second,
        forwarding(
            f"forward . {first.address} {second.address} {{\n policy sequential\n read_timeout 50ms\n max_fails 0\n}}"
        ) as forward,
    ):
        assert (await wait(forward.handle(request_for("A.test")))).answers == 1
        assert (len(first.queries), len(second.queries)) == (2, 2)


@pytest.mark.parametrize("rcode", [1, 2, 4, 5])
async def test_an_error_without_a_question_is_an_answer(rcode: int) -> None:
    async with (
        Scripted(lambda query, _: [query[:2] + (0x8180 | rcode).to_bytes(2, "big") + bytes(8)]) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        reply = await server.query("a.test", size=1232)
        assert (reply.header.rcode, str(reply.q.qname)) == (rcode, "a.test.")
