"""Connections reach the worker that their first question's name belongs to."""

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager

import pytest

from pycoredns.peers import here
from pycoredns.testing import Upstream, exchange_tcp, query_wire
from pycoredns.transport.steering import factor, owner
from pycoredns.workers.handing import Handing, Ways
from tests.workers.crew_process import kill, serving

NAMES = [f"n{number}.lab.test" for number in range(24)]
COREFILE = ".:{port} {\n bind 127.0.0.1\n errors\n prometheus 127.0.0.1:{http}\n cache\n forward . %s\n}\n"


@asynccontextmanager
async def forwarding(folder, workers=2):
    """A server, and the upstream that it asks."""
    async with (
        Upstream(lambda query: query.reply()) as upstream,
        serving(folder, COREFILE % upstream.address, workers) as server,
    ):
        yield server, upstream


def framed(*names):
    return b"".join(len(wire).to_bytes(2, "big") + wire for wire in map(query_wire, names))


async def answers(server, pieces, count):
    """The response codes of so many answers over one connection, whose questions come in pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(10):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        found = [(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))[3] & 15 for _ in range(count)]
    writer.close()
    return found


async def test_what_was_asked_by_udp_is_known_to_who_is_asked_by_tcp(tmp_path):
    async with forwarding(tmp_path, workers=3) as (server, upstream):
        for name in NAMES:
            assert (await server.ask(name))[0] == 0
            assert (await exchange_tcp(query_wire(name), ("127.0.0.1", server.port)))[3] & 15 == 0
            assert (await exchange_tcp(query_wire(name.upper(), "A", size=1232), ("127.0.0.1", server.port)))[3] & 15 == 0
        assert len(upstream.questions) == len(NAMES)
        assert await server.figure("coredns_dns_requests_total") == 3 * len(NAMES)


@pytest.mark.parametrize("pieces", ["octets", "all at once", "one, then the others"])
async def test_a_question_may_come_in_any_pieces_and_others_behind_it(tmp_path, pieces):
    async with forwarding(tmp_path) as (server, _):
        for name in NAMES[:4]:
            message = framed(name, *NAMES[:3])
            first = len(framed(name))
            cut = {
                "octets": [message[at : at + 1] for at in range(first)] + [message[first:]],
                "all at once": [message],
                "one, then the others": [message[:first], message[first:]],
            }[pieces]
            assert await answers(server, cut, 4) == [0] * 4


async def test_the_connections_of_one_that_is_gone_are_answered_by_another(tmp_path):
    async with forwarding(tmp_path) as (server, upstream):
        for pause in ("at once", "in 0.1 s", "in 0.2 s", "in 0.4 s"):
            seen = len(server.lines)
            kill(server.workers[-1])
            await server.line(f"begins {pause}", seen)
            await server.line("worker 1 .*answers in its place", seen)
        kill(server.workers[-1])
        await server.line("begins in 0.8 s")
        seen = len(server.lines)
        for _ in range(2):
            for name in NAMES:
                assert (await exchange_tcp(query_wire(name), ("127.0.0.1", server.port)))[3] & 15 == 0
        assert len(server.workers) == 1
        assert len(upstream.questions) == len(NAMES)
        await server.line("worker 1 .*answers in its place", seen)
        for name in NAMES:
            assert (await exchange_tcp(query_wire(name), ("127.0.0.1", server.port)))[3] & 15 == 0


async def test_after_a_reload_they_are_handed_over_too(tmp_path):
    async with forwarding(tmp_path) as (server, upstream):
        for ttl in (10, 20):
            assert "complete" in await server.reload((COREFILE % upstream.address).replace("cache", f"cache {ttl}"))
            upstream.questions.clear()
            for name in NAMES:
                await server.ask(name)
                assert (await exchange_tcp(query_wire(name), ("127.0.0.1", server.port)))[3] & 15 == 0
            assert len(upstream.questions) <= len(NAMES), "the cache may have been kept"


async def test_an_unfinished_question_is_not_waited_for_without_end(tmp_path):
    async with forwarding(tmp_path) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(framed(NAMES[0])[:-1])
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_a_worker_that_stands_still_takes_none_but_its_own_names(tmp_path):
    async with forwarding(tmp_path) as (server, _):
        still = server.workers[0]
        os.kill(still, signal.SIGSTOP)
        asking = [asyncio.create_task(exchange_tcp(query_wire(name), ("127.0.0.1", server.port), 10)) for name in NAMES]
        done, _ = await asyncio.wait(asking, timeout=1)
        assert len(done) < len(NAMES)
        os.kill(still, signal.SIGCONT)
        assert [reply[3] & 15 for reply in await asyncio.gather(*asking)] == [0] * len(NAMES)


# --- without room on the way


@pytest.fixture
def ways():
    ways = Ways(2)
    yield ways
    ways.close()


def test_where_the_other_takes_nothing_a_connection_stays(ways):
    handings = [Handing(number, ways, lambda key: None) for number in range(2)]
    number = owner(query_wire("n.test"), 2, factor(here().secret))
    to, own = handings[1 - number], handings[number]
    with socket.socket() as connection:
        assert not own.hand_over(b"", framed("n.test"), connection.fileno()), "it is where it belongs"
        assert not to.hand_over(b"", framed("n.test") + bytes(1 << 16), connection.fileno()), "it would be a long message"
        handed = 0
        while to.hand_over(b"", framed("n.test"), connection.fileno()):
            handed += 1
        assert 10 < handed < 10_000
        ways.ends[number].recv(1000)
        assert to.hand_over(b"", framed("n.test"), connection.fileno())
