"""Connections over descriptors: what the kernel says of them, and what it does not give."""

import asyncio
import errno
import os
import socket
import struct
from contextlib import AsyncExitStack

import pytest

from pycoredns.answer import Pending
from pycoredns.chain import Block
from pycoredns.errors import ServerFailure
from pycoredns.service import Service
from pycoredns.testing import Last, Upstream, eventually, exchange_tcp, query_wire, running
from pycoredns.transport import descriptor, tcp
from pycoredns.transport.connection import MOST_WAITING, Batch
from pycoredns.wire import names
from tests.server.support import connected

LOCAL = ".:{port} {\n bind 127.0.0.1\n hosts {\n 192.0.2.1 a.test\n}\n}"


def framed(name: str) -> bytes:
    wire = query_wire(name)
    return len(wire).to_bytes(2, "big") + wire


def the_listener(server) -> tcp.TCPListener:
    (listener,) = server.server.listeners.tcp.values()
    return listener


async def answers(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    async with asyncio.timeout(5):
        return [await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")) for _ in range(count)]


async def test_answers_do_not_wait_for_others_to_be_acknowledged():
    async with running(LOCAL) as server, connected(server.port):
        listener = the_listener(server)
        await eventually(lambda: bool(listener.connections))
        (descriptor,) = listener.connections
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("ends", [False, True])
async def test_answers_that_come_later_reach_who_asks_no_more(ends):
    async with Upstream(lambda query: query.reply()) as upstream:
        corefile = f".:{{port}} {{\n bind 127.0.0.1\n forward . {upstream.address}\n}}"
        async with running(corefile) as server, connected(server.port) as (reader, writer):
            frames = [framed(f"n{number}.test") for number in range(300)]  # more than one connection may wait for
            writer.write(b"".join(frames))
            if ends:
                writer.write_eof()
            found = await answers(reader, 300)
            assert {answer[:2] for answer in found} == {frame[2:4] for frame in frames}
            if ends:
                assert await asyncio.wait_for(reader.read(), 5) == b""
                await eventually(lambda: not the_listener(server).connections)


async def test_answers_that_come_at_once_to_questions_that_had_to_wait_come_once():
    waiting: list[Pending] = []

    def answer(_):
        pending = Pending()
        if len(waiting) < MOST_WAITING:
            waiting.append(pending)
        else:
            pending.fail(ServerFailure("no healthy proxies"))  # as forward's, with failfast_all_unhealthy_upstreams
        return pending

    last = Last(answer)
    service = Service("dns://:53", [(names.ROOT, Block([names.ROOT], [last]))])
    sock = tcp.bind("127.0.0.1", 0)
    listener = tcp.TCPListener(service, sock)
    await listener.start()
    try:
        async with connected(sock.getsockname()[1]) as (reader, writer):
            frames = [framed(f"n{number}.test") for number in range(MOST_WAITING + 20)]
            writer.write(b"".join(frames))
            await eventually(lambda: service.waiting == MOST_WAITING)
            for each in waiting:
                each.fail(ServerFailure("no healthy proxies"))
            writer.write_eof()
            assert sorted(each[:2] for each in await answers(reader, len(frames))) == sorted(frame[2:4] for frame in frames)
            assert await asyncio.wait_for(reader.read(), 5) == b""
    finally:
        listener.close()
    assert len(last.seen) == len(frames)


async def test_nothing_is_read_by_the_number_of_a_connection_that_has_just_ended(monkeypatch):
    async with running(LOCAL) as server, connected(server.port):
        listener = the_listener(server)
        await eventually(lambda: bool(listener.connections))
        ((number, connection),) = listener.connections.items()
        connection.pause_writing()
        connection._unsent = bytearray(b"what the client does not take")
        connection._ask_for(descriptor.IN | descriptor.OUT)
        others, end = os.pipe()
        os.set_blocking(others, False)
        os.write(end, b"another's")
        # the number is in use again at once, as it may be where a thread opens a file
        monkeypatch.setattr(descriptor.os, "close", lambda closed: os.dup2(others, closed))
        monkeypatch.setattr(descriptor.os, "write", lambda *_: (_ for _ in ()).throw(ConnectionResetError))
        listener._answer([(number, descriptor.IN | descriptor.OUT)], Batch(listener))
        monkeypatch.undo()
        assert os.read(others, 100) == b"another's"
        for each in (others, end, number):
            os.close(each)


async def test_a_client_that_resets_while_it_takes_nothing_is_forgotten():
    lines = "\n".join(f" 192.0.2.{number % 250 + 1} big.test" for number in range(250))
    async with running(f".:{{port}} {{\n bind 127.0.0.1\n hosts {{\n{lines}\n}}\n}}") as server:
        listener = the_listener(server)
        async with connected(server.port) as (_, writer):
            writer.write(framed("big.test") * 30_000)
            await eventually(lambda: any(each.stuck_since for each in listener.connections.values()))
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await eventually(lambda: not listener.connections)


async def test_without_descriptors_connections_wait(monkeypatch):
    monkeypatch.setattr(tcp, "_SWEEP", 0.05)
    accept = tcp._accept4
    refused = []

    def accept4(*arguments):
        if len(refused) < 2:
            refused.append(tcp.ctypes.set_errno(errno.EMFILE))
            return -1
        return accept(*arguments)

    monkeypatch.setattr(tcp, "_accept4", accept4)
    async with running(LOCAL) as server:
        assert (await exchange_tcp(query_wire("a.test"), ("127.0.0.1", server.port)))[3] & 15 == 0
    assert len(refused) == 2


async def test_more_than_are_looked_at_together_all_have_their_turn():
    async with running(LOCAL) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.port)) for _ in range(100)]
        for _ in range(3):
            frame = framed("a.test")
            for _, writer in clients:
                writer.write(frame * 3)
            for reader, _ in clients:
                assert {answer[:2] for answer in await answers(reader, 3)} == {frame[2:4]}


async def test_questions_by_the_hundred_leave_time_for_others(monkeypatch):
    """Of connections that all ask so many, one is heard in each turn of the loop where its questions take long."""
    monkeypatch.setattr(tcp, "_LONG", 0)
    heard, proceed, receive = [0], tcp.TCPListener._proceed, tcp.TCPConnection.receive

    def begin_turn(self):
        heard.append(0)
        proceed(self)

    def count(self, data, batch):
        heard[-1] += bool(data)
        receive(self, data, batch)

    monkeypatch.setattr(tcp.TCPListener, "_proceed", begin_turn)
    monkeypatch.setattr(tcp.TCPConnection, "receive", count)
    async with running(LOCAL) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server.port)) for _ in range(20)]
        for _, writer in clients:
            writer.write(b"".join([framed(f"n{number}.test") for number in range(100)]))
        for reader, _ in clients:
            await answers(reader, 100)
    assert max(heard) == 1
