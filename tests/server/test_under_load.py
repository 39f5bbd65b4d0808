"""Beside 2,000 questions a second etcd goes and comes, and Corefiles are reloaded. ``PYCOREDNS_LOAD`` sets the seconds."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import Writer
from pycoredns.testing import exchange_udp, free_port, query_wire
from tests.server.load import Load

SECONDS = float(os.environ.get("PYCOREDNS_LOAD", "3"))
RATE = 2000
COREFILE = """\
lab.test:{port} {{
    bind 127.0.0.1
    errors
    etcd {{
        endpoint {endpoint}
    }}
}}
"""


async def put(client, number, octet=1):
    """Announces one name."""
    await client.put(f"/skydns/test/lab/n{number}".encode(), b'{"host": "192.0.2.%d", "ttl": 60}' % octet)


async def address(port, number):
    """The last octet of a name's address, None if it has none, or if nothing listens yet."""
    try:
        reply = await exchange_udp(query_wire(f"n{number}.lab.test"), ("127.0.0.1", port), 2.5)
    except ConnectionError:
        return None
    return reply[-1] if reply[3] & 15 == 0 and reply[7] else None


async def shows(port, number, octet, seconds):
    """Waits until a name has an address; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while await address(port, number) != octet:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def process(folder, corefile):
    """A server in a process of its own."""
    (folder / "Corefile").write_text(corefile)
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "pycoredns", "-quiet", "-conf", str(folder / "Corefile"))
    try:
        yield server
    finally:
        if server.returncode is None:
            server.terminate()
        assert await asyncio.wait_for(server.wait(), 10) == 0


@asynccontextmanager
async def serving(folder, names=200):
    """A real etcd with some names, a client of it, and a server that has them."""
    async with EtcdServer() as etcd:
        client = Writer(Settings((etcd.endpoint,)))
        for number in range(names):
            await put(client, number)
        port = free_port()
        async with process(folder, COREFILE.format(port=port, endpoint=etcd.endpoint)) as server:
            await shows(port, 0, 1, 15)
            yield etcd, client, port, server
        await client.close()


def load_on(port, names=200):
    return Load(port, [f"n{number}.lab.test" for number in range(names)], RATE)


def succeeded(load):
    """Every question was answered with NOERROR, and none waited."""
    assert load.rcodes == {0: load.asked}
    assert load.slowest < 1.0
    return True


async def test_a_stopped_etcd_stops_no_answer_and_its_changes_show_when_it_is_back(tmp_path):
    async with serving(tmp_path) as (etcd, client, port, _):
        load = load_on(port)
        asking = asyncio.create_task(load.run(SECONDS))
        await asyncio.sleep(SECONDS / 10)  # some of the questions come before
        await etcd.stop()
        await asking
        assert succeeded(load)
        await etcd.start()
        await put(client, 7, octet=77)
        await shows(port, 7, 77, 3)


async def test_ten_reloads_lose_nothing(tmp_path):
    async with serving(tmp_path) as (etcd, _, port, server):
        load = load_on(port)
        asking = asyncio.create_task(load.run(SECONDS))
        for number in range(10):
            marker = f"marker{number}.test"
            (tmp_path / "Corefile").write_text(
                COREFILE.format(port=port, endpoint=etcd.endpoint)
                + f"{marker}:{port} {{\n bind 127.0.0.1\n hosts {{\n 192.0.2.{number} {marker}\n}}\n}}\n"
            )
            server.send_signal(signal.SIGUSR1)
            async with asyncio.timeout(10):
                while (await exchange_udp(query_wire(marker), ("127.0.0.1", port)))[3] & 15:
                    await asyncio.sleep(0.01)
        await asking
        assert succeeded(load)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_the_server_with_status_0(tmp_path, number):
    port = free_port()
    corefile = f".:{port} {{\n bind 127.0.0.1\n hosts {{\n 192.0.2.1 n0.lab.test\n}}\n}}\n"
    async with process(tmp_path, corefile) as server:
        await shows(port, 0, 1, 15)
        server.send_signal(number)
        assert await asyncio.wait_for(server.wait(), 10) == 0
