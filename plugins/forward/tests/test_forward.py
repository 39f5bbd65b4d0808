import asyncio
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import uvloop
from dnslib import RR, DNSRecord

from pycoredns import bounds
from pycoredns.answer import Answer
from pycoredns.errors import Dropped, Refused, ServerFailure
from pycoredns.plugins.forward import measures, plugin, streams, upstream
from pycoredns.plugins.forward.tests.support import (
    ONE_ADDRESS,
    Scripted,
    configured,
    forwarding,
    question_of,
    reply_to,
    serving,
    serving_https,
    with_address,
    with_rcode,
    write_certificate,
)
from pycoredns.response import Response
from pycoredns.testing import Upstream, eventually, free_port, query_wire, records, request_for, running


async def wait(answer: Answer) -> Response:
    """An answer's end, within the time that any question may take."""
    return await asyncio.wait_for(_ended(answer), 6)


async def _ended(answer: Answer) -> Response:
    return await answer


# --- what is relayed


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


async def test_octets_behind_the_last_record_are_not_relayed() -> None:
    seen = []

    def script(query: bytes, protocol: str) -> Iterable[bytes]:
        seen.append(query[2:])
        return [reply_to(query)]

    async with (
        Scripted(script) as other,
        running(".:{port} {\n forward . {other}\n}", other=other.address) as server,
    ):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", server.port))
        wire = query_wire("a.test", size=1232)
        transport.sendto(wire + b"and more")
        await eventually(lambda: bool(seen))
        transport.close()
        assert seen == [wire[2:]]


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


# --- upstreams that lie


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
    asked: list[bytes] = []

    def script(query: bytes, protocol: str) -> Iterable[bytes]:
        asked.append(query)
        return []

    async with Scripted(script) as other, forwarding(f"forward . {other.address}") as forward:
        answer = forward.handle(request_for("a.test"))
        await eventually(lambda: bool(asked))
        channel = forward._upstreams[0]._datagrams._channels[0]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=channel._sock.getsockname()
        )
        transport.sendto(reply_to(asked[0]))
        other._datagrams.sendto(reply_to(asked[0], b"", (0, 0, 0), 0x8183), channel._sock.getsockname())
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


# --- one upstream after the other


async def test_a_silent_upstream_is_given_up_after_two_attempts() -> None:
    async with (
        Scripted(lambda query, _: []) as silent,
        forwarding(f"forward . {silent.address} {{\n read_timeout 50ms\n max_fails 0\n}}") as forward,
    ):
        for protocol in ("udp", "tcp"):
            with pytest.raises(ServerFailure) as caught:
                await wait(forward.handle(request_for("a.test", protocol=protocol)))
            route = rf"127\.0\.0\.1:\d+->127\.0\.0\.1:{silent.port}"
            assert re.fullmatch(rf"read {protocol} {route}: i/o timeout", str(caught.value))
        assert Counter(silent.queries) == {"udp": 2, "tcp": 2}
        assert forward.waiting == 0


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_refusal_is_told_at_once(run: Callable[..., object]) -> None:
    async def refused() -> None:
        port = free_port()
        async with forwarding(f"forward . 127.0.0.1:{port}") as forward:
            for _ in range(3):
                with pytest.raises(ServerFailure) as caught:
                    await asyncio.wait_for(_ended(forward.handle(request_for("a.test"))), 1)
                assert re.fullmatch(
                    rf"read udp 127\.0\.0\.1:\d+->127\.0\.0\.1:{port}: read: connection refused", str(caught.value)
                )
            with pytest.raises(ServerFailure, match=f"dial tcp 127.0.0.1:{port}: connect: connection refused"):
                await asyncio.wait_for(_ended(forward.handle(request_for("a.test", protocol="tcp"))), 1)
            many = await asyncio.gather(
                *(_ended(forward.handle(request_for("a.test"))) for _ in range(200)), return_exceptions=True
            )
            assert {type(each) for each in many} == {ServerFailure}

    run(refused())


