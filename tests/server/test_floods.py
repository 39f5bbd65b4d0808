"""Floods: memory stays within its bounds, and a hot name is answered all along.

``PYCOREDNS_FLOOD=1`` makes them as large as promised. A flood waits for nothing but the answer to the hot name behind each wave,
so it is as quick as server and machine are, and what it shows does not depend on that.
"""

import asyncio
import os
import re
import resource
import socket
import sys
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from pycoredns import memo
from pycoredns.testing import eventually, exchange_udp, free_port, query_wire
from pycoredns.transport.tcp import most_connections

WHOLE = bool(os.environ.get("PYCOREDNS_FLOOD"))
QUESTIONS = 60_000 if WHOLE else 6_000
CONNECTIONS = 20_000 if WHOLE else 2_000
MEGABYTES = 150
CACHE = 16_000_000
WAVE = 250
"""Questions before the hot name is asked: as many as the queue of a socket holds, whatever the system allows."""
PATIENCE = 30.0
"""Seconds for what takes much less, where nobody else needs the machine."""
COREFILE = """\
.:{port} {{
    bind 127.0.0.1
    errors
    log
    prometheus 127.0.0.1:{metrics}
    cache {{
        max_bytes {cache}
    }}
    hosts {{
        192.0.2.1 hot.test
        fallthrough
    }}
    forward . {upstream} {{
        read_timeout 1h
        max_fails 0
    }}
}}
"""
"""No question is given up while the flood lasts, however long that is."""


class Victim:
    """A server in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, metrics: int) -> None:
        self.process = process
        self.port = port
        self._metrics = metrics

    @property
    def resident(self) -> float:
        """Megabytes in memory, at the most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    async def is_hot(self) -> bool:
        """Is the hot name answered, at the third attempt at last? A datagram may be lost where a queue is full."""
        for _ in range(3):
            with suppress(TimeoutError):
                return (await exchange_udp(query_wire("hot.test"), ("127.0.0.1", self.port), PATIENCE / 3))[3] & 15 == 0
        return False

    async def metric(self, name: str) -> float:
        """The sum of a metric's values."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._metrics)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


@asynccontextmanager
async def victim(folder, upstream, *flags, before="", stdout=asyncio.subprocess.DEVNULL):
    """A server that asks the upstream for all but the hot name; its memory is within the bound in the end.

    ``before`` is Python that it runs first.
    """
    port, metrics = free_port(), free_port()
    (folder / "Corefile").write_text(COREFILE.format(port=port, metrics=metrics, upstream=upstream, cache=CACHE))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{before}\nfrom pycoredns.cli import main\nraise SystemExit(main())"),
        *("-quiet", "-conf", str(folder / "Corefile"), *flags),
        stdout=stdout,
    )
    server = Victim(process, port, metrics)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await hot_or_not_yet(server):
                await asyncio.sleep(0.05)
        yield server
        assert server.resident < MEGABYTES
    finally:
        process.kill()
        await process.wait()


async def hot_or_not_yet(server):
    try:
        return await server.is_hot()
    except ConnectionError:
        return False


async def flood(server, questions, each=1, name="random{}.test"):
    """Asks for random names, each so many times, and after each wave for the hot one; how many answers came of each rcode."""
    loop, rcodes = asyncio.get_running_loop(), {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", server.port))

        def take():
            with suppress(BlockingIOError):
                while True:
                    rcode = sock.recv(512)[3] & 15
                    rcodes[rcode] = rcodes.get(rcode, 0) + 1

        loop.add_reader(sock, take)
        for begun in range(0, questions, WAVE):
            for _ in range(each):
                for number in range(begun, min(begun + WAVE, questions)):
                    with suppress(BlockingIOError):
                        sock.send(query_wire(name.format(number)))
                assert await server.is_hot()
        loop.remove_reader(sock)
    return rcodes


@asynccontextmanager
async def quick_upstream():
    """An upstream that has an address for any name, and is not slower than the flood."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))

        def answer():
            with suppress(BlockingIOError):
                while True:
                    query, client = sock.recvfrom(512)
                    question = query[12 : query.index(0, 12) + 5]
                    record = b"\xc0\x0c" + question[-4:] + (300).to_bytes(4, "big") + b"\0\4\xc0\0\2\x09"
                    sock.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + record, client)

        loop = asyncio.get_running_loop()
        loop.add_reader(sock, answer)
        yield f"127.0.0.1:{sock.getsockname()[1]}"
        loop.remove_reader(sock)


