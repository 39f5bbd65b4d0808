"""Several workers have one mirror: etcd sees one watch, and whoever is left goes on where it was."""

import urllib.request
from contextlib import asynccontextmanager

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.feed import Entry, read, write
from pycoredns.plugins.etcd.held import Version
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import Writer
from pycoredns.testing import eventually
from tests.workers.crew_process import kill, serving

NAMES = [f"n{number}" for number in range(40)]
COREFILE = """lab.test:{port} {
    bind 127.0.0.1
    prometheus 127.0.0.1:{http}
    ready 127.0.0.1:{http2}
    etcd {
        endpoint %s
    }
}
"""


async def put(client, octet, names=NAMES, lease=0):
    """Gives names an address."""
    for name in names:
        await client.put(f"/skydns/test/lab/{name}".encode(), b'{"host": "192.0.2.%d", "ttl": 60}' % octet, lease)


async def shows(server, octet, names=NAMES):
    """Waits until all names have an address; they belong to several workers."""

    async def held():
        return [await server.ask(f"{name}.lab.test") for name in names] == [(0, octet)] * len(names)

    await eventually(held, 15)


def watches(etcd):
    """How many watches there are, as etcd says."""
    text = urllib.request.urlopen(f"{etcd.endpoint}/metrics").read().decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("etcd_debugging_mvcc_watcher_total "))


@asynccontextmanager
async def following(folder):
    """An etcd with some names, a client of it, and a server with two workers that has them."""
    async with EtcdServer() as etcd:
        client = Writer(Settings((etcd.endpoint,)))
        await put(client, 1)
        async with serving(folder, COREFILE % etcd.endpoint) as server:
            await shows(server, 1)
            await server.line("following http")
            yield etcd, client, server
        await client.close()


async def replaced(server, worker):
    """Ends a worker and waits for another in its place."""
    seen = len(server.lines)
    kill(worker)
    await server.line("answers in its place", seen)


async def test_etcd_sees_one_watch_and_all_workers_have_what_it_says(tmp_path):
    async with following(tmp_path) as (etcd, client, server):
        assert watches(etcd) == 1
        await put(client, 2)
        await shows(server, 2)
        await client.delete(b"/skydns/test/lab/n3")
        await eventually(lambda: is_gone(server, "n3"))
        lease = await client.grant(2)
        await put(client, 9, ["leased"], lease)
        await shows(server, 9, ["leased"])
        await eventually(lambda: is_gone(server, "leased"), 8)
        assert await server.get("http2", "/ready") == (200, "OK")
        assert await server.figure("coredns_etcd_keys") == len(NAMES) - 1
        assert await server.figure("coredns_etcd_mirror_state") == 2


async def is_gone(server, name):
    return (await server.ask(f"{name}.lab.test"))[0] == 3


async def test_whoever_is_left_follows_where_the_other_was(tmp_path):
    async with following(tmp_path) as (etcd, client, server):
        leader, other = server.workers
        await replaced(server, leader)
        await put(client, 2)
        await shows(server, 2)
        await eventually(lambda: sum("following http" in line for line in server.lines) >= 2)
        assert watches(etcd) == 1
        assert await server.figure("coredns_etcd_full_syncs_total") == 0, "it resumed"
        await replaced(server, next(each for each in server.workers if each != other))
        await put(client, 3)
        await shows(server, 3)
        assert watches(etcd) == 1


async def test_workers_that_die_while_etcd_is_away_are_told_by_the_others_what_it_said(tmp_path):
    async with following(tmp_path) as (etcd, client, server):
        await etcd.stop()
        for worker in server.workers:
            await replaced(server, worker)
            await shows(server, 1)
        await etcd.start()
        await put(client, 2)
        await shows(server, 2)


async def test_no_worker_is_ready_before_etcd_has_been_read(tmp_path):
    async with EtcdServer() as etcd:
        await etcd.stop()
        async with serving(tmp_path, COREFILE % etcd.endpoint) as server:
            assert await server.get("http2", "/ready") == (503, "etcd")
            await etcd.start()
            await eventually(lambda: is_ready(server), 15)


async def is_ready(server):
    return await server.get("http2", "/ready") == (200, "OK")


async def test_a_reload_keeps_what_has_been_read(tmp_path):
    async with following(tmp_path) as (etcd, client, server):
        assert "complete" in await server.reload(COREFILE % etcd.endpoint + "# changed\n")
        await shows(server, 1)
        await put(client, 2)
        await shows(server, 2)
        assert "complete" in await server.reload((COREFILE % etcd.endpoint).replace("etcd {", "etcd {\n path /other"))
        await client.put(b"/other/test/lab/n1", b'{"host": "192.0.2.8"}')
        await shows(server, 8, ["n1"])
        await eventually(lambda: watches(etcd) == 1)


def test_entries_survive_the_way():
    entries = [
        Entry(b"/skydns/a", Version(7, 100, 0xFFFFFFFF), b"record"),
        Entry(b"/skydns/b", Version(-1, 0, 0), b""),
        Entry(b"", Version(2**62, 0, 0), b"\0" * 300),
    ]
    assert list(read(write(entries))) == entries
    assert list(read(b"")) == []