async def test_the_next_upstream_answers_for_one_that_is_dead() -> None:
    async with (
        Upstream(with_address("192.0.2.7")) as good,
        forwarding(f"forward . 127.0.0.1:{free_port()} {good.address} {{\n policy sequential\n}}") as forward,
    ):
        for protocol in ("udp", "tcp"):
            response = await wait(forward.handle(request_for("a.test", protocol=protocol)))
            assert records(response) == ["a.test. 300 A 192.0.2.7"]


@pytest.mark.parametrize(("attempts", "asked"), [("1", 1), ("3", 3), ("0", 5)])
async def test_attempts_are_limited(attempts: str, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SWEEP", 0.01)
    options = f"max_connect_attempts {attempts}\n read_timeout 10ms\n max_fails 0"
    async with Scripted(lambda query, _: []) as silent, forwarding(f"forward . {silent.address} {{\n {options}\n}}") as forward:
        forward.patience = 400_000_000
        with pytest.raises(ServerFailure, match="i/o timeout"):
            await wait(forward.handle(request_for("a.test")))
        assert len(silent.queries) == asked if attempts != "0" else len(silent.queries) > 3


async def test_patience_ends_before_attempts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SWEEP", 0.01)
    async with (
        Scripted(lambda query, _: []) as silent,
        running(
            ".:{port} {\n cancel 60ms\n forward . {silent} {\n read_timeout 50ms\n max_connect_attempts 0\n max_fails 0\n}\n}",
            silent=silent.address,
        ) as server,
    ):
        assert await server.rcode("a.test") == "SERVFAIL"
        assert len(silent.queries) == 2


@pytest.mark.parametrize(
    ("first", "second", "rcode", "asked"),
    [(2, 0, 0, (1, 1)), (5, 3, 3, (1, 1)), (2, 2, 2, (1, 1)), (3, 0, 3, (1, 0))],
)
async def test_failover(first: int, second: int, rcode: int, asked: tuple[int, int]) -> None:
    async with Upstream(with_rcode(first)) as one, Upstream(with_rcode(second)) as other:
        line = f"forward . {one.address} {other.address} {{\n policy sequential\n failover SERVFAIL REFUSED\n}}"
        async with forwarding(line) as forward:
            assert (await wait(forward.handle(request_for("a.test")))).rcode == rcode
        assert (len(one.questions), len(other.questions)) == asked


def names_of_one(query: DNSRecord) -> DNSRecord:
    """One name has an address, another exists without, the rest does not exist."""
    reply = query.reply(ra=1, aa=0)
    if query.q.qname.matchSuffix("one.test"):
        reply.add_answer(*RR.fromZone(f"{query.q.qname} 60 A 192.0.2.1"))
    elif not query.q.qname.matchSuffix("empty.test"):
        reply.header.rcode = 3
    return reply


@pytest.mark.parametrize(
    ("options", "from_second"),
    [
        ("", []),
        ("next NXDOMAIN", ["two.test"]),
        ("next_on_nodata", ["empty.test"]),
        ("next nxdomain servfail\n next_on_nodata", ["two.test", "empty.test"]),
    ],
)
async def test_the_next_forward(options: str, from_second: list[str]) -> None:
    corefile = ".:{port} {\n forward . {one} {\n {options}\n }\n forward . {two}\n whoami\n}"
    async with (
        Upstream(names_of_one) as one,
        Upstream(with_address("192.0.2.2")) as two,
        running(corefile, one=one.address, two=two.address, options=options) as server,
    ):
        for name in ("one.test", "two.test", "empty.test"):
            answers = await server.answers(name)
            assert answers == (["A 192.0.2.2"] if name in from_second else ["A 192.0.2.1"] if name == "one.test" else [])


async def test_next_matters_only_before_another_forward() -> None:
    corefile = ".:{port} {\n forward . {one} {\n next NXDOMAIN\n }\n whoami\n}"
    async with Upstream(with_rcode(3)) as one, running(corefile, one=one.address) as server:
        assert await server.rcode("a.test") == "NXDOMAIN"


# --- health


async def test_an_upstream_that_fails_is_left_out_until_it_is_well() -> None:
    port = free_port()
    async with Upstream(with_address("192.0.2.2")) as second:
        line = f"forward . 127.0.0.1:{port} {second.address} {{\n policy sequential\n health_check 10ms no_rec domain up.test\n}}"
        async with forwarding(line) as forward:
            first = forward._upstreams[0]
            assert records(await wait(forward.handle(request_for("a.test")))) == ["a.test. 300 A 192.0.2.2"]
            await eventually(lambda: first.fails > forward.max_fails)
            checks: list[bytes] = []

            def script(query: bytes, protocol: str) -> Iterable[bytes]:
                checks.append(query)
                return [reply_to(query, b"", (0, 0, 0), 0x8185)]

            revived = Scripted(script)
            revived.port = port
            async with revived:
                await eventually(lambda: first.fails == 0)
                assert checks[0][2:4] == b"\0\0"
                assert question_of(checks[0]) == b"\2up\4test\0\0\2\0\1"
                assert (await wait(forward.handle(request_for("a.test")))).rcode == 5


@pytest.mark.parametrize(("failfast", "asked"), [(True, 0), (False, 1)])
async def test_when_all_are_down(failfast: bool, asked: int) -> None:
    option = "failfast_all_unhealthy_upstreams" if failfast else ""
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n {option}\n}}") as forward,
    ):
        forward._upstreams[0].fails = 3
        before = measures.all_unhealthy.cell().value
        answer = forward.handle(request_for("a.test"))
        if failfast:
            with pytest.raises(ServerFailure, match="no healthy proxies"):
                await wait(answer)
        else:
            assert (await wait(answer)).answers == 1
        assert len(other.queries) == asked
        assert measures.all_unhealthy.cell().value == before + 1