async def test_random_names_that_are_asked_again(tmp_path):
    async with quick_upstream() as upstream, victim(tmp_path, upstream) as server:
        rcodes = await flood(server, QUESTIONS // 3, each=3)
        assert rcodes[0] > QUESTIONS // 2
        assert 0 < await server.metric("coredns_cache_bytes") <= CACHE
        assert 0 < await server.metric("coredns_pycoredns_memo_entries") <= memo.CAPACITY


@pytest.mark.parametrize("how", ["servfail", "silence"])
async def test_an_upstream_that_never_answers(tmp_path, how):
    room = QUESTIONS // 3
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with victim(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", "-waiting", str(room), "-overload", how) as server:
            rcodes = await flood(server, QUESTIONS)
            assert await server.metric("coredns_pycoredns_waiting_questions") == room
            turned_away = await server.metric("coredns_pycoredns_shed_questions_total")
            assert 0 < turned_away <= QUESTIONS - room
            assert set(rcodes) == ({2} if how == "servfail" else set())


async def test_idle_connections(tmp_path):
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    wanted = min(CONNECTIONS, allowed - 100)
    room = most_connections() if WHOLE else 1500
    longer = f"from pycoredns.transport import tcp\ntcp.FIRST_TIMEOUT, tcp.MOST_CONNECTIONS = 3600, {room}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with victim(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", before=longer) as server:
            connections = []
            try:
                for number in range(wanted):
                    connections.append(sock := socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                    sock.connect(("127.0.0.1", server.port))
                    if number % 500 == 0:
                        assert await server.is_hot()
                assert await server.is_hot()
                assert await server.metric("coredns_pycoredns_tcp_connections") == min(wanted, room)
                assert await server.metric("coredns_pycoredns_tcp_connections_shed_total") == max(wanted - room, 0)
            finally:
                for sock in connections:
                    sock.close()


async def test_unfinished_questions(tmp_path):
    connections, octets, room = 600, 60_000, 32 << 20
    longer = "from pycoredns.transport import tcp\ntcp.FIRST_TIMEOUT = 3600"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, ExitStack() as opened:
        silent.bind(("127.0.0.1", 0))
        async with victim(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", before=longer) as server:
            for _ in range(connections):
                sock = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                with suppress(ConnectionError):
                    sock.sendall((octets + 1000).to_bytes(2, "big") + bytes(octets))
            assert await server.is_hot()
            await eventually(lambda: has_shed(server), PATIENCE)
            assert room // 2 < await server.metric("coredns_pycoredns_tcp_buffered_bytes") <= room


async def has_shed(server):
    return await server.metric("coredns_pycoredns_tcp_connections_shed_total") > 0


async def test_log_lines_that_nobody_takes(tmp_path):
    label = "x" * 60
    less = "" if WHOLE else "from pycoredns import output\noutput.MOST_OCTETS = 1_000_000"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        reading, writing = os.pipe()
        try:
            async with victim(
                tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", "-waiting", "10", before=less, stdout=writing
            ) as server:
                await flood(server, QUESTIONS, name=f"random{{}}.{label}.{label}.{label}.test")
                assert 1000 < await server.metric("coredns_log_lines_waiting") <= 100_000
                assert await server.metric("coredns_log_lines_dropped_total") > 0
        finally:
            os.close(reading)
            os.close(writing)
