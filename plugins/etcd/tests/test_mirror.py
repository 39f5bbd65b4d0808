import time

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.mirror import Mirror, State
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import PREFIX, Names, Writer, contents, eventually, following, live, put_many


def key(number: int) -> bytes:
    return PREFIX + b"org/example/name-%05d" % number


async def test_what_was_there_before_is_read_in_pages(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        await put_many(client, ((key(n), b"%d" % n) for n in range(2500)))
        await client.put(b"/skydns0", b"just behind the prefix")
        async with following(etcd.endpoint) as (mirror, names):
            await live(mirror)
            assert names.values == await contents(client)
            assert (len(mirror.copy), names.puts) == (2500, 2500)
            assert mirror.copy.size == sum(len(name) + len(value) for name, value in names.values.items())


async def test_changes_follow(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client, following(etcd.endpoint) as (mirror, names):
        await live(mirror)
        await client.put(key(1), b"one")
        await names.become(lambda values: values == {key(1): b"one"})
        await client.put(key(1), b"another")
        await names.become(lambda values: values == {key(1): b"another"})
        await client.delete(key(1))
        await names.become(lambda values: not values)
        assert mirror.copy.events == 3
        assert (len(mirror.copy), mirror.copy.size) == (0, 0)


async def test_keys_outside_the_prefix_count_as_progress_only(etcd: EtcdServer, fast_heartbeat: None) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client, following(etcd.endpoint) as (mirror, names):
        await live(mirror)
        for _ in range(20):
            await client.put(b"/registry/pods/a", b"")
        written = time.monotonic()
        await eventually(lambda: mirror.unconfirmed_for < time.monotonic() - written)
        assert (mirror.reconnects, mirror.lag, names.puts) == (0, 0, 0)


async def test_an_empty_prefix_mirrors_everything(etcd: EtcdServer) -> None:
    names = Names()
    mirror = Mirror(Settings((etcd.endpoint,)), b"", names)
    async with Writer(mirror.settings) as client:
        await client.put(b"\xff\xff", b"last")
        await client.put(b"\0", b"first")
        await mirror.copy.sync(client)
    assert names.values == {b"\0": b"first", b"\xff\xff": b"last"}


async def test_states(etcd: EtcdServer) -> None:
    async with following(etcd.endpoint) as (mirror, _):
        assert (mirror.state, mirror.synced, mirror.unconfirmed_for) == (State.INIT, False, float("inf"))
        await live(mirror)
        assert mirror.synced
    assert mirror.state is State.STALE
