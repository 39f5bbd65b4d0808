"""What the tests around etcd share: a client that writes, a store to look into, and a mirror that runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial

from aetcd import rpc

from pycoredns import testing
from pycoredns.plugins.etcd.client import Client
from pycoredns.plugins.etcd.mirror import Mirror, State
from pycoredns.plugins.etcd.reach import end_of_prefix
from pycoredns.plugins.etcd.settings import Settings

PREFIX = b"/skydns/"
TRANSACTION = 128
"""Operations; etcd takes no more at once."""
eventually = partial(testing.eventually, seconds=10.0)
"""As usual, but etcd may take its time."""


class Writer(Client):
    """A client that writes, too."""

    async def put(self, key: bytes, value: bytes, lease: int = 0) -> int:
        """Writes one key; the revision that did it."""
        answer = await self._ask(rpc.KVStub, "Put", rpc.PutRequest(key=key, value=value, lease=lease))
        return answer.header.revision

    async def delete(self, key: bytes, end: bytes = b"") -> int:
        """Deletes ``key``, or the keys up to just before ``end``; how many there were."""
        answer = await self._ask(rpc.KVStub, "DeleteRange", rpc.DeleteRangeRequest(key=key, range_end=end))
        return answer.deleted

    async def grant(self, ttl: int) -> int:
        """A new lease of ``ttl`` seconds."""
        answer = await self._ask(rpc.LeaseStub, "LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl))
        return answer.ID


class Names:
    """A store that keeps everything and checks that the mirror hands on only what is new."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.leases: dict[bytes, int] = {}
        self.puts = 0
        self.deletions = 0
        self._changed = asyncio.Event()

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        self.values[key] = value
        self.leases[key] = lease
        self.puts += 1

    def delete(self, key: bytes) -> None:
        del self.values[key]
        self.deletions += 1

    def changed(self) -> None:
        self._changed.set()

    async def become(self, condition: Callable[[dict[bytes, bytes]], bool], within: float = 10) -> None:
        """Waits until the values fulfil the condition."""
        async with asyncio.timeout(within):
            while not condition(self.values):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def following(*endpoints: str, settings: Settings | None = None) -> AsyncIterator[tuple[Mirror, Names]]:
    """A mirror at work, and its store."""
    names = Names()
    mirror = Mirror(settings or Settings(endpoints), PREFIX, names)
    async with at_work(mirror):
        yield mirror, names


@asynccontextmanager
async def at_work(mirror: Mirror) -> AsyncIterator[None]:
    task = asyncio.create_task(mirror.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def live(mirror: Mirror, within: float = 10) -> None:
    await eventually(lambda: mirror.state is State.LIVE, seconds=within)


async def stale(mirror: Mirror, within: float = 10) -> None:
    await eventually(lambda: mirror.state is State.STALE, seconds=within)


async def put_many(client: Client, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Writes ``pairs``, as many at once as etcd takes."""
    operations = [rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value)) for key, value in pairs]
    for start in range(0, len(operations), TRANSACTION):
        await rpc.KVStub(client.channel).Txn(rpc.TxnRequest(success=operations[start : start + TRANSACTION]))


async def compact(client: Client) -> None:
    """Makes etcd forget all history up to now."""
    revision = (await client.range(PREFIX)).header.revision
    await rpc.KVStub(client.channel).Compact(rpc.CompactionRequest(revision=revision, physical=True))


async def contents(client: Client) -> dict[bytes, bytes]:
    """All that etcd has below the prefix."""
    answer = await client.range(PREFIX, end_of_prefix(PREFIX), limit=1_000_000)
    return {pair.key: pair.value for pair in answer.kvs}
