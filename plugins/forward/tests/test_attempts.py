"""One upstream after the other: when the next is asked, and when it is over."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable

import pytest
import uvloop
from dnslib import RR, DNSRecord

from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward import upstream
from pycoredns.plugins.forward.tests.support import (
    Scripted,
    ended,
    forwarding,
    wait,
    with_address,
    with_rcode,
)
from pycoredns.testing import Upstream, free_port, records, request_for, running


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
                    await asyncio.wait_for(ended(forward.handle(request_for("a.test"))), 1)
                assert re.fullmatch(
                    rf"read udp 127\.0\.0\.1:\d+->127\.0\.0\.1:{port}: read: connection refused", str(caught.value)
                )
            with pytest.raises(ServerFailure, match=f"dial tcp 127.0.0.1:{port}: connect: connection refused"):
                await asyncio.wait_for(ended(forward.handle(request_for("a.test", protocol="tcp"))), 1)
            many = await asyncio.gather(
                *(ended(forward.handle(request_for("a.test"))) for _ in range(200)), return_exceptions=True
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
            ".:{port} {\n cancel 500ms\n forward . {silent} {\n read_timeout 300ms\n max_connect_attempts 0\n max_fails 0\n}\n}",
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
