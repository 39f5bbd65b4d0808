"""Asks for the transfer of a zone, again and again, and counts the records that come.

    python transfer_load.py PORT QUESTIONS OUTSTANDING SECONDS

The first message of QUESTIONS is sent. A transfer has ended when its first record, the SOA, has come again (RFC 5936 §2.2).
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 20.0  # seconds until more of a transfer must have come
TIMERS = 20  # bytes at a SOA's end


def messages(sock: socket.socket) -> Iterator[bytes]:
    """What a stream brings, message by message, until it is closed."""
    pending = b""
    while received := sock.recv(1 << 20):
        pending, place = pending + received, 0
        while len(pending) - place >= 2 and len(pending) - place - 2 >= (
            size := int.from_bytes(pending[place : place + 2], "big")
        ):
            yield pending[place + 2 : place + 2 + size]
            place += 2 + size
        pending = pending[place:]


def past_name(message: bytes, place: int) -> int:
    """Where the name that begins at a place ends."""
    while size := message[place]:
        if size >= 0xC0:
            return place + 2
        place += 1 + size
    return place + 1


def soa_timers(message: bytes) -> bytes:
    """Serial, refresh, retry, expire and minimum of the SOA that a transfer begins with: so it ends, too."""
    place = past_name(message, 12) + 4 if message[5] else 12  # a question may be repeated, or not
    place = past_name(message, place)
    (size,) = struct.unpack_from("!H", message, place + 8)
    return message[place + 10 + size - TIMERS : place + 10 + size]


def transferred(port: int, query: bytes) -> Iterator[bytes]:
    """The messages of one transfer; of a refused one those until then."""
    records, timers = 0, b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(query)
        for message in messages(sock):
            yield message
            records += answers_in(message)
            if refused(message):
                return
            timers = timers or soa_timers(message)
            if records > 1 and message.endswith(timers):
                return
    raise RuntimeError(f"the transfer was cut after {records} records")


def answers_in(message: bytes) -> int:
    """How many records a message says its answer section has."""
    return int.from_bytes(message[6:8], "big")


def refused(message: bytes) -> bool:
    """Whether its rcode is another than NOERROR."""
    return bool(message[3] & 15)


def main() -> None:
    """Transfers for so many seconds, and prints what came as JSON: records count as answers."""
    port, path, _, seconds = sys.argv[1:]
    content = Path(path).read_bytes()
    query = content[: 2 + int.from_bytes(content[:2], "big")]
    began, records, failed, transfers = time.perf_counter(), 0, 0, 0
    while not transfers or time.perf_counter() - began < float(seconds):
        for message in transferred(int(port), query):
            records, failed = records + answers_in(message), failed + refused(message)
        transfers += 1
    took = time.perf_counter() - began
    outcome = {"asked": records, "answered": records, "lost": failed, "seconds": took, "mean_latency_ms": took * 1000 / transfers}
    print(json.dumps(outcome | {"rcodes": {"NOERROR": records}}))


if __name__ == "__main__":
    main()
