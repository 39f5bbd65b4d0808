"""Asks each question over a TCP connection of its own, so many at a time.

    python connecting_load.py PORT QUESTIONS OUTSTANDING SECONDS

dnsperf can do this too (num-queries-per-conn=1), but pauses for 100 ms before it connects again.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

TIMEOUT = 2.0  # seconds for connection and answer
RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def frames(content: bytes) -> Iterator[bytes]:
    """The messages of a stream (RFC 1035 §4.2.2), each with its length before it."""
    place = 0
    while place < len(content):
        end = place + 2 + int.from_bytes(content[place : place + 2], "big")
        yield content[place:end]
        place = end


class Connections:
    """Questions under way; each is sent as soon as its connection stands."""

    def __init__(self, port: int, questions: Iterator[bytes]):
        """Ask these of a server on the loopback interface."""
        self.place, self.questions = ("127.0.0.1", port), questions
        self.asked = self.lost = 0
        self.seconds_waited = 0.0
        self.rcodes: Counter[str] = Counter()
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}

    def ask(self) -> None:
        """Connects for one more question."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.place)
        self._open[sock.fileno()] = sock, time.perf_counter()
        self._poll.register(sock, select.EPOLLOUT)
        self.asked += 1

    def proceed(self) -> None:
        """Sends what can be sent, takes what has come, and gives up what has taken too long."""
        for number, event in self._poll.poll(0.05):
            if event & select.EPOLLOUT and not event & (select.EPOLLERR | select.EPOLLHUP):
                self._send(number)
            else:
                self._take(number)
        if self._open and time.perf_counter() - next(iter(self._open.values()))[1] > TIMEOUT:
            self._close(next(iter(self._open)))
            self.lost += 1

    def _send(self, number: int) -> None:
        try:
            self._open[number][0].send(next(self.questions))
        except OSError:
            self._close(number)
            self.lost += 1
        else:
            self._poll.modify(number, select.EPOLLIN)

    def _take(self, number: int) -> None:
        """Answers on the loopback interface come in one piece."""
        try:
            answer = self._open[number][0].recv(65537)
        except OSError:
            answer = b""
        began = self._close(number)
        if len(answer) < 14:
            self.lost += 1
            return
        self.seconds_waited += time.perf_counter() - began
        self.rcodes[RCODES.get(answer[5] & 15, f"RCODE{answer[5] & 15}")] += 1

    def _close(self, number: int) -> float:
        sock, began = self._open.pop(number)
        self._poll.unregister(number)
        sock.close()
        return began

    @property
    def open(self) -> int:
        """How many are under way."""
        return len(self._open)


def main() -> None:
    """Asks, and prints what came back as JSON."""
    port, path, outstanding, seconds = sys.argv[1:]
    connections = Connections(int(port), cycle(frames(Path(path).read_bytes())))
    began = time.perf_counter()
    while connections.open or time.perf_counter() - began < float(seconds):
        while connections.open < int(outstanding) and time.perf_counter() - began < float(seconds):
            connections.ask()
        connections.proceed()
    answered = connections.rcodes.total()
    outcome = {
        "asked": connections.asked,
        "answered": answered,
        "lost": connections.lost,
        "seconds": time.perf_counter() - began,
        "mean_latency_ms": connections.seconds_waited * 1000 / max(answered, 1),
        "rcodes": dict(connections.rcodes),
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
