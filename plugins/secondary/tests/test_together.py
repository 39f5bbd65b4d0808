"""Several processes that serve the same zones: what one hears, all know soon."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from pycoredns.peers import Message, NobodyAnswers, Peers, Role
from pycoredns.plugins.secondary import together
from pycoredns.plugins.secondary.together import Together
from pycoredns.testing import eventually

ORIGIN = b"\1a\4test\0"


class Worker(Peers):
    """One of some workers, of whom the first leads."""

    role = Role.WORKER

    def __init__(self, crew: list["Worker"]) -> None:
        super().__init__()
        self._crew = crew
        crew.append(self)

    @property
    def leading(self) -> bool:
        return self._crew[0] is self

    async def ask_leader(self, topic: str, message: Message) -> Message:
        return await self._crew[0].answer(topic, message)


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> dict[str, Worker]:
    """Which worker this process is taken for: ``now``."""
    workers: dict[str, Worker] = {}
    monkeypatch.setattr(together, "here", lambda: workers["now"])
    monkeypatch.setattr(together, "INTERVAL", 0.01)
    return workers


async def test_the_one_that_leads_hears_of_notify_and_the_others_of_new_versions(present):
    crew: list[Worker] = []
    leader, other = Worker(crew), Worker(crew)
    seen: dict[str, list[tuple[bytes, str]]] = {"leader": [], "other": []}
    leading = Together(lambda *call: seen["leader"].append(call))
    following = Together(lambda *call: seen["other"].append(call))
    async with AsyncExitStack() as stack:
        present["now"] = leader
        await stack.enter_async_context(leading.running("topic"))
        await asyncio.sleep(0)
        present["now"] = other
        await stack.enter_async_context(following.running("topic"))
        following.notified(ORIGIN, "192.0.2.1")
        await eventually(lambda: seen["leader"] == [(ORIGIN, "192.0.2.1")])
        leading.arrived(ORIGIN)
        await eventually(lambda: seen["other"] == [(ORIGIN, "")])
        await asyncio.sleep(0.05)
        assert seen["other"] == [(ORIGIN, "")]  # told once


async def test_without_one_that_leads_it_goes_on(present):
    class Lost(Worker):
        async def ask_leader(self, topic: str, message: Message) -> Message:
            asked.append(topic)
            raise NobodyAnswers(topic)

    crew: list[Worker] = []
    Worker(crew)
    asked: list[str] = []
    present["now"] = Lost(crew)
    async with Together(lambda *_: None).running("topic"):
        await eventually(lambda: len(asked) > 2)


async def test_what_was_heard_while_none_leads_is_told_to_the_next_one(present, monkeypatch):
    class Orphan(Worker):
        alone = True

        async def ask_leader(self, topic: str, message: Message) -> Message:
            if self.alone:
                if not asked.is_set():
                    following.notified(b"\1b\4test\0", "192.0.2.1")  # comes while the others are told
                asked.set()
                raise NobodyAnswers(topic)
            told.append(message.value["heard"])
            return Message({"newest": 0, "new": []})

    monkeypatch.setattr(together, "MOST_HEARD", 3)
    asked, told, following = asyncio.Event(), list[list[list[str]]](), Together(lambda *_: None)
    crew: list[Worker] = []
    Worker(crew)
    present["now"] = orphan = Orphan(crew)
    for client in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        following.notified(ORIGIN, client)
    async with following.running("topic"):
        await asked.wait()
        for number in range(9):
            following.notified(ORIGIN, f"198.51.100.{number}")
        orphan.alone = False
        await eventually(lambda: len(told) > 1)
    first, second, *_ = told
    zones = [ORIGIN.hex(), ORIGIN.hex(), b"\1b\4test\0".hex()]
    assert (first, second) == ([list(each) for each in zip(zones, ("192.0.2.1", "192.0.2.2", "192.0.2.1"), strict=True)], [])


def test_nothing_is_kept_of_a_zone_that_has_ended():
    leading = Together(lambda *call: None)
    for number in range(3):
        leading.arrived(bytes((1, number)) + ORIGIN)
    leading.ended(b"\1\1" + ORIGIN)
    told = leading._answer(Message({"since": -1, "heard": []})).value
    assert told == {"newest": 3, "new": [(bytes((1, number)) + ORIGIN).hex() for number in (0, 2)]}
