"""When a zone is looked at again, and how many are at a time."""

import asyncio
from collections import Counter
from time import monotonic

import pytest

from pycoredns.corefile.servers import ServerAddress
from pycoredns.plugins.secondary import refresh, turns
from pycoredns.plugins.secondary.asking import Primary
from pycoredns.plugins.secondary.refresh import Follower, Timers
from pycoredns.plugins.secondary.turns import Turns
from pycoredns.testing import eventually
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("a.test")


def soa(refresh: int, retry: int, expire: int) -> Record:
    numbers = b"".join(each.to_bytes(4, "big") for each in (1, refresh, retry, expire, 60))
    return Record(ORIGIN, types.SOA, types.IN, 300, bytes(2) + numbers)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ((3600, 600, 86400), (3600, 600, 86400)),
        ((0, 0, 0), (1, 1, 9)),
        ((3600, 600, 0), (3600, 600, 4207)),
        ((3600, 600, 4206), (3600, 600, 4207)),
        ((3600, 600, 4208), (3600, 600, 4208)),
    ],
)
def test_no_zone_expires_before_it_has_been_asked_for_twice(said, kept):
    timers = Timers.of(Zone.of(ORIGIN, [soa(*said)]))
    assert (timers.refresh, timers.retry, timers.expire) == kept


class Looks:
    """Stands for the primaries, of which one never answers: how many were asked for a serial, and how many at a time."""

    def __init__(self, silent: ServerAddress) -> None:
        self.silent = silent
        self.asked: Counter[ServerAddress] = Counter()
        self.now: Counter[ServerAddress] = Counter()
        self.most = 0

    async def serial_at(self, primary: Primary, origin: bytes) -> int:
        self.asked[primary.server] += 1
        self.now[primary.server] += 1
        self.most = max(self.most, self.now[primary.server])
        await (asyncio.Event().wait() if primary.server == self.silent else asyncio.sleep(0))
        self.now[primary.server] -= 1
        return 1


async def test_of_many_zones_few_ask_a_primary_at_a_time_and_a_silent_one_holds_up_no_other(monkeypatch):
    monkeypatch.setattr(turns, "LOOKS", 4)
    good, silent = ServerAddress("192.0.2.1"), ServerAddress("192.0.2.2")
    looks, shared = Looks(silent), Turns()
    monkeypatch.setattr(refresh, "serial_at", looks.serial_at)
    followers = [
        Follower(ORIGIN, [Primary(server)], 100, None, lambda *_: None, lambda _: None)
        for server in (*[silent] * 50, *[good] * 50)
    ]
    for each in followers:
        each.zone = Zone.of(ORIGIN, [soa(3600, 600, 86400)])
    tasks = [asyncio.create_task(each.run(shared)) for each in followers]
    await eventually(lambda: looks.asked[good] == 50)
    assert (looks.most, looks.asked[silent]) == (4, 4)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_zone_expires_though_its_primary_keeps_it_waiting(monkeypatch):
    silent, expired = ServerAddress("192.0.2.2"), asyncio.Event()
    looks = Looks(silent)
    monkeypatch.setattr(refresh, "serial_at", looks.serial_at)
    follower = Follower(ORIGIN, [Primary(silent)], 100, None, lambda *_: None, lambda _: expired.set())
    follower.zone = Zone.of(ORIGIN, [soa(1, 1, 10)])
    follower.checked = monotonic() - 9.9
    task = asyncio.create_task(follower.run(Turns()))
    await asyncio.wait_for(expired.wait(), 5)
    assert (looks.asked[silent], follower.expired) == (1, True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
