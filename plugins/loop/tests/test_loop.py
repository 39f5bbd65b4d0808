import re

import pytest

from pycoredns import peers
from pycoredns.plugins.loop import Loop, loop
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.testing import Last, eventually, free_port, request_for, running
from pycoredns.wire import names


class Ended(BaseException):
    """In a test, what stands for the end of the process."""


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(text: str) -> None:
        raise Ended(text)

    monkeypatch.setattr(loop, "fatal", end)


def looking(zone: str = ".") -> tuple[Loop, Request, Request]:
    """A plugin that looks out, its own question, and somebody else's."""
    plugin, last = Loop(), Last(Response())
    plugin.looking = True
    name = loop.random_name(names.from_text(zone))
    own = request_for(names.to_text(name), "HINFO", plugins=[plugin, last], zone=zone)
    return plugin, own, request_for("a.test", "HINFO", plugins=[plugin, last])


@pytest.mark.parametrize(("zone", "shown"), [(".", r"\."), ("example.org", r"example\.org\.")])
def test_the_third_time_its_question_comes_the_server_ends(zone: str, shown: str) -> None:
    plugin, own, other = looking(zone)
    plugin.block = own.listener.service.zones[names.from_text(zone)][0]
    for _ in range(2):
        plugin.handle(own)
        plugin.handle(other)
    with pytest.raises(Ended) as caught:
        plugin.handle(own)
    where = r"plugin/loop: Loop \(192\.0\.2\.77:40000 -> 127\.0\.0\.1:53\)"
    question = r"\d+\.\d+\.(example\.org\.)?"
    assert re.fullmatch(
        rf'{where} detected for zone "{shown}", see https://coredns\.io/plugins/loop#troubleshooting\. Query: "HINFO {question}"',
        str(caught.value),
    )


@pytest.mark.parametrize(("qtype", "looks"), [("A", True), ("HINFO", False)])
def test_other_questions_are_not_counted(qtype: str, looks: bool) -> None:
    plugin, own, _ = looking()
    plugin.looking = looks
    asked = request_for(names.to_text(own.name), qtype, plugins=[plugin, Last(Response())])
    for _ in range(5):
        plugin.handle(asked)
    assert not plugin.seen
    assert own.qtype == loop.HINFO


async def test_it_looks_until_the_server_has_answered() -> None:
    async with running(".:{port} {\n bind 127.0.0.1\n loop\n whoami\n}") as server:
        plugin = next(each for each in server.server.blocks[0].plugins if isinstance(each, Loop))
        await eventually(lambda: list(plugin.seen.values()) == [1] and not plugin.looking)
        assert plugin._address == ("127.0.0.1", server.port)


async def test_it_asks_again_when_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(loop, "TRY_SECONDS", 0.05)
    plugin, _, _ = looking()
    asked: list[bytes] = []
    monkeypatch.setattr(loop, "random_name", lambda zone: asked.append(zone) or zone)
    plugin._address = ("127.0.0.1", free_port())
    await plugin.look()
    assert len(asked) > 1
    assert not plugin.looking


def test_questions_of_other_processes_are_the_servers_own_those_of_other_servers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = names.from_text("example.org")
    name = loop.random_name(zone)
    assert loop.is_own(name, zone)
    monkeypatch.setattr(peers.here(), "secret", b"another server's")
    assert not loop.is_own(name, zone)


def test_names_are_random_and_fit() -> None:
    assert loop.random_name(b"\0") != loop.random_name(b"\0")
    longest = b"\x3f" + b"a" * 63
    zone = longest * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert loop.random_name(zone) == zone
