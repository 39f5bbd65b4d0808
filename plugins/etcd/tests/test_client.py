import asyncio

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd import watch as watch_module
from pycoredns.plugins.etcd.errors import HistoryLost, Unreachable
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import PREFIX, Writer, compact
from pycoredns.plugins.etcd.watch import Watch

KEY = PREFIX + b"org/example/a"


async def test_put_range_delete(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        first = await client.put(KEY, b"one")
        assert await client.put(KEY, b"two") == first + 1
        now, then = await client.range(KEY), await client.range(KEY, revision=first)
        assert [answer.kvs[0].value for answer in (now, then)] == [b"two", b"one"]
        assert await client.delete(PREFIX, b"/skydns0") == 1
        assert await client.delete(KEY) == 0


@pytest.mark.parametrize("revision", [1, 1000])
async def test_history_that_is_gone_or_yet_to_come(etcd: EtcdServer, revision: int) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        for _ in range(3):
            await client.put(KEY, b"one")
        await compact(client)
        with pytest.raises(HistoryLost):
            await client.range(KEY, revision=revision)


async def test_a_watch_from_before_the_compaction(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        for _ in range(3):
            await client.put(KEY, b"one")
        await compact(client)
        watch = await client.watch(PREFIX, b"/skydns0", 1)
        with pytest.raises(HistoryLost, match="all before revision 4 is compacted away"):
            await watch.read()
        watch.close()


async def test_a_stream_that_takes_nothing_does_not_hold_up_the_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """No real etcd stops reading one stream only."""

    class Full:
        async def write(self, _: object) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(watch_module, "ANSWERS_WITHIN", 0.05)
    with pytest.raises(Unreachable, match=r"^http://127.0.0.1:2379: the watch takes no request$"):
        await Watch(Full(), Settings(("http://127.0.0.1:2379",)).parsed()[0]).ask_progress()


async def test_endpoints_take_turns(etcd: EtcdServer) -> None:
    async with Writer(Settings(("http://127.0.0.1:1", etcd.endpoint))) as client:
        with pytest.raises(Unreachable, match=r"^http://127.0.0.1:1: .*Connection refused$"):
            await client.put(KEY, b"one")
        await client.rotate()
        await client.put(KEY, b"one")
        await client.rotate()
        with pytest.raises(Unreachable):
            await client.put(KEY, b"one")


async def test_no_answer_in_time(etcd: EtcdServer, fast_heartbeat: None) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        await client.put(KEY, b"one")
        etcd.pause()
        with pytest.raises(Unreachable, match="no answer in time"):
            await client.put(KEY, b"two")


async def test_closing_fails_what_is_under_way(etcd: EtcdServer) -> None:
    """It does not cancel the task that waits for it, though gRPC raises CancelledError there."""
    async with Writer(Settings((etcd.endpoint,))) as client:
        watch = await client.watch(PREFIX, b"/skydns0", 1)
        reading = asyncio.create_task(watch.read())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(Unreachable):
            await reading


async def test_a_cancelled_task_is_cancelled(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        watch = await client.watch(PREFIX, b"/skydns0", 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await watch.read()
        with pytest.raises(Unreachable):
            await watch.read()
