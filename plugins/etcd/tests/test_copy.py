"""What a copy says of itself after a compaction: a watch that reads slowly may have been left without changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.copy import SLICE, Copy
from pycoredns.plugins.etcd.messages import RangeAnswer
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import PREFIX, Names, Writer, compact, put_many
from pycoredns.plugins.etcd.watch import Watch


def key(number: int) -> bytes:
    return PREFIX + b"org/example/name-%03d" % number


class Slow(Writer):
    """An etcd of which something else comes before each answer does."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def range(self, *place: bytes, **options: Any) -> RangeAnswer:
        answer = await super().range(*place, **options)
        if self.meanwhile is not None:
            await self.meanwhile()
        return answer


class Followed:
    """A copy of five keys, whose changes come when a test lets them."""

    def __init__(self, client: Slow, copy: Copy, watch: Watch) -> None:
        self.client = client
        self.copy = copy
        self.watch = watch
        self.certain = copy.revision

    async def take(self) -> None:
        await self.copy.apply((await self.watch.read()).events)

    async def lose(self) -> None:
        await self.watch.read()

    async def confirmed(self) -> int:
        _, certain = await self.copy.confirm(self.client, self.certain + 1)
        return certain


@pytest.fixture
async def followed(etcd: EtcdServer) -> AsyncIterator[Followed]:
    async with Slow(Settings((etcd.endpoint,))) as client:
        await put_many(client, ((key(n), b"") for n in range(5)))
        copy = Copy(PREFIX, Names())
        await copy.sync(client)
        watch = await client.watch(copy.start, copy.end, copy.revision + 1)
        yield Followed(client, copy, watch)
        watch.close()


async def test_nothing_is_missing_where_everything_came(followed: Followed) -> None:
    revision = await followed.client.put(key(5), b"")
    await followed.take()
    assert await followed.confirmed() == revision


@pytest.mark.parametrize("compacted", [False, True])
async def test_a_deletion_that_never_came_is_noticed(followed: Followed, compacted: bool) -> None:
    await followed.client.delete(key(0))
    await followed.lose()
    await followed.client.put(key(1), b"newer")
    await followed.take()
    if compacted:
        await followed.client.put(b"/elsewhere", b"")
        await compact(followed.client)  # so that it cannot be compared as of the copy's own revision
    assert await followed.confirmed() == 0


async def test_a_deletion_that_never_came_is_not_made_up_for_by_one_that_comes_meanwhile(followed: Followed) -> None:
    client = followed.client
    await client.delete(key(0))
    await followed.lose()
    await client.put(b"/elsewhere", b"")
    await compact(client)  # as above

    async def delete_another() -> None:
        await client.delete(key(1))
        await followed.take()

    client.meanwhile = delete_another
    assert await followed.confirmed() == 0


@pytest.mark.parametrize("number", [2, 9])
async def test_what_is_written_meanwhile_makes_no_difference(followed: Followed, number: int) -> None:
    client = followed.client
    revision = await client.put(key(2), b"newer")
    await followed.take()

    async def write() -> None:
        await client.put(key(number), b"newest")
        await followed.take()

    client.meanwhile = write
    assert await followed.confirmed() == revision


async def test_what_is_deleted_meanwhile_makes_no_difference(followed: Followed) -> None:
    client = followed.client
    revision = await client.put(key(2), b"newer")
    await followed.take()

    async def delete() -> None:
        await client.delete(key(2))
        await followed.take()

    client.meanwhile = delete
    assert await followed.confirmed() == revision


async def test_a_message_is_compared_as_a_whole(followed: Followed) -> None:
    await put_many(followed.client, ((key(n), b"newer") for n in range(SLICE + 20)))  # in one transaction
    events = (await followed.watch.read()).events
    taking = asyncio.create_task(followed.copy.apply(events))
    await asyncio.sleep(0)  # a slice of it
    assert len(followed.copy) == SLICE
    assert await followed.confirmed() == events[-1].kv.mod_revision
    await taking
