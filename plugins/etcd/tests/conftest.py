from collections.abc import AsyncIterator

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd import client, mirror


@pytest.fixture
async def etcd() -> AsyncIterator[EtcdServer]:
    """An empty etcd of the test's own."""
    async with EtcdServer() as server:
        yield server


@pytest.fixture
def fast_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask etcd more often, and wait less, than one would."""
    monkeypatch.setattr(mirror, "HEARTBEAT", 0.2)
    monkeypatch.setattr(client, "ANSWER_WITHIN", 0.5)
