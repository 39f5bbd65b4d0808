"""A real etcd of one member, filled through its JSON gateway."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from pycoredns.etcd_server import EtcdServer

from .processes import LOAD_CORE, on_cores

PUTS_PER_TRANSACTION = 100  # etcd refuses more than 128 operations in one
TIMEOUT = 20.0  # seconds for a transaction


@contextmanager
def running_etcd(folder: Path) -> Iterator[str]:
    """An etcd on the load's core with its data in a folder; gives its endpoint."""
    server = EtcdServer(folder, arguments=["--unsafe-no-fsync"])
    with on_cores({LOAD_CORE}):
        server.launch()
    try:
        asyncio.run(server.healthy())
        yield server.endpoint
    finally:
        server.kill()


def _connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT)


def fill(url: str, items: Iterable[tuple[str, str]]) -> None:
    """Puts keys and values, a hundred to a transaction."""
    connection = _connect(url)
    try:
        for batch in _batches(iter(items)):
            puts = [{"requestPut": {"key": _base64(key), "value": _base64(value)}} for key, value in batch]
            connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise RuntimeError(f"etcd refused the data: {text!r}")
    finally:
        connection.close()


def _batches(items: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while batch := list(islice(items, PUTS_PER_TRANSACTION)):
        yield batch


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