async def test_without_max_fails_no_health_is_checked() -> None:
    async with forwarding(f"forward . 127.0.0.1:{free_port()} {{\n max_fails 0\n}}") as forward:
        with pytest.raises(ServerFailure):
            await wait(forward.handle(request_for("a.test")))
        assert forward._upstreams[0]._checking is None


# --- bounds


async def test_questions_above_max_concurrent_are_refused() -> None:
    held: list[bytes] = []

    def hold(query: bytes, protocol: str) -> Iterable[bytes]:
        held.append(query)
        return []

    async with Scripted(hold) as other, forwarding(f"forward . {other.address} {{\n max_concurrent 2\n}}") as forward:
        before = measures.rejected.cell().value
        answers = [forward.handle(request_for("a.test")) for _ in range(2)]
        with pytest.raises(Refused, match=r"^concurrent queries exceeded maximum 2$"):
            forward.handle(request_for("a.test"))
        assert measures.rejected.cell().value == before + 1
        await eventually(lambda: len(held) == 2)
        other.script = lambda query, _: [reply_to(query)]
        channel = forward._upstreams[0]._datagrams._channels[0]
        for query in held:
            other._datagrams.sendto(reply_to(query), channel._sock.getsockname())
        for answer in answers:
            await wait(answer)
        assert (await wait(forward.handle(request_for("a.test")))).answers == 1


async def test_questions_that_wait_are_bounded_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds.overload, "most_waiting", 5)
    async with Scripted(lambda query, _: []) as silent, forwarding(f"forward . {silent.address}") as forward:
        for _ in range(5):
            forward.handle(request_for("a.test"))
        with pytest.raises(ServerFailure, match=r"^$"):
            forward.handle(request_for("a.test"))
        monkeypatch.setattr(bounds.overload, "silent", True)
        with pytest.raises(Dropped):
            forward.handle(request_for("a.test"))


