from collections.abc import AsyncIterator

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd import mirror
from pycoredns.plugins.etcd.client import Client


@pytest.fixture
async def etcd() -> AsyncIterator[EtcdServer]:
    """An empty etcd of the test's own."""
    async with EtcdServer() as server:
        yield server


@pytest.fixture
def fast_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks etcd more often, and waits less, than one would."""
    monkeypatch.setattr(mirror, "HEARTBEAT", 0.2)
    monkeypatch.setattr(Client, "answer_within", 0.5)
