"""When the server is ready, and when not."""

import asyncio
import urllib.error
import urllib.request

import pytest

from pycoredns.errors import ConfigErrors, StartError
from pycoredns.http import HTTPRequest
from pycoredns.plugins import ready
from pycoredns.plugins.ready import Ready
from pycoredns.testing import free_port, running


async def fetch(port, path="/ready"):
    """Status and body."""

    def ask():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


def plugin_named(server, name, block=0):
    return next(plugin for plugin in server.server.blocks[block].plugins if plugin.name == name)


@pytest.mark.parametrize("monitor", ["until-ready", "continuously"])
async def test_union_of_all_blocks(monitor, caplog):
    corefile = f"""a.test:{{port}} {{
        ready 127.0.0.1:{{http}} {{
            monitor {monitor}
        }}
        whoami
    }}
    b.test:{{port}} {{
        ready 127.0.0.1:{{http}} {{
            monitor {monitor}
        }}
        erratic
        chaos
    }}
    c.test:{{port}} {{
        erratic
    }}"""
    caplog.set_level("INFO")
    async with running(corefile) as server:
        states = {"whoami": False, "erratic": False, "chaos": True}
        for block, name in ((0, "whoami"), (1, "erratic"), (1, "chaos")):
            plugin_named(server, name, block).ready = lambda name=name: states[name]
        plugin_named(server, "erratic", 2).ready = lambda: False
        port = server.ports["http"]
        assert await fetch(port) == (503, "erratic,whoami")
        assert 'Plugins not ready: "erratic,whoami"' in caplog.text
        states["whoami"] = True
        assert await fetch(port) == (503, "erratic")
        states["erratic"] = True
        assert await fetch(port) == (200, "OK")
        states["whoami"] = False
        assert await fetch(port) == ((200, "OK") if monitor == "until-ready" else (503, "whoami"))
        assert (await fetch(port, "/"))[0] == 404


@pytest.mark.parametrize(("starting", "expected"), [(60.0, (200, "OK")), (0.0, (503, "whoami"))])
async def test_what_is_about_to_be_ready_at_the_start_is_waited_for(monkeypatch, starting, expected):
    monkeypatch.setattr(ready, "STARTING", starting)
    async with running(".:{port} {\n bind 127.0.0.1\n ready 127.0.0.1:{http}\n whoami\n}") as server:
        states = [True, False]
        plugin_named(server, "whoami").ready = states.pop
        assert await fetch(server.ports["http"]) == expected


async def test_a_server_that_stops_is_not_ready():
    async with running(".:{port} {\n ready 127.0.0.1:{http}\n whoami\n}") as server:
        ready = plugin_named(server, "ready")
        await ready.drain(final=False)
        assert await fetch(server.ports["http"]) == (200, "OK")
        await ready.drain(final=True)
        with pytest.raises(urllib.error.URLError):
            await fetch(server.ports["http"])


async def test_an_address_in_use_ends_the_start():
    async with running(".:{port} {\n ready 127.0.0.1:{http}\n}") as server:
        with pytest.raises(StartError, match="address already in use"):
            async with running(f".:{free_port()} {{\n ready localhost:{server.ports['http']}\n}}"):
                pass


def test_defaults():
    assert (str(Ready().address), Ready().monitor) == (":8181", "until-ready")
    assert HTTPRequest("GET", "/ready").headers == {}


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("ready 8181", "host:8080"),
        ("ready :1 :2", "unexpected"),
        ("ready {\n monitor\n}", "monitor"),
        ("ready {\n monitor sometimes\n}", "sometimes"),
        ("ready {\n other\n}", "other"),
        ("ready\n ready", "once"),
    ],
)
async def test_mistakes(block, complaint):
    with pytest.raises(ConfigErrors, match=rf"Corefile:[123]: .*{complaint}"):
        async with running(f".:0 {{\n{block}\n}}"):
            pass
