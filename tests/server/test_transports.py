"""Real sockets: answers come from the address that was asked, connections are bounded, no client stops the server."""

import asyncio
import gc
import re
import socket
import urllib.request
import weakref
from contextlib import AsyncExitStack, suppress
from itertools import pairwise

import dns.edns
import dns.message
import pytest

from pycoredns.assemble import Address
from pycoredns.output import writer
from pycoredns.sockets import Sockets
from pycoredns.testing import Upstream, eventually, exchange_tcp, exchange_udp, free_port, query_wire, running
from pycoredns.transport import connection, tcp, udp
from tests.server.support import connected

WHOAMI = ".:{port} {\n whoami\n}"
FORWARDING = ".:{port} {\n bind 127.0.0.1\n forward . {upstream}\n}"
LOCAL = ".:{port} {\n bind 127.0.0.1\n hosts {\n 192.0.2.1 a.test\n}\n}"


@pytest.fixture(params=["recvmmsg", "plain"])
def receiving(request, monkeypatch):
    """Both ways of receiving datagrams."""
    if request.param == "plain":
        monkeypatch.setattr(udp, "AVAILABLE", False)
    return request.param


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1"])
async def test_answers_come_from_the_address_that_was_asked(receiving, host):
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 here")
    async with running(WHOAMI) as server:
        for _ in range(3):
            # the socket is connected: it takes an answer from that address only
            reply = await exchange_udp(query_wire("a.test"), (host, server.port))
            assert reply[3] & 15 == 0


@pytest.mark.parametrize("size", [0, 1, 11, 12, 100, 4096, 60000])
async def test_datagrams_of_any_size(receiving, size):
    async with running(LOCAL) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\xff" * size, ("127.0.0.1", server.port))
        assert await server.answers("a.test") == ["A 192.0.2.1"]


async def test_an_answer_larger_than_a_slot(receiving):
    lines = "\n".join(f" 2001:db8::{number:x} big.test" for number in range(1, 300))
    async with running(f".:{{port}} {{\n bind 127.0.0.1\n hosts {{\n{lines}\n}}\n}}") as server:
        reply = await server.query("big.test", "AAAA", size=65535)
        assert (len(reply.rr), reply.header.tc) == (299, 0)
        assert (await server.query("big.test", "AAAA")).header.tc == 1


async def test_many_questions_of_a_turn_are_all_answered(receiving):
    async with running(LOCAL) as server:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", server.port))
            wires = {wire[:2]: wire for wire in (query_wire("a.test") for _ in range(200))}
            for wire in wires.values():
                sock.send(wire)
            for _ in range(len(wires)):
                del wires[(await asyncio.wait_for(loop.sock_recv(sock, 512), 5))[:2]]
        assert not wires


LONG = "\n".join(f" 2001:db8::{number:x} long.test" for number in range(1, 300))
KINDS = [
    query_wire("a.test"),
    dns.message.make_query("A.tEst", "A").to_wire(),
    dns.message.make_query("a.test", "A", options=[dns.edns.GenericOption(10, b"12345678")]).to_wire(),
    query_wire("b.test"),
    query_wire("long.test", "AAAA", size=65535),
    query_wire("a.test")[:20],
]
NOERROR = 4


async def answered(server):
    """How many answers were counted."""

    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{server.ports['http']}/metrics") as reply:
            return reply.read().decode()

    mine = re.compile(rf'^coredns_dns_responses_total{{.*dns://:{server.port}".*}} (.*)$', re.MULTILINE)
    return sum(map(float, mine.findall(await asyncio.to_thread(ask))))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1"])
@pytest.mark.parametrize("watched", ["", "log"])
async def test_a_question_that_comes_alone_gets_what_it_gets_among_others(capfd, host, watched):
    """For the first time, and from memory."""
    hosts = f"hosts {{\n 192.0.2.1 a.test\n{LONG}\n}}"
    async with running(f".:{{port}} {{\n prometheus 127.0.0.1:{{http}}\n {watched}\n {hosts}\n}}") as server:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET6 if host == "::1" else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((host, server.port))
            # counted from what is there: a server before may have had the same port
            got, counted, shown = [], [await answered(server)], []
            for together in (1, 3, 1, 3):
                for wire in KINDS:
                    replies = set()
                    for start in range(0, 3, together):
                        numbers = [bytes((each, each)) for each in range(start, start + together)]
                        for number in numbers:  # the server reads when all are there
                            sock.send(number + wire[2:])
                        there = [await asyncio.wait_for(loop.sock_recv(sock, 65535), 5) for _ in numbers]
                        assert sorted(reply[:2] for reply in there) == numbers
                        replies |= {reply[2:] for reply in there}
                    got.append(replies)
                counted.append(await answered(server))
                writer.flush()
                shown.append(capfd.readouterr().out.count(" NOERROR "))
        each = len(KINDS)
        assert all(len(replies) == 1 for replies in got)
        assert got[:each] == got[each : 2 * each] == got[2 * each : 3 * each] == got[3 * each :]
        assert [here - before for before, here in pairwise(counted)] == [3 * each] * 4
        assert shown == [3 * NOERROR if watched else 0] * 4


