"""A name server that answers any question for A or AAAA with one address, quickly enough to stand behind what is measured.

    python stub_upstream.py PORT [DELAY_MS LOSS]

It takes and sends up to 64 datagrams per system call, so that it never is what is waited for. Questions of other types
get no records, names whose second label is "missing" are not there, and below "alias" an alias stands before the address.
A question with EDNS gets an OPT record. Over TCP it answers too, one question at a time, for servers that fall back to it.
With a delay or a loss (the share of questions that are never answered) it is made for thousands of questions in a second,
not for a hundred thousand.
"""

import ctypes
import random
import select
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import deque

BATCH = 64
SIZE = 4096
MSG_WAITFORONE = 0x10000
FOUND = b"\x81\x80\0\1\0\1\0\0"  # QR RD RA, one question, one answer
FOUND_BEHIND_ALIAS = b"\x81\x80\0\1\0\2\0\0"
NOTHING = b"\x81\x80\0\1\0\0\0\0"
NO_NAME = b"\x81\x83\0\1\0\0\0\1"  # NXDOMAIN, with one authority record
POINTER = 0xC000
TO_QUESTION = b"\xc0\x0c"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"  # 1232 octets
TTL = b"\0\0\x0e\x10"
ANSWERS = {  # by type and class: 192.0.2.1 and 2001:db8::1 at the question's name, TTL 3600
    b"\0\1\0\1": b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc0\0\2\1",
    b"\0\x1c\0\1": b"\xc0\x0c\0\x1c\0\1\0\0\x0e\x10\0\x10\x20\1\x0d\xb8" + bytes(11) + b"\1",
}


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Slot(ctypes.Structure):
    """struct mmsghdr: one datagram of a batch, and its size."""

    _fields_ = (("message", Message), ("length", ctypes.c_uint))


def answer(query: bytes) -> bytes:
    """The reply to a query: one address, or nothing for another type."""
    end = query.index(b"\0", 12) + 5  # labels of benchmark names hold no zero byte
    second = 13 + query[12]
    label = query[second + 1 : second + 1 + query[second]]
    if label == b"missing":
        head, records = NO_NAME, authority(second)
    else:
        records = ANSWERS.get(query[end - 4 : end], b"")
        head = FOUND if records else NOTHING
        if records and label == b"alias":
            head, records = FOUND_BEHIND_ALIAS, alias(end) + records.removeprefix(TO_QUESTION)
    opt = OPT if query[11] else b""
    return b"".join((query[:2], head, query[10:12], query[12:end], records, opt))


def pointer(place: int) -> bytes:
    """To a name that stands there (RFC 1035 §4.1.4)."""
    return (POINTER | place).to_bytes(2, "big")


def authority(zone: int) -> bytes:
    """The SOA record of the zone whose name stands there."""
    rdata = b"\2ns" + pointer(zone) + b"\4mail" + pointer(zone) + struct.pack("!5I", 1, 7200, 1800, 86400, 300)
    return pointer(zone) + b"\0\6\0\1" + TTL + len(rdata).to_bytes(2, "big") + rdata


def alias(start: int) -> bytes:
    """A CNAME record that stands there, and the owner of what its target has."""
    target = b"\6target" + TO_QUESTION
    return TO_QUESTION + b"\0\5\0\1" + TTL + len(target).to_bytes(2, "big") + target + pointer(start + 12)


def serve_datagrams(sock: socket.socket) -> None:
    """Answers datagrams for ever, a batch at a time; what is no query gets an empty one."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffers = [ctypes.create_string_buffer(SIZE) for _ in range(BATCH)]
    addresses = [ctypes.create_string_buffer(16) for _ in range(BATCH)]
    vectors = (Vector * BATCH)(*[Vector(ctypes.addressof(each), SIZE) for each in buffers])
    slots = (Slot * BATCH)()
    for slot, vector, address in zip(slots, vectors, addresses, strict=True):
        slot.message.name, slot.message.name_length = ctypes.addressof(address), 16
        slot.message.vectors, slot.message.vector_count = ctypes.pointer(vector), 1
    views = [memoryview(each).cast("B") for each in buffers]
    received = memoryview(slots).cast("B").cast("I")[56 // 4 :: 64 // 4]  # every Slot.length
    to_send = memoryview(vectors).cast("B").cast("Q")[1::2]  # every Vector.length
    number, full = sock.fileno(), memoryview((ctypes.c_uint64 * BATCH)(*[SIZE] * BATCH)).cast("B").cast("Q")
    while True:
        to_send[:] = full
        count = max(libc.recvmmsg(number, slots, BATCH, MSG_WAITFORONE, None), 0)
        for index in range(count):
            view = views[index]
            try:
                reply = answer(bytes(view[: received[index]]))
            except ValueError:
                reply = b""
            size = to_send[index] = len(reply)
            view[:size] = reply
        libc.sendmmsg(number, slots, count, 0)


def serve_badly(sock: socket.socket, delay: float, loss: float) -> None:
    """Answers datagrams for ever, each so many seconds late, and a share of them never."""
    source, waiting = random.Random(0), deque[tuple[float, bytes, tuple[str, int]]]()
    sock.setblocking(False)
    while True:
        wait = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
        if select.select([sock], (), (), wait)[0]:
            query, client = sock.recvfrom(SIZE)
            if source.random() >= loss:
                waiting.append((time.monotonic() + delay, query, client))
        while waiting and waiting[0][0] <= time.monotonic():
            _, query, client = waiting.popleft()
            sock.sendto(answer(query), client)


class Stream(socketserver.StreamRequestHandler):
    """A TCP connection (RFC 1035 §4.2.2: a length of two bytes before each message)."""

    def handle(self) -> None:
        """Answers questions until the client closes."""
        while prefix := self.rfile.read(2):
            reply = answer(self.rfile.read(*struct.unpack("!H", prefix)))
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


class Streams(socketserver.ThreadingTCPServer):
    """The TCP side, a thread per connection."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serves the port given on the command line until it is ended."""
    place = ("127.0.0.1", int(sys.argv[1]))
    streams = Streams(place, Stream)
    threading.Thread(target=streams.serve_forever, daemon=True).start()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(place)
        if len(sys.argv) > 2:
            serve_badly(sock, float(sys.argv[2]) / 1000, float(sys.argv[3]))
        serve_datagrams(sock)


if __name__ == "__main__":
    main()
