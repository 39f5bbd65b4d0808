"""Three members, spoken to by TLS; some of them fail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd import mirror as mirror_module
from pycoredns.plugins.etcd.errors import Unreachable
from pycoredns.plugins.etcd.settings import Settings, TLSFiles
from pycoredns.plugins.etcd.tests.certificates import Authority, server_arguments
from pycoredns.plugins.etcd.tests.support import PREFIX, Writer, contents, following, live, stale


@pytest.fixture
def files(tmp_path: Path) -> TLSFiles:
    return Authority(tmp_path / "authority").issue("member")


@pytest.fixture
async def cluster(files: TLSFiles) -> AsyncIterator[list[EtcdServer]]:
    members = [EtcdServer(scheme="https") for _ in range(3)]
    peers = [f"member{number}=http://127.0.0.1:{member.peer_port}" for number, member in enumerate(members)]
    common = [
        *server_arguments(files),
        f"--initial-cluster={','.join(peers)}",
        "--heartbeat-interval=50",
        "--election-timeout=500",
    ]
    async with AsyncExitStack() as stack:
        for number, member in enumerate(members):
            member.arguments = (f"--name=member{number}", *common)
            stack.push_async_exit(member.__aexit__)
            stack.callback(member.kill)  # leaving in order takes a cluster seconds
            member.launch()
        await asyncio.gather(*(member.healthy() for member in members))
        yield members


async def put_steadily(client: Writer, count: int) -> None:
    """About 100 puts a second, each until it succeeds; one that is lost with its leader is not answered."""
    for number in range(count):
        while True:
            with suppress(Unreachable):
                await client.put(PREFIX + b"name-%04d" % number, b"%d" % number)
                break
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("fail", [EtcdServer.kill, EtcdServer.pause])
async def test_the_member_we_follow_fails_under_load(
    cluster: list[EtcdServer], files: TLSFiles, fast_heartbeat: None, fail: Callable[[EtcdServer], None]
) -> None:
    ours, theirs, _ = cluster
    settings = Settings(tuple(member.endpoint for member in cluster), tls=files)
    async with Writer(Settings((theirs.endpoint,), tls=files)) as client, following(settings=settings) as (mirror, names):
        await live(mirror)
        writing = asyncio.create_task(put_steadily(client, 300))
        await names.become(lambda values: len(values) > 100)
        fail(ours)
        await writing
        await names.become(lambda values: len(values) == 300)
        assert names.values == await contents(client)
        revision = (await client.range(PREFIX)).header.revision
        assert (mirror.copy.events, mirror.copy.full_syncs) == (revision - 1, 1)


async def test_the_majority_fails(cluster: list[EtcdServer], files: TLSFiles, fast_heartbeat: None) -> None:
    settings = Settings(tuple(member.endpoint for member in cluster), tls=files)
    async with Writer(settings) as client, following(settings=settings) as (mirror, names):
        await client.put(PREFIX + b"a", b"one")
        await names.become(lambda values: len(values) == 1)
        await live(mirror)
        for member in cluster[1:]:
            member.kill()
        await stale(mirror)
        await asyncio.sleep(1)  # the survivor answers nobody
        assert mirror.unconfirmed_for > 1
        assert names.values == {PREFIX + b"a": b"one"}
        cluster[1].launch()
        await live(mirror, within=15)
        await client.put(PREFIX + b"a", b"two")
        await names.become(lambda values: values == {PREFIX + b"a": b"two"})
        assert mirror.copy.full_syncs == 1


async def test_a_member_without_its_majority_says_so(
    cluster: list[EtcdServer], files: TLSFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch ends by itself; nobody has to ask."""
    monkeypatch.setattr(mirror_module, "HEARTBEAT", 3600)
    async with following(settings=Settings((cluster[0].endpoint,), tls=files)) as (mirror, _):
        await live(mirror)
        for member in cluster[1:]:
            member.kill()
        await stale(mirror, within=8)
