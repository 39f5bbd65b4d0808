"""Datagrams that leave together."""

import ctypes
import errno
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pycoredns.transport import addresses, mmsg

pytestmark = pytest.mark.skipif(not mmsg.AVAILABLE, reason="there is no sendmmsg here")
NO_CHECKSUM = 11  # SO_NO_CHECK, which Python does not name: what has no checksum cannot be cut (udp(7))
LOCAL = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@contextmanager
def sockets(number: int, family: int = socket.AF_INET) -> Iterator[list[socket.socket]]:
    """Bound to ports of their own."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(number)]
        for each in opened:
            each.bind((LOCAL[family], 0))
            each.settimeout(5)
        yield opened


def peer_of(sock: socket.socket) -> bytes:
    return addressed(sock.getsockname()[1], sock.family)


def addressed(port: int, family: int = socket.AF_INET) -> bytes:
    return addresses.to_sockaddr(LOCAL[family], port, family).ljust(mmsg.NAME_SIZE, b"\0")


def received(sock: socket.socket) -> list[bytes]:
    """All that has come."""
    sock.setblocking(False)
    found = []
    try:
        while True:
            found.append(sock.recv(9000))
    except BlockingIOError:
        return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages the kernel got in each call."""
    made: list[int] = []
    real = mmsg._sendmmsg

    def counting(descriptor: int, address: int, count: int, flags: int) -> int:
        sent = int(real(descriptor, address, count, flags))
        made.append(sent)
        return sent

    monkeypatch.setattr(mmsg, "_sendmmsg", counting)
    return made


@pytest.mark.parametrize(
    ("sizes", "messages"),
    [
        ([50], 1),
        ([50, 50, 50], 1),
        ([50, 50, 49], 1),  # the last may be shorter
        ([49, 50, 50], 1),
        ([50, 49, 49], 2),
        ([50, 49, 48, 47], 2),
        ([1000] * 64, 1),
        ([40] * 65, 2),
        ([40] * 128, 2),
        ([1001, 1001], 2),
        ([1001, 900, 900], 2),
        ([4096] * 3, 3),
    ],
)
def test_datagrams_of_one_size_for_one_peer_are_one_message(calls, sizes, messages):
    if not mmsg.cuts():
        pytest.skip("the kernel is older than 4.18")
    with sockets(2) as (sock, other):
        datagrams = [bytes((number,)) * size for number, size in enumerate(sizes)]
        assert mmsg.Sender(name_size=16).send(sock.fileno(), datagrams, [peer_of(other)] * len(sizes)) == ()
        assert sum(calls) == messages
        assert sorted(received(other)) == sorted(datagrams)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("together", [True, False])
def test_each_peer_gets_its_own(family, together):
    with sockets(6, family) as (sock, *others):
        sent = defaultdict(list)
        sender = mmsg.Sender(name_size=28 if family == socket.AF_INET6 else 16, together=together)
        for _ in range(3):
            peers, datagrams = [], []
            for number in range(100):
                to = number * number % 5
                peers.append(peer_of(others[to]))
                datagrams.append(b"%d to %d, %b" % (number, to, b"x" * (number % 3)))
                sent[to].append(datagrams[-1])
            assert sender.send(sock.fileno(), datagrams, peers) == ()
        for to, other in enumerate(others):
            assert sorted(received(other)) == sorted(sent[to])


def test_a_connected_socket_needs_no_peers(calls):
    with sockets(2) as (sock, other):
        sock.connect(other.getsockname())
        assert mmsg.Sender().send(sock.fileno(), [b"one", b"two", b"three"]) == ()
        assert sorted(received(other)) == [b"one", b"three", b"two"]


def test_what_cannot_be_cut_goes_in_single_datagrams(calls):
    with sockets(2) as (sock, other):
        sock.setsockopt(socket.SOL_SOCKET, NO_CHECKSUM, 1)
        sender = mmsg.Sender(name_size=16)
        datagrams = [b"a%d" % number for number in range(9)] + [b"other", b"shorter", b"b"]
        assert sender.send(sock.fileno(), datagrams, [peer_of(other)] * 12) == ()
        assert sorted(received(other)) == sorted(datagrams)


def test_where_the_device_cannot_have_it_cut_nothing_goes_together_any_more(calls, monkeypatch):
    counting = mmsg._sendmmsg

    def refusing(descriptor: int, *arguments: int) -> int:
        monkeypatch.setattr(mmsg, "_sendmmsg", counting)
        ctypes.set_errno(errno.EIO)
        return -1

    with sockets(2) as (sock, other):
        sender = mmsg.Sender(name_size=16)
        monkeypatch.setattr(mmsg, "_sendmmsg", refusing)
        for _ in range(2):
            assert sender.send(sock.fileno(), [b"one", b"two", b"six"], [peer_of(other)] * 3) == ()
            assert sorted(received(other)) == [b"one", b"six", b"two"]
        assert calls == [3, 3]


def test_of_what_a_packet_filter_drops_as_one_each_is_tried(monkeypatch):
    counting, seen = mmsg._sendmmsg, []

    def dropping_every_third(descriptor: int, place: int, count: int, flags: int) -> int:
        seen.append(count)
        if len(seen) % 3 == 1:
            ctypes.set_errno(errno.EPERM)
            return -1
        return counting(descriptor, place, 1, flags)

    with sockets(2) as (sock, other):
        monkeypatch.setattr(mmsg, "_sendmmsg", dropping_every_third)
        datagrams = [b"%d" % number for number in range(9)]
        refused = mmsg.Sender(name_size=16).send(sock.fileno(), datagrams, [peer_of(other)] * 9)
        assert len(refused) == 3
        assert sorted([*refused, *received(other)]) == datagrams


@pytest.mark.parametrize("several", [1, 3])
def test_the_kernel_refusing_one_destination_does_not_hold_back_the_others(several):
    with sockets(3) as (sock, first, second):
        peers = [peer_of(first), *[addressed(0)] * several, peer_of(second), peer_of(first)]
        datagrams = [b"one", *[b"no"] * several, b"two", b"six"]
        assert mmsg.Sender(name_size=16).send(sock.fileno(), datagrams, peers) == [b"no"] * several
        assert (received(first), received(second)) == ([b"one", b"six"], [b"two"])


def test_what_finds_no_room_is_lost(monkeypatch):
    with sockets(2) as (sock, other):
        monkeypatch.setattr(mmsg, "_sendmmsg", lambda *arguments: -1)
        monkeypatch.setattr(mmsg.ctypes, "get_errno", lambda: errno.EAGAIN)
        lost = mmsg.Sender(name_size=16).send(sock.fileno(), [b"one", b"two", b"three"], [peer_of(other)] * 3)
        assert sorted(lost) == [b"one", b"three", b"two"]