@pytest.mark.parametrize("batch", ["_q", "q_", "__q", "_q_q", "__qq_q", "q__q", "_" * 20 + "q", "q_" * 30, "__q" * 20, "_" * 30])
async def test_questions_beside_some_that_are_not_answered_at_once(receiving, batch):
    async with running(LOCAL) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", server.port))
            expected = set()
            for kind in batch:
                wire = query_wire("a.test", flags=0x0100 if kind == "q" else 0x8100)  # an answer is not answered
                sock.send(wire)
                expected |= {wire[:2]} if kind == "q" else set()
            loop, replies = asyncio.get_running_loop(), set()
            async with asyncio.timeout(3):
                while replies != expected:
                    reply = await loop.sock_recv(sock, 512)
                    assert reply[:2] not in replies
                    replies.add(reply[:2])


async def test_frames_in_pieces_and_many_at_once():
    async with running(LOCAL) as server, connected(server.port) as (reader, writer):
        wire = query_wire("a.test")
        frame = len(wire).to_bytes(2, "big") + wire
        for octet in frame:
            writer.write(bytes([octet]))
            await writer.drain()
        writer.write(frame * 50 + b"\0\0" + b"\0\1x" + frame)
        for _ in range(52):
            size = int.from_bytes(await reader.readexactly(2), "big")
            assert (await reader.readexactly(size))[:2] == wire[:2]


async def test_a_client_that_stops_sending_still_gets_its_answer():
    async with running(LOCAL) as server, connected(server.port) as (reader, writer):
        wire = query_wire("a.test")
        writer.write(len(wire).to_bytes(2, "big") + wire)
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(), 5))[2:4] == wire[:2]


async def test_idle_connections_are_closed(monkeypatch):
    monkeypatch.setattr(tcp, "FIRST_TIMEOUT", 0.1)
    monkeypatch.setattr(tcp, "_SWEEP", 0.05)
    async with running(LOCAL) as server, connected(server.port) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_frame_that_never_ends_does_not_hold_the_connection(monkeypatch):
    monkeypatch.setattr(tcp, "FIRST_TIMEOUT", 0.2)
    monkeypatch.setattr(tcp, "_SWEEP", 0.05)
    async with running(LOCAL) as server, connected(server.port) as (reader, writer):
        writer.write(b"\xff\xff")

        async def drip():
            while not reader.at_eof():
                writer.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        dripping.cancel()


async def test_the_oldest_connection_makes_room(monkeypatch):
    monkeypatch.setattr(tcp, "MOST_CONNECTIONS", 3)
    async with running(LOCAL) as server, AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(server.port)) for _ in range(3)]
        assert await server.query("a.test", tcp=True)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(connections[0][0].readexactly(1), 5)


async def test_unfinished_questions_of_all_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(connection, "MOST_BUFFERED", 1000)
    async with running(LOCAL) as server, connected(server.port) as (_, writer), connected(server.port) as (second, other):
        writer.write(b"\xff\xff" + bytes(600))
        await eventually(lambda: connection.buffers.octets == 602)
        other.write(b"\xff\xff" + bytes(600))
        with suppress(ConnectionError):
            assert await asyncio.wait_for(second.read(), 3) == b""
        await eventually(lambda: connection.buffers.octets == 602)  # the first one's
        reply = await exchange_tcp(query_wire("a.test"), ("127.0.0.1", server.port))
        assert reply[3] & 15 == 0
        writer.close()
        await eventually(lambda: connection.buffers.octets == 0)


