"""Latency under a steady load: questions leave by a schedule, whether or not earlier ones have been answered.

    python latency.py PORT QUESTIONS PROTOCOL CLIENTS RATE SECONDS PATIENCE

The gaps of the schedule are random (exponential), as where many clients ask; they are the same for every server. Nothing
waits for an answer, so a server that stalls is asked on, and all that it delays counts (no coordinated omission). Both ends of
a latency are the kernel's or next to it: the clock before `send`, and the time stamp that the kernel put on the answer when
it reached the socket (SO_TIMESTAMPNS), so that this program being slow to fetch it counts for nothing. What it was late in
sending is told as `behind_us`: a rate at which that is much was too high for it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import random
import select
import socket
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate, cycle, islice
from pathlib import Path

SO_TIMESTAMPNS = 35  # asm-generic/socket.h
TIMESTAMP = struct.Struct("@qq")
ANCILLARY = socket.CMSG_SPACE(TIMESTAMP.size)
BUFFER = 4 << 20
IDS = 1 << 16  # a question's ID is its number modulo this
PR_SET_TIMERSLACK = 29
SLACK_NS = 1
FIRST = 0.05  # seconds from the program being ready to the first question


@dataclass(frozen=True)
class Latency:
    """What was seen at one rate; times in microseconds."""

    rate: float
    asked: int
    lost: int
    p50_us: float
    p99_us: float
    p999_us: float
    behind_us: float  # by which 1 % of the questions left later than by the schedule

    @property
    def in_time(self) -> bool:
        """Whether the questions left as they should have: else their latencies are of another load than was wanted."""
        return self.behind_us < 1000


def frames(content: bytes) -> Iterator[bytes]:
    """The messages of a stream (RFC 1035 §4.2.2), without their lengths."""
    place = 0
    while place < len(content):
        end = place + 2 + int.from_bytes(content[place : place + 2], "big")
        yield content[place + 2 : end]
        place = end


class Client:
    """A socket with questions under way."""

    def __init__(self, port: int, protocol: str, sent_ns: list[int], latencies_ns: array[int]):
        """Connect; what is answered moves from the table of sending times to the latencies."""
        self.stream, self.sent_ns, self.latencies_ns = protocol == "tcp", sent_ns, latencies_ns
        self.sock = socket.socket(type=socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.sock.connect(("127.0.0.1", port))
        if self.stream:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = self.sock.fileno
        self._pending = b""

    def send(self, number: int, rest: bytes) -> None:
        """Asks question `number`: a message without its ID."""
        message = (number % IDS).to_bytes(2, "big") + rest
        if self.stream:
            message = len(message).to_bytes(2, "big") + message
        self.sent_ns[number % IDS] = time.time_ns()
        self.sock.send(message)

    def take(self) -> None:
        """Takes what has come."""
        received, ancillary, _, _ = self.sock.recvmsg(1 << 16, ANCILLARY)
        if not received:
            raise ConnectionResetError("the server closed a connection")
        seconds, nanoseconds = TIMESTAMP.unpack(ancillary[0][2]) if ancillary else (0, time.time_ns())
        came = seconds * 1_000_000_000 + nanoseconds
        if self.stream:
            for message in self._messages(received):
                self._note(message, came)
        else:
            self._note(received, came)

    def _messages(self, received: bytes) -> Iterator[bytes]:
        content, place = self._pending + received, 0
        while len(content) - place >= 2 and len(content) - place - 2 >= (
            size := int.from_bytes(content[place : place + 2], "big")
        ):
            yield content[place + 2 : place + 2 + size]
            place += 2 + size
        self._pending = content[place:]

    def _note(self, message: bytes, came_ns: int) -> None:
        number = message[0] << 8 | message[1]
        if sent := self.sent_ns[number]:
            self.sent_ns[number] = 0
            self.latencies_ns.append(came_ns - sent)


def keep_schedule(clients: list[Client], questions: Iterator[bytes], due: list[float]) -> array[float]:
    """Sends each question when it is due and takes answers in between; by how many seconds each left late."""
    late: array[float] = array("d")
    asking = cycle(clients)
    begin = time.perf_counter() + FIRST
    for number, moment in enumerate(due):
        while (left := begin + moment - time.perf_counter()) > 0:
            for client in select.select(clients, (), (), left)[0]:
                client.take()
        late.append(-left)
        next(asking).send(number, next(questions))
        if not number % 16:  # behind the schedule, too, answers are fetched before they overflow
            take_what_is_there(clients)
    return late


def take_what_is_there(clients: list[Client], seconds: float = 0.0) -> bool:
    """Takes answers that are there, or come within so many seconds; whether there were any."""
    ready = select.select(clients, (), (), seconds)[0]
    for client in ready:
        client.take()
    return bool(ready)


def quantile(ordered: list[float], share: float) -> float:
    """The value that this share of all lie below; not a number of nothing."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


def measure(port: int, path: Path, protocol: str, client_count: int, rate: float, seconds: float, patience: float) -> Latency:
    """Asks at this rate; a question without an answer within `patience` seconds after the last is lost."""
    source = random.Random(0)
    due = list(accumulate(source.expovariate(rate) for _ in range(max(int(rate * seconds), 1))))
    rests = cycle([frame[2:] for frame in islice(frames(path.read_bytes()), len(due))])
    sent_ns, latencies_ns = [0] * IDS, array("q")
    clients = [Client(port, protocol, sent_ns, latencies_ns) for _ in range(client_count)]
    gc.disable()
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0)
    late = keep_schedule(clients, rests, due)
    until = time.perf_counter() + patience
    while len(latencies_ns) < len(due) and time.perf_counter() < until:
        take_what_is_there(clients, 0.05)
    ordered = sorted(each / 1000 for each in latencies_ns)
    p50, p99, p999 = (round(quantile(ordered, share), 1) for share in (0.5, 0.99, 0.999))
    behind = round(quantile(sorted(late), 0.99) * 1e6, 1)
    return Latency(round(rate), len(due), len(due) - len(ordered), p50, p99, p999, behind)


def measured_by_process(*arguments: object, seconds: float) -> Latency:
    """The same in a process of its own, on the cores that this one may use."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"latencies could not be measured: {done.stderr.strip()[-500:]}")
    return Latency(**json.loads(done.stdout))


def main() -> None:
    """Measures, and prints the outcome as JSON."""
    port, path, protocol, clients, rate, seconds, patience = sys.argv[1:]
    outcome = measure(int(port), Path(path), protocol, int(clients), float(rate), float(seconds), float(patience))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
