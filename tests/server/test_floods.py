"""Floods: memory stays within its bounds, and a hot name is answered all along.

``PYCOREDNS_FLOOD=1`` makes them as large as promised.
"""

import asyncio
import os
import re
import resource
import socket
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from pycoredns.testing import eventually, exchange_udp, free_port, query_wire

WHOLE = bool(os.environ.get("PYCOREDNS_FLOOD"))
QUESTIONS = 60_000 if WHOLE else 6_000
CONNECTIONS = 20_000 if WHOLE else 2_000
MEGABYTES = 150
HANDFUL = 50
COREFILE = """\
.:{port} {{
    bind 127.0.0.1
    errors
    log
    prometheus 127.0.0.1:{metrics}
    cache {{
        max_bytes 16000000
    }}
    hosts {{
        192.0.2.1 hot.test
        fallthrough
    }}
    forward . {upstream}
}}
"""


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
                return (await exchange_udp(query_wire("hot.test"), ("127.0.0.1", self.port), 1.0))[3] & 15 == 0
        return False

    async def metric(self, name: str) -> float:
        """The sum of a metric's values."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._metrics)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


@asynccontextmanager
async def victim(folder, upstream, *flags):
    """A server that asks the upstream for all but the hot name; its memory is within the bound in the end."""
    port, metrics = free_port(), free_port()
    (folder / "Corefile").write_text(COREFILE.format(port=port, metrics=metrics, upstream=upstream))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pycoredns", "-quiet", "-conf", str(folder / "Corefile"), *flags),
        stdout=asyncio.subprocess.DEVNULL,
    )
    server = Victim(process, port, metrics)
    try:
        async with asyncio.timeout(20):
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


async def flood(server, questions, each=1):
    """Asks for random names, each so many times; how many answers came of each response code, and was the hot name answered?"""
    loop, rcodes, hot = asyncio.get_running_loop(), {}, True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", server.port))

        def take():
            with suppress(BlockingIOError):
                while True:
                    rcode = sock.recv(512)[3] & 15
                    rcodes[rcode] = rcodes.get(rcode, 0) + 1

        loop.add_reader(sock, take)
        for begun in range(0, questions, HANDFUL):
            for _ in range(each):
                for number in range(begun, min(begun + HANDFUL, questions)):
                    with suppress(BlockingIOError):
                        sock.send(query_wire(f"random{number}.test"))
                await asyncio.sleep(0.002)
            if begun % 1000 == 0:
                hot = hot and await server.is_hot()
        await asyncio.sleep(0.2)
        loop.remove_reader(sock)
    return rcodes, hot


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
        rcodes, hot = await flood(server, QUESTIONS // 3, each=3)
        assert hot
        assert rcodes[0] > QUESTIONS // 2


@pytest.mark.parametrize("how", ["servfail", "silence"])
async def test_an_upstream_that_never_answers(tmp_path, how):
    room = QUESTIONS // 3
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with victim(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", "-waiting", str(room), "-overload", how) as server:
            rcodes, hot = await flood(server, QUESTIONS)
            assert hot
            assert await server.metric("coredns_pycoredns_waiting_questions") <= room
            turned_away = await server.metric("coredns_pycoredns_shed_questions_total")
            assert turned_away > 0
            if how == "silence":
                assert rcodes.get(2, 0) <= room
            else:
                assert rcodes[2] > 0
            await eventually(server.is_hot)


async def test_idle_connections(tmp_path):
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    wanted = min(CONNECTIONS, allowed - 200)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        async with victim(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}") as server:
            connections = []
            try:
                for number in range(wanted):
                    connections.append(sock := socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                    sock.connect(("127.0.0.1", server.port))
                    if number % 500 == 0:
                        assert await server.is_hot()
                assert await server.is_hot()
            finally:
                for sock in connections:
                    sock.close()
