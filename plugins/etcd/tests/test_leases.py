"""Keys that live only as long as their lease."""

import asyncio

import pytest
from aetcd import rpc

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.errors import LeaseNotFound, Unreachable
from pycoredns.plugins.etcd.leases import Leases
from pycoredns.plugins.etcd.mirror import Mirror
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import PREFIX, Writer, eventually, following

KEY = PREFIX + b"org/example/a"


def between(mirror: Mirror, lease: int, least: int, most: int) -> bool:
    ttl = mirror.lease_ttl(lease)
    return ttl is not None and least <= ttl <= most


async def test_a_lease_is_counted_down_and_ends(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client, following(etcd.endpoint) as (mirror, names):
        lease = await client.grant(2)
        await client.put(KEY, b"one", lease)
        await names.become(lambda values: len(values) == 1)
        assert names.leases == {KEY: lease}
        await eventually(lambda: between(mirror, lease, 1, 2))
        await names.become(lambda values: not values)
        await eventually(lambda: mirror.lease_ttl(lease) is None)
        assert not [*mirror.copy.leases.deadlines()]


async def test_a_lease_that_was_there_before_us(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        lease = await client.grant(600)
        await client.put(KEY, b"one", lease)
        async with following(etcd.endpoint) as (mirror, _), asyncio.timeout(10):
            await mirror.synced_event.wait()
            assert between(mirror, lease, 598, 600)


async def test_a_kept_alive_lease_is_read_again(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client, following(etcd.endpoint) as (mirror, names):
        lease = await client.grant(6)
        await client.put(KEY, b"one", lease)
        await eventually(lambda: between(mirror, lease, 1, 3))
        call = rpc.LeaseStub(client.channel).LeaseKeepAlive()
        await call.write(rpc.LeaseKeepAliveRequest(ID=lease))
        await call.read()
        await eventually(lambda: between(mirror, lease, 4, 6))
        call.cancel()
        assert names.deletions == 0


async def test_more_leases_than_are_asked_for_at_once(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client, following(etcd.endpoint) as (mirror, _):
        leases = [await client.grant(100 + number) for number in range(40)]
        for number, lease in enumerate(leases):
            await client.put(KEY + b"%d" % number, b"", lease)
        await eventually(lambda: all(between(mirror, lease, 90, 140) for lease in leases))


async def test_while_etcd_is_away_a_lease_goes_on_but_never_reaches_zero(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client, following(etcd.endpoint) as (mirror, names):
        lease = await client.grant(2)
        await client.put(KEY, b"one", lease)
        await eventually(lambda: between(mirror, lease, 1, 2))
        etcd.kill()
        await asyncio.sleep(2.5)
        assert (mirror.lease_ttl(lease), names.values) == (1, {KEY: b"one"})


async def test_writing_with_a_lease_that_is_none(etcd: EtcdServer) -> None:
    async with Writer(Settings((etcd.endpoint,))) as client:
        assert await client.lease_remaining(4711) is None
        with pytest.raises(LeaseNotFound, match="requested lease not found"):
            await client.put(KEY, b"one", 4711)


async def test_writing_beyond_the_quota() -> None:
    async with (
        EtcdServer(arguments=["--quota-backend-bytes=100000"]) as etcd,
        Writer(Settings((etcd.endpoint,))) as client,
        following(etcd.endpoint) as (_, names),
    ):
        with pytest.raises(Unreachable, match="database space exceeded"):
            for number in range(3000):  # until etcd has looked at its size, which it does every 100 ms
                await client.put(KEY + b"%d" % number, bytes(10_000))
        count = (await client.range(PREFIX, b"/skydns0")).count
        await names.become(lambda values: len(values) == count)


class Failing:
    """A client that lost its connection."""

    async def lease_remaining(self, lease: int) -> int | None:
        raise Unreachable(f"no answer about {lease}")


async def test_what_could_not_be_read_stays_due() -> None:
    leases = Leases()
    leases.note(7)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await asyncio.wait_for(leases.keep(Failing()), 5)  # type: ignore[arg-type]  # has the one method that is asked
    assert ([*leases.deadlines()], len(leases._due), leases.remaining(7)) == ([(7, 0.0)], 1, None)


class Silent:
    """A client that gets no answer."""

    async def lease_remaining(self, lease: int) -> int | None:
        await asyncio.Event().wait()
        return lease


@pytest.mark.parametrize("client", [Failing(), Silent()])
async def test_the_start_does_not_wait_long_for_leases(client: Failing | Silent) -> None:
    leases = Leases()
    leases.note(7)
    await asyncio.wait_for(leases.begin(client, 0.01), 5)  # type: ignore[arg-type]  # has the one method that is asked
    assert (len(leases._due), leases.remaining(7)) == (1, None)
