"""How long a server's event loop stood still, as its own histogram has it, while etcd's data are loaded and changed."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace

from .data import Records
from .etcd import fill

HISTOGRAM = re.compile(r'^coredns_pycoredns_loop_pause_seconds_bucket\{[^}]*le="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)
PATIENCE = 60.0  # until changes are seen
RETRY = 0.01


def longest_pause_ms(http_port: int) -> float | None:
    """The bucket's bound that no pause was above; None if the server has no such histogram."""
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=10) as answer:
        return read_longest(answer.read().decode())


def read_longest(exposition: str) -> float | None:
    """The same, from the text of the metrics."""
    buckets = sorted((float(bound), float(count)) for bound, count in HISTOGRAM.findall(exposition))
    return next((bound * 1000 for bound, count in buckets if count == buckets[-1][1]), None)


def change_and_change_back(url: str, records: Records, text: str, changed: Callable[[], bytes]) -> None:
    """Gives records another text, waits until an answer made of them has changed, and puts everything back."""
    original = changed()
    fill(url, replace(records, text=text).items())
    _wait(lambda: changed() != original)
    fill(url, records.items())
    _wait(lambda: changed() == original)


def _wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise RuntimeError(f"a change in etcd was not seen within {PATIENCE:.0f} s")
        time.sleep(RETRY)


def answer_of(port: int, query: bytes) -> bytes:
    """What a server answers to a question."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", port))
        sock.send(query)
        return sock.recv(65535)
