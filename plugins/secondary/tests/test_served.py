"""What is served of a zone while its primary comes and goes."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.plugins.secondary import Secondary
from pycoredns.plugins.secondary.kept import Shelf
from pycoredns.plugins.secondary.tests.support import Primary, expired, notify, says, says_after_reload, secondary, zone
from pycoredns.server import Server
from pycoredns.testing import RunningServer, eventually, free_port, running
from pycoredns.wire import names

pytestmark = pytest.mark.usefixtures("quick")


async def test_refresh_retry_and_expiry_follow_the_soa(caplog):
    async with secondary(primary := Primary(zone(1, "one", refresh_=1, retry=1, expire=2))) as server:
        async with primary.running():
            await eventually(lambda: says(server, "one"))
            primary.zone = zone(2, "two", refresh_=1, retry=1, expire=2)
            await eventually(lambda: says(server, "two"))
        await eventually(lambda: expired(server))
        assert "Zone a.test. is expired" in caplog.text
        async with primary.running():
            await eventually(lambda: says(server, "two"))


async def test_a_zone_that_has_expired_is_taken_with_any_serial():
    async with secondary(primary := Primary(zone(7, "one", refresh_=1, retry=1, expire=2))) as server:
        async with primary.running():
            await eventually(lambda: says(server, "one"))
        await eventually(lambda: expired(server))
        primary.zone = zone(3, "older")
        async with primary.running():
            await eventually(lambda: says(server, "older"))


async def test_notify_is_heard_from_primaries_only():
    async with Primary(zone(1, "one")).running() as primary:
        corefile = f"a.test:{{port}} {{\n bind 127.0.0.1\n secondary {{\n transfer from 127.0.0.2:{primary.port}\n}}\n}}"
        async with running(corefile) as server:
            with pytest.raises(TimeoutError):
                await notify(server)


async def test_kept_on_disk_it_is_served_at_once_and_its_expiry_counts_on(tmp_path: Path):
    async with (
        Primary(zone(1, "one", refresh_=600, retry=400, expire=1000)).running() as primary,
        secondary(primary, f"persist {tmp_path}") as server,
    ):
        await eventually(lambda: says(server, "one"))
        await eventually(lambda: (tmp_path / "a.test.zone").exists())
    async with secondary(primary, f"persist {tmp_path}") as server:
        assert await says(server, "one")
    os.utime(tmp_path / "a.test.zone", (time.time() - 1001,) * 2)
    async with secondary(primary, f"persist {tmp_path}") as server:
        assert await expired(server)
        async with primary.running():
            await eventually(lambda: says(server, "one"))


async def test_a_reload_keeps_the_zone_though_the_primary_is_gone():
    primary = Primary(zone(1, "one"))
    corefile = f"a.test:{{port}} {{\n bind 127.0.0.1\n secondary {{\n transfer from 127.0.0.1:{primary.port}\n}}\n}}"
    assert await says_after_reload(primary, corefile, "one")


async def test_a_reload_leaves_the_newest_version_on_disk(tmp_path: Path):
    port = free_port()
    async with Primary(zone(1, "one")).running() as primary:
        options = f"transfer from 127.0.0.1:{primary.port}\n persist {tmp_path}"
        corefile = f"a.test:{port} {{\n bind 127.0.0.1\n secondary {{\n {options}\n}}\n}}"
        first, second = (Server(assemble(parse(corefile, "Corefile"))) for _ in range(2))
        old, new = (RunningServer(server, {"port": port}) for server in (first, second))
        await first.start()
        await eventually(lambda: (tmp_path / "a.test.zone").exists())
        primary.zone = zone(2, "two")
        await notify(old)
        await eventually(lambda: says(old, "two"))
        primary.zone = zone(3, "three")
        await second.start(first)
        await eventually(lambda: says(new, "three"))
        await asyncio.sleep(0.1)
        await first.stop(final=False)
        kept, _ = Shelf(tmp_path).load(names.from_text("a.test")) or pytest.fail("it is not there")
        await second.stop()
    assert kept.serial == 3


async def test_a_server_that_was_replaced_fetches_nothing_more():
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        (plugin,) = server.server.blocks[0].find(Secondary)
        await plugin.drain(final=False)
        primary.zone = zone(2, "two")
        await notify(server)
        await asyncio.sleep(0.2)
        assert await says(server, "one")


async def test_fallthrough_and_names_outside():
    options = "fallthrough x.a.test"
    async with Primary(zone(1, "one")).running() as primary, secondary(primary, options) as server:
        await eventually(lambda: says(server, "one"))
        assert await server.rcode("none.a.test") == "NXDOMAIN"
        assert await server.rcode("x.a.test") == "SERVFAIL"  # passed on, to nobody
        assert await server.rcode("b.test") == "REFUSED"
