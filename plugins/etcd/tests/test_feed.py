"""What a worker that follows another one does where that one fails it."""

import asyncio
import logging

import pytest

from pycoredns.peers import Message, NobodyAnswers, Peers, Role
from pycoredns.plugins.etcd import feed
from pycoredns.plugins.etcd.feed import Feed, Follower
from pycoredns.plugins.etcd.mirror import Mirror
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tree import Tree
from pycoredns.testing import eventually

TEXT = b'{"host": "192.0.2.1"}'


class Worker(Peers):
    """One that has another one's feed to ask, which answers nonsense as often as it is told."""

    role = Role.WORKER

    def __init__(self, leader: Feed) -> None:
        super().__init__()
        self._leader = leader
        self.nonsense: list[Message] = []

    async def ask_leader(self, topic: str, message: Message) -> Message:
        await asyncio.sleep(0)
        return self.nonsense.pop() if self.nonsense else await self._leader.answer(message)


def mirror_and_tree() -> tuple[Mirror, Tree]:
    tree = Tree(b"/skydns", 300)
    mirror = Mirror(Settings(("http://192.0.2.53:2379",)), b"/skydns/", tree)
    tree.sorted_keys = mirror.copy.held
    return mirror, tree


@pytest.fixture
def leader() -> Feed:
    return Feed(*mirror_and_tree())


async def test_a_follower_goes_on_after_whatever_failed(leader: Feed, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(feed, "PAUSE_AFTER_FAILURE", 0.0)
    worker = Worker(leader)
    monkeypatch.setattr(feed, "here", lambda: worker)
    leader._mirror.synced_event.set()
    mirror, tree = mirror_and_tree()
    worker.nonsense = [Message(["epoch", 0, False], b"cut off")]
    task = asyncio.create_task(Follower(mirror, tree, "topic").run())
    await eventually(mirror.synced_event.is_set)
    worker.nonsense = [Message(17)]
    leader._copy.held.note(b"/skydns/test/a", feed.Version(1, 1, 0))
    leader.put(b"/skydns/test/a", TEXT, 0)
    leader.changed()
    await eventually(lambda: b"/skydns/test/a" in tree.records)
    task.cancel()
    await asyncio.wait([task])
    failures = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.getMessage() for each in failures] == ["following another worker failed; reading everything again"] * 2
    assert task.cancelled()


async def test_a_lease_that_could_not_be_read_is_known_to_whoever_leads_next(
    leader: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where etcd goes away right after a put, and the worker that has been told of it, too."""
    worker = Worker(leader)
    monkeypatch.setattr(feed, "here", lambda: worker)
    leader._mirror.synced_event.set()
    mirror, tree = mirror_and_tree()
    task = asyncio.create_task(Follower(mirror, tree, "topic").run())
    await eventually(mirror.synced_event.is_set)
    leader._copy.leases.note(7)
    await eventually(lambda: mirror.copy.leases.deadline(7) == 0.0)
    task.cancel()
    await asyncio.wait([task])
    mirror.copy.leases.resume()
    assert mirror.copy.leases._take_due(0.0) == [7]


async def test_who_asks_before_etcd_has_been_read_does_not_wait_for_ever(leader: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LONGEST_SYNC", 0.01)
    with pytest.raises(NobodyAnswers):
        await leader.answer(Message("page"))