def descriptors() -> int:
    """How many files are open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count is wanted


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_all_sockets_are_closed_at_the_end(protocol: str) -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other:
        before = descriptors()
        async with forwarding(f"forward . {other.address} 127.0.0.1:{free_port()}") as forward:
            await asyncio.gather(
                *(_ended(forward.handle(request_for("a.test", protocol=protocol))) for _ in range(50)), return_exceptions=True
            )
            assert descriptors() > before
        other.hang_up()
        await eventually(lambda: descriptors() <= before)


async def test_who_waits_at_the_end_is_told() -> None:
    async with Scripted(lambda query, _: []) as silent:
        async with forwarding(f"forward . {silent.address} {{\n max_fails 0\n}}") as forward:
            answers = [forward.handle(request_for("a.test", protocol=protocol)) for protocol in ("udp", "tcp")]
            await eventually(lambda: len(silent.queries) == 2)
            forward.patience = 0
        for answer in answers:
            with pytest.raises(ServerFailure, match="the server stops"):
                await wait(answer)


# --- connections


def counts(forward: plugin.Forward, protocol: str) -> tuple[float, float]:
    """How many questions needed a new connection, and how many did not."""
    to = forward._upstreams[0].terms.endpoint.text
    return tuple(metric.cell("forward", to, protocol).value for metric in (measures.opened, measures.reused))  # type: ignore[return-value]  # two


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_connections_are_used_again_and_closed_when_idle(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SWEEP", 0.01)
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n expire 100ms\n}}") as forward,
    ):
        for _ in range(5):
            await wait(forward.handle(request_for("a.test", protocol=protocol)))
        assert counts(forward, protocol) == (1, 4)
        used = forward._upstreams[0]
        await eventually(lambda: used._timer is None)
        assert not used._datagrams.open
        assert not used._streams.open
        await wait(forward.handle(request_for("a.test", protocol=protocol)))
        assert counts(forward, protocol) == (2, 4)


async def test_source_ports_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SWEEP", 0.005)
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n expire 100ms\n max_age 100ms\n max_idle_conns 4\n}}") as forward,
    ):
        ports = set()
        for _ in range(100):
            await wait(forward.handle(request_for("a.test")))
            channels = forward._upstreams[0]._datagrams._channels
            ports |= {channel.route for channel in channels}
            assert len(channels) <= 4
            await asyncio.sleep(0.005)
        assert len(ports) > 8


async def test_a_connection_that_was_closed_meanwhile_does_no_harm() -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other:
        other.hang_up_after = 1
        async with forwarding(f"forward . {other.address}") as forward:
            for _ in range(5):
                await wait(forward.handle(request_for("a.test", protocol="tcp")))
        assert len(other.queries) == 5


async def test_a_connection_that_closes_on_its_second_question_gives_way_to_a_new_one() -> None:
    async with Scripted(lambda query, _: [] if len(other.queries) == 2 else [reply_to(query)]) as other:
        other.hang_up_after = 2
        async with forwarding(f"forward . {other.address} {{\n max_connect_attempts 1\n}}") as forward:
            for _ in range(2):
                assert (await wait(forward.handle(request_for("a.test", protocol="tcp")))).answers == 1
        assert (len(other.queries), other.connections) == (3, 2)


async def test_an_upstream_that_closes_instead_of_answering() -> None:
    async with Scripted(lambda query, _: []) as other:
        other.hang_up_after = 1
        async with forwarding(f"forward . {other.address}") as forward:
            with pytest.raises(ServerFailure, match=r"^EOF$"):
                await wait(forward.handle(request_for("a.test", protocol="tcp")))


async def test_many_questions_share_some_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 4)
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n max_idle_conns 2\n}}") as forward,
    ):
        answers = [forward.handle(request_for(f"n{number}.test", protocol="tcp")) for number in range(100)]
        for number, answer in enumerate(answers):
            assert records(await wait(answer)) == [f"n{number}.test. 300 A 192.0.2.1"]
        assert other.connections == 4
        assert len(forward._upstreams[0]._streams._connections) == 2


async def test_on_reload_upstreams_of_equal_terms_stay() -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other, forwarding(f"forward . {other.address}") as old:
        await wait(old.handle(request_for("a.test", protocol="tcp")))
        for line, kept in [
            (f"forward . 127.0.0.1 {other.address} {{\n policy sequential\n}}", [False, True]),
            (f"forward . {other.address} {{\n expire 1s\n}}", [False]),
        ]:
            new = configured(line)[0]
            new.take_over(old)
            async with new.running():
                assert [each in old._upstreams for each in new._upstreams] == kept
        await wait(old.handle(request_for("a.test", protocol="tcp")))
        assert other.connections == 1


# --- TLS, HTTPS, names


@pytest.mark.parametrize(
    ("to", "options", "trouble"),
    [
        ("tls://{address}", "tls {ca}\n tls_servername dns.test", ""),
        ("tls://127.0.0.1%dns.test:{port}", "tls {ca}", ""),
        ("tls://{address}", "tls {ca}", ""),
        ("tls://{address}", "tls {ca}\n tls_servername other.test", "tls: failed to verify certificate: Hostname mismatch"),
        ("tls://{address}", "tls", "tls: failed to verify certificate: self-signed certificate"),
    ],
)
async def test_tls(to: str, options: str, trouble: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with Scripted(lambda query, _: [reply_to(query)], serving(paths)) as other:
        values = {"address": other.address, "port": other.port, "ca": paths[0]}
        line = f"forward . {to} {{\n {options}\n max_fails 0\n}}".replace("{\n", "{{\n").replace("\n}", "\n}}").format(**values)
        async with forwarding(line) as forward:
            for _ in range(2):
                answer = forward.handle(request_for("a.test"))
                if trouble:
                    with pytest.raises(ServerFailure, match=trouble):
                        await wait(answer)
                else:
                    assert (await wait(answer)).answers == 1
            assert counts(forward, "tcp-tls") == ((1, 1) if not trouble else (4, 0))


Reply = Callable[[bytes], tuple[int, str, bytes]]
GOOD: Reply = lambda query: (200, "application/dns-message", reply_to(query))  # noqa: E731  a table of such follows


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_https(method: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with serving_https(GOOD, paths) as (address, requests):
        line = f"forward . https://{address} {{\n tls {paths[0]}\n doh_method {method}\n}}"
        async with forwarding(line) as forward:
            for name in ("a.test", "b.test"):
                answer = await wait(forward.handle(request_for(name)))
                assert records(answer) == [f"{name}. 300 A 192.0.2.1"]
            assert counts(forward, "https") == (1, 1)
    assert [request[0] for request in requests] == [method] * 2
    assert all(request[2][:2] == b"\0\0" for request in requests)


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (lambda query: (404, "text/plain", b"nothing here"), "status 404"),
        (lambda query: (200, "application/dns-message", b""), "not one to this question"),
        (lambda query: (200, "application/dns-message", reply_to(query, question=b"\1b\0\0\1\0\1")), "not one to this question"),
        (lambda query: (200, "application/dns-message", bytes(70_000)), "too long"),
    ],
)
async def test_https_that_is_no_answer(reply: Reply, trouble: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with (
        serving_https(reply, paths) as (address, _),
        forwarding(f"forward . https://{address} {{\n tls {paths[0]}\n max_fails 0\n}}") as forward,
    ):
        with pytest.raises(ServerFailure, match=trouble):
            await wait(forward.handle(request_for("a.test")))


@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_health_is_checked_in_the_protocol_of_the_upstream(scheme: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with (
        serving_https(GOOD, paths) as (https, _),
        Scripted(lambda query, _: [reply_to(query)], serving(paths)) as tls,
        forwarding(f"forward . {scheme}://{https if scheme == 'https' else tls.address} {{\n tls {paths[0]}\n}}") as forward,
    ):
        checked = forward._upstreams[0]
        checked.fails = 5
        checked.check()
        await eventually(lambda: checked.fails == 0)
        assert tls.queries == (["tcp"] if scheme == "tls" else [])


async def test_names_are_looked_up_at_the_start() -> None:
    def addresses(query: DNSRecord) -> DNSRecord:
        reply = query.reply()
        if query.q.qtype == 1 and str(query.q.qname) == "dns.test.":
            reply.add_answer(*RR.fromZone("dns.test. 60 A 127.0.0.1"))
        return reply

    async with Upstream(addresses) as names, Upstream(with_address("192.0.2.7")) as other:
        corefile = ".:{port} {\n forward . dns.test:{other} {\n resolver {names}\n }\n}"
        async with running(corefile, other=other.port, names=names.address) as server:
            assert await server.answers("a.test") == ["A 192.0.2.7"]
        with pytest.raises(Exception, match=r'Corefile:2: forward: failed to resolve "none.test"'):
            async with running(".:{port} {\n forward . none.test {\n resolver {names}\n }\n}", names=names.address):
                pass
