"""Users, passwords, roles and tokens."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aetcd import rpc

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.errors import Forbidden, Unauthenticated
from pycoredns.plugins.etcd.mirror import State
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tests.support import PREFIX, Writer, following, live, stale

KEY = PREFIX + b"org/example/a"
READ = rpc.Permission.READ
TOKEN_LIFE = 2
"""Seconds; etcd looks every second."""


def user(etcd: EtcdServer, name: str, password: str = "secret") -> Settings:
    return Settings((etcd.endpoint,), name, password)


@pytest.fixture
async def guarded() -> AsyncIterator[EtcdServer]:
    """An etcd with a root, and with a reader who may see the prefix only; tokens soon run out."""
    async with EtcdServer(arguments=[f"--auth-token-ttl={TOKEN_LIFE}", "--bcrypt-cost=4"]) as etcd:
        async with Writer(Settings((etcd.endpoint,))) as client:
            auth = rpc.AuthStub(client.channel)
            for name in ("root", "reader"):
                await auth.UserAdd(rpc.AuthUserAddRequest(name=name, password="secret"))
                await auth.RoleAdd(rpc.AuthRoleAddRequest(name=name))
                await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=name, role=name))
            permission = rpc.Permission(permType=READ, key=PREFIX, range_end=b"/skydns0")
            await auth.RoleGrantPermission(rpc.AuthRoleGrantPermissionRequest(name="reader", perm=permission))
            await auth.AuthEnable(rpc.AuthEnableRequest())
        yield etcd


async def test_a_reader_of_the_prefix_alone_is_enough(guarded: EtcdServer, fast_heartbeat: None) -> None:
    async with Writer(user(guarded, "root")) as root, following(settings=user(guarded, "reader")) as (mirror, names):
        await live(mirror)
        await root.put(KEY, b"one")
        await names.become(lambda values: values == {KEY: b"one"})
        await asyncio.sleep(0.5)  # some heartbeats
        assert (mirror.state, mirror.reconnects) == (State.LIVE, 0)


@pytest.mark.parametrize(
    ("name", "password", "error", "words"),
    [
        ("", "", Unauthenticated, "user name is empty"),
        ("reader", "", Unauthenticated, "user name is empty"),
        ("reader", "wrong", Forbidden, "authentication failed, invalid user ID or password"),
        ("nobody", "secret", Forbidden, "authentication failed, invalid user ID or password"),
        ("reader", "secret", Forbidden, "permission denied"),
    ],
)
async def test_refusals(guarded: EtcdServer, name: str, password: str, error: type[Exception], words: str) -> None:
    async with Writer(user(guarded, name, password)) as client:
        with pytest.raises(error, match=f"^{guarded.endpoint}: {words}$"):
            await client.put(KEY, b"")


async def test_credentials_for_an_etcd_without_users(etcd: EtcdServer) -> None:
    async with Writer(user(etcd, "reader")) as client:
        await client.put(KEY, b"one")


async def test_a_token_that_ran_out_is_renewed(guarded: EtcdServer) -> None:
    async with Writer(user(guarded, "reader")) as client:
        await client.range(KEY)
        await asyncio.sleep(TOKEN_LIFE + 2)
        await asyncio.gather(*(client.range(KEY) for _ in range(5)))


async def test_a_watch_with_a_token_that_ran_out(guarded: EtcdServer) -> None:
    async with Writer(user(guarded, "reader")) as client:
        await client.range(KEY)
        await asyncio.sleep(TOKEN_LIFE + 2)
        with pytest.raises(Unauthenticated):
            await client.watch(PREFIX, b"/skydns0", 1)
        client.forget_token()
        watch = await client.watch(PREFIX, b"/skydns0", 1)
        watch.close()


async def test_the_password_changes_and_the_role_is_revoked(guarded: EtcdServer, fast_heartbeat: None) -> None:
    """The mirror keeps what it has and follows again once it is let in."""
    async with Writer(user(guarded, "root")) as root, following(settings=user(guarded, "reader")) as (mirror, names):
        await root.put(KEY, b"one")
        await names.become(lambda values: len(values) == 1)
        await live(mirror)
        auth, metadata = rpc.AuthStub(root.channel), root._metadata()
        change = rpc.AuthUserChangePasswordRequest(name="reader", password="other")
        await auth.UserChangePassword(change, metadata=metadata)
        await stale(mirror)
        back = rpc.AuthUserChangePasswordRequest(name="reader", password="secret")
        await auth.UserChangePassword(back, metadata=metadata)
        await live(mirror)
        await auth.UserRevokeRole(rpc.AuthUserRevokeRoleRequest(name="reader", role="reader"), metadata=metadata)
        await stale(mirror)
        assert names.values == {KEY: b"one"}
        await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="reader", role="reader"), metadata=metadata)
        await root.put(KEY, b"two")
        await names.become(lambda values: values == {KEY: b"two"})
        assert mirror.copy.full_syncs == 1
