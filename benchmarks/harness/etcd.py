"""A real etcd of one member, filled through its JSON gateway."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from .processes import LOAD_CORE, Process, free_port
from .programs import find_etcd

PUTS_PER_TRANSACTION = 100  # etcd refuses more than 128 operations in one
PATIENCE = 20.0


def start_etcd(folder: Path) -> tuple[Process, str]:
    """Starts etcd with its data in a folder, on loopback; gives the process and its URL once it answers."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [find_etcd(), "--name=benchmark", f"--data-dir={folder / 'etcd'}", "--log-level=error", "--unsafe-no-fsync"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=benchmark={peer}"]
    process = Process(command, LOAD_CORE, folder, folder / "etcd.log")
    try:
        _wait_until_healthy(process, client)
    except BaseException:
        process.stop()
        raise
    return process, client


def _wait_until_healthy(process: Process, url: str) -> None:
    end = time.monotonic() + PATIENCE
    while not _healthy(url):
        if process.ended() or time.monotonic() > end:
            raise RuntimeError(f"etcd did not start: {process.last_words()}")
        time.sleep(0.05)


def _connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)


def _healthy(url: str) -> bool:
    connection = _connect(url)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


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