async def test_a_client_that_does_not_read_is_not_served_without_bound():
    lines = "\n".join(f" 192.0.2.{number % 250 + 1} big.test" for number in range(250))
    corefile = f".:{{port}} {{\n bind 127.0.0.1\n hosts {{\n{lines}\n}}\n}}"
    async with running(corefile) as server, connected(server.port) as (_, writer):
        wire = query_wire("big.test")
        writer.write((len(wire).to_bytes(2, "big") + wire) * 30_000)
        listener = next(iter(server.server.listeners.tcp.values()))
        await eventually(lambda: any(each.stuck_since for each in listener.connections.values()))
        assert next(iter(listener.connections.values())).unsent < 16 << 20
        assert await server.answers("big.test", tcp=True)


async def test_truncated_over_udp_whole_over_tcp():
    lines = "\n".join(f" 192.0.2.{number} many.test" for number in range(1, 200))
    async with running(f".:{{port}} {{\n bind 127.0.0.1\n hosts {{\n{lines}\n}}\n}}") as server:
        short = await server.query("many.test")
        whole = await server.query("many.test", tcp=True)
        assert (short.header.tc, whole.header.tc) == (1, 0)
        assert 20 < len(short.rr) < 31
        assert len(whole.rr) == 199


async def test_tcp_and_udp_give_the_same():
    async with running(LOCAL) as server:
        wire = query_wire("a.test")
        address = ("127.0.0.1", server.port)
        assert await exchange_tcp(wire, address) == await exchange_udp(wire, address)


async def test_what_has_come_before_the_end_is_answered(receiving):
    async with running(".:{port} {\n bind 127.0.0.1\n whoami\n}") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            client.connect(("127.0.0.1", server.port))
            client.setblocking(False)
            for number in range(500):
                client.send(query_wire(f"n{number}.test"))
            await server.server.stop()
            answers = 0
            with suppress(BlockingIOError):
                while client.recv(512):
                    answers += 1
            assert answers == 500


async def test_connections_by_ipv6_stay_such_when_help_ends():
    async with running(".:{port} {\n whoami\n}") as server:
        own, lent = server.server, Sockets.open([Address("", free_port())])
        kinds = {(key.protocol, key.host): several for key, several in lent.bound.items()}
        await own.help_out(1, Sockets({key: kinds[key.protocol, key.host] for key in own.sockets.bound}))
        helping = own._helping[1]
        (port,) = {key.address.port for key in lent.bound}
        _, writer = await asyncio.open_connection("::1", port)
        await eventually(lambda: any(listener.connections for listener in helping.tcp.values()))
        own.help_no_more(1)
        assert [listener.family for listener in own.listeners.tcp.values() if listener.connections] == ["2"]
        writer.close()
        lent.close()


async def test_a_server_helps_out_at_the_sockets_of_another_worker():
    async with running(LOCAL) as server:
        other = free_port()
        key = next(iter(server.server.sockets.bound))
        beside = Sockets.open([Address("127.0.0.1", other)])
        kinds = {each.protocol: several for each, several in beside.bound.items()}
        lent = Sockets({each: kinds[each.protocol] for each in server.server.sockets.bound})
        wire, where = query_wire("a.test"), ("127.0.0.1", other)
        for _ in range(2):  # once more changes nothing
            await server.server.help_out(1, lent)
            assert (await exchange_udp(wire, where))[-1] == 1
        reader, writer = await asyncio.open_connection(*where)
        for helping in (True, False):
            writer.write(len(wire).to_bytes(2, "big") + wire)
            assert (await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))[-1] == 1
            if helping:
                server.server.help_no_more(2)
                assert (await exchange_udp(wire, where))[-1] == 1
                server.server.help_no_more(1)
        with pytest.raises(TimeoutError):
            await exchange_udp(wire, where, 0.1)
        assert (await exchange_udp(wire, ("127.0.0.1", server.port)))[-1] == 1
        assert len(server.server.services[key.address].listeners) == 4
        writer.close()
        beside.close()


async def test_nothing_is_left_of_who_has_helped_where_answers_came_later():
    async with Upstream(lambda query: query.reply()) as upstream, running(FORWARDING, upstream=upstream.address) as server:
        lent = Sockets.open([Address("127.0.0.1", port := free_port())])
        kinds = {key.protocol: several for key, several in lent.bound.items()}
        await server.server.help_out(1, Sockets({key: kinds[key.protocol] for key in server.server.sockets.bound}))
        helping = server.server._helping[1]
        gone = [weakref.ref(listener) for listener in helping]
        await exchange_udp(query_wire("a.test"), ("127.0.0.1", port))
        server.server.help_no_more(1)
        server.server._let_go(helping)
        lent.close()
        gc.collect()
        assert [listener() for listener in gone] == [None, None]
