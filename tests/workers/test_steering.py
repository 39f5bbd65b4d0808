"""Which worker gets which name."""

import socket

import pytest

from pycoredns.assemble import Address
from pycoredns.peers import here
from pycoredns.sockets import Sockets
from pycoredns.testing import free_port, query_wire
from pycoredns.transport.steering import factor, owner

WORKERS = 3


def received(sockets, wires):
    """Which datagram came out of which socket."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for wire in wires:
            client.sendto(wire, sockets[0].getsockname())
            found.append([number for number, each in enumerate(sockets) if came(each)])
    return found


def came(sock):
    try:
        return bool(sock.recv(4096))
    except BlockingIOError:
        return False


@pytest.fixture
def datagrams():
    sockets = Sockets.open([Address("127.0.0.1", free_port())], copies=WORKERS)
    yield next(several for key, several in sockets.bound.items() if key.protocol == "udp")
    sockets.close()


@pytest.mark.parametrize(
    "spelt",
    [
        [
            ("www.example.org", "A", 0),
            ("WWW.exAmple.ORG", "A", 0),
            ("www.example.org", "AAAA", 1232),
            ("www.Example.org", "A", 4096),
        ],
        [("a.test", "A", 0), ("A.TEST", "A", 1232), ("a.TesT", "MX", 0)],
        [
            ("very-long-first-label-of-a-name.in.some.zone.test", "A", 0),
            ("VERY-LONG-first-label-of-a-name.in.some.zone.test", "A", 512),
        ],
    ],
)
def test_a_name_is_always_asked_of_the_same_worker(datagrams, spelt):
    wires = [query_wire(name, qtype, size=size) for name, qtype, size in spelt for _ in range(3)]
    found = received(datagrams, wires)
    assert found == [found[0]] * len(wires)
    assert len(found[0]) == 1


@pytest.mark.parametrize(
    "form", ["n{}.lab.test", "www.domain{}.com", "web.ns{}.svc.cluster.local", "long-service-name-{}.default.svc"]
)
def test_names_are_divided_evenly(datagrams, form):
    found = received(datagrams, [query_wire(form.format(number)) for number in range(600)])
    shares = [found.count([number]) for number in range(3)]
    assert sum(shares) == 600
    assert min(shares) > 120


@pytest.mark.parametrize("wire", [b"", b"\0", bytes(12), bytes(16), query_wire("."), bytes(12) + b"\xff" * 20])
def test_nonsense_reaches_a_worker_too(datagrams, wire):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(wire, datagrams[0].getsockname())
    waiting = [number for number, each in enumerate(datagrams) if has_datagram(each)]
    assert len(waiting) == 1


def has_datagram(sock):
    try:
        sock.recv(4096)
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "wire",
    [
        *(query_wire(name) for name in (".", "a.", "ab.test", "WWW.Example.org", "one.two.three.four.five.six.seven.test")),
        *(query_wire(f"host-{number}.example.org", size=1232 * (number % 2)) for number in range(50)),
        *(query_wire("a-long-label-at-the-end.of-it")[:size] for size in range(12, 60, 3)),
        bytes(12) + b"\xff" * 20,
        bytes(12) + b"\x02\xff\xfe\x01\x00\0",
    ],
)
def test_of_a_connection_the_owner_is_whom_the_kernel_would_choose(datagrams, wire):
    assert received(datagrams, [wire]) == [[owner(wire, WORKERS, factor(here().secret))]]
