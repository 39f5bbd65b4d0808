"""Random and mangled datagrams: the server answers on, its memory stays level, nothing unexpected is raised.

``PYCOREDNS_FUZZ`` sets their number; the seed is fixed, so that what fails here fails again.
"""

import os
import random
from math import inf

import dns.exception
import dns.message
import pytest

from pycoredns import service as service_module
from pycoredns.chain import Block
from pycoredns.direct import Direct, shape_of
from pycoredns.meaning import Meaning
from pycoredns.memo import CAPACITY, Memo
from pycoredns.plugin import Plugin
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.testing import SilentListener, query_wire
from pycoredns.wire import message, names

COUNT = int(os.environ.get("PYCOREDNS_FUZZ", "60000"))


class Echo(Plugin):
    name = "echo"

    def handle(self, request):
        return Response(answer=message.record(request.asked, 16, 60, b"\4text"), answers=1)


class Finding(Echo):
    """The same, found directly."""

    def direct(self, service, following):
        return Direct(lambda asked, name, tail: (TEXT, b"", inf, message.record(asked, 16, 60, b"\4text"), b"", b""), keeps=True)


TEXT = shape_of(Meaning.ANSWER, answers=1)


@pytest.fixture(params=[Echo, Finding])
def listener(request):
    return listener_of(request.param)


def listener_of(plugin):
    """Of a service of two zones."""
    zone = names.from_text("test")
    service = Service("dns://:53", [(zone, Block([zone], [plugin()])), (b"\0", Block([b"\0"], [plugin()]))], chaos=True)
    listener = SilentListener(service)
    listener.memo = Memo()
    return listener


def mangled(source, rng):
    """A query with some octets changed, taken away or added."""
    wire = bytearray(source)
    for _ in range(rng.randint(1, 4)):
        choice, place = rng.random(), rng.randrange(len(wire) + 1)
        if choice < 0.6 and wire:
            wire[place % len(wire)] = rng.choice((0, 1, 12, 63, 64, 0xC0, 0xFF, rng.randrange(256)))
        elif choice < 0.8:
            del wire[place:]
        else:
            wire[place:place] = rng.randbytes(rng.randint(1, 30))
    return bytes(wire)


def datagrams(rng):
    """Pure noise, headers with noise behind them, and mangled queries of all kinds."""
    sources = [
        query_wire(name, qtype, do=do, size=size)
        for name in ("a.test", "deep.er.down.test", ".", "other.example")
        for qtype, do, size in (("A", False, 0), ("AAAA", True, 1232), ("DS", False, 4096))
    ]
    for _ in range(COUNT):
        kind = rng.random()
        if kind < 0.1:
            yield rng.randbytes(rng.randint(0, 80))
        elif kind < 0.2:
            yield rng.randbytes(2) + bytes.fromhex("01000001000000000000") + rng.randbytes(rng.randint(0, 300))
        else:
            yield mangled(rng.choice(sources), rng)


def test_no_datagram_stops_the_server(listener):
    rng = random.Random(20261121)
    panics = service_module.panics.cell().value
    service, answered = listener.service, 0
    for datagram in datagrams(rng):
        reply = service.serve(datagram, b"", listener, 0)
        if reply is not None:
            answered += 1
            check(datagram, reply)
        service.outcomes.clear()
        service._kinds.clear()
    assert answered > COUNT // 3
    assert service_module.panics.cell().value == panics
    assert service.serve(query_wire("a.test"), b"", listener, 0) is not None
    assert len(listener.memo.entries) <= CAPACITY
    assert len(service._placed) <= 16384


def test_what_is_found_directly_is_the_same():
    usual, direct = listener_of(Echo), listener_of(Finding)
    found = 0
    for datagram in datagrams(random.Random(7)):
        replies = [each.service.serve(datagram, b"", each, 0) for each in (usual, direct)]
        assert replies[0] == replies[1], datagram.hex()
        found += bool(direct.service._kinds)
        for each in (usual, direct):
            each.service.outcomes.clear()
            each.service._kinds.clear()
    assert found > COUNT // 50


def check(datagram, reply):
    """A reply is a message that an independent parser understands, with QR set and the question as it was asked."""
    assert reply[0] & 0x80
    try:
        parsed = dns.message.from_wire(datagram[:2] + reply, one_rr_per_rrset=True)
    except dns.exception.DNSException as error:
        pytest.fail(f"{datagram.hex()} -> {reply.hex()}: {error!r}")
    if parsed.question and parsed.answer:
        assert parsed.answer[0].name == parsed.question[0].name
