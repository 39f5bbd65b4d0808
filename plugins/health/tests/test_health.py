"""The answer to /health, the server's questions to itself, and the time it goes on."""

import asyncio
import urllib.request

import pytest

from pycoredns.corefile.kinds import ListenAddress
from pycoredns.errors import ConfigErrors
from pycoredns.metrics import Cell, HistogramCell
from pycoredns.plugins.health import Health, measure
from pycoredns.plugins.health.overload import BUCKETS
from pycoredns.testing import eventually, free_port, running


async def fetch(port):
    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as reply:
            return reply.status, reply.headers["Content-Type"], reply.headers["Content-Length"], reply.read()

    return await asyncio.to_thread(ask)


async def test_answer():
    async with running(".:{port} {\n health 127.0.0.1:{http}\n}") as server:
        assert await fetch(server.ports["http"]) == (200, "text/plain; charset=utf-8", "2", b"OK")


@pytest.mark.parametrize("answering", [True, False])
async def test_the_server_asks_itself(monkeypatch, caplog, answering):
    monkeypatch.setattr("pycoredns.plugins.health.overload.INTERVAL", 0.001)
    port = free_port()
    durations, failures = HistogramCell(BUCKETS), Cell()
    if answering:
        async with running(f".:{{port}} {{\n health 127.0.0.1:{port}\n}}"):
            task = asyncio.create_task(measure(ListenAddress("127.0.0.1", port), "/health", durations, failures))
            await eventually(lambda: sum(durations.counts) >= 3)
            task.cancel()
    else:
        task = asyncio.create_task(measure(ListenAddress("127.0.0.1", port), "/health", durations, failures))
        await eventually(lambda: sum(durations.counts) >= 3)
        task.cancel()
        assert f'Local health request to "http://127.0.0.1:{port}/health" failed: ' in caplog.text
    assert bool(failures.value) is not answering


async def test_a_slow_answer_is_told(monkeypatch, caplog):
    monkeypatch.setattr("pycoredns.plugins.health.overload.INTERVAL", 0.001)
    monkeypatch.setattr("pycoredns.plugins.health.overload.SLOW", 0.0)
    async with running(".:{port} {\n health 127.0.0.1:{http}\n}"):
        await eventually(lambda: "took more than 1s: " in caplog.text)


@pytest.mark.parametrize(("final", "slept", "line"), [(True, [1.5], True), (False, [], False)])
async def test_lameduck(monkeypatch, caplog, final, slept, line):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    caplog.set_level("INFO")
    async with running(".:{port} {\n health 127.0.0.1:{http} {\n lameduck 1500ms\n }\n}") as server:
        plugin = next(plugin for plugin in server.server.blocks[0].plugins if isinstance(plugin, Health))
        with monkeypatch.context() as patched:
            patched.setattr("pycoredns.plugins.health.asyncio.sleep", sleep)
            await plugin.drain(final)
        plugin.lameduck = None
        assert (await fetch(server.ports["http"]))[0] == 200
    assert [seconds for seconds in waited if seconds > 1] == slept
    assert ("Going into lameduck mode for 1.5s" in caplog.text) is line


async def test_the_last_of_several_lines_counts():
    async with running(".:{port} {\n health 127.0.0.1:{http}\n health 127.0.0.1:{http2}\n}") as server:
        assert (await fetch(server.ports["http2"]))[0] == 200


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("health {\n lameduck\n}", "Wrong argument count or unexpected line ending after 'lameduck'"),
        ("health {\n lameduck 1s 2s\n}", "Wrong argument count"),
        ("health {\n lameduck 5\n}", "not a duration"),
        ("health {\n other\n}", "other"),
        ("health x", "not an address with a port"),
        ("health :1 :2", "unexpected"),
    ],
)
async def test_mistakes(block, complaint):
    with pytest.raises(ConfigErrors, match=rf"Corefile:[123]: .*{complaint}"):
        async with running(f".:0 {{\n{block}\n}}"):
            pass
