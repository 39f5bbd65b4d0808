"""Answers of many messages over TCP: their order, slow and vanishing readers, and what those who watch see."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import dns.message
import dns.rdatatype
import pytest

from pycoredns import bounds
from pycoredns.answer import Answer, Pending
from pycoredns.chain import Block
from pycoredns.plugin import Outcome, Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.stream import AT_ONCE, USUAL_SIZE, Body, Form, Stream, portions
from pycoredns.testing import eventually, query_wire, request_for
from pycoredns.transport import connection, outgoing, tcp
from pycoredns.transport.outgoing import Outgoing
from pycoredns.transport.tcp import TCPListener, bind
from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError, Record
from tests.server.support import connected

ZONE = names.from_text("example.test")


def record(name: str, rtype: int = types.A, rdata: bytes = b"\xc0\0\2\1") -> Body:
    owner = names.from_text(name)
    return owner, Record(owner, rtype, types.IN, 300, rdata).wire()[len(owner) :]


class Zone(Plugin):
    """Answers each AXFR with as many records as it is told; anything else with one."""

    name = "zone"

    def __init__(self, records: int, at_the_end: Exception | None = None) -> None:
        self.records = records
        self.at_the_end = at_the_end
        self.made = 0
        self.total = 0
        self.outcomes: list[Outcome] = []

    def handle(self, request: Request) -> Answer:
        if request.qtype != types.AXFR:
            return Response.of([Record(request.name, types.A, types.IN, 60, b"\xc0\0\2\1")])
        (answer := Pending()).resolve(Stream(lambda form: form.lists(self._all()), ZONE))
        return answer

    def _all(self) -> Iterator[Body]:
        for number in range(1, self.records + 1):
            self.made = number
            self.total += 1
            yield record(f"host{number}.example.test")
        if self.at_the_end:
            raise self.at_the_end

    def observe(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def observe_failure(self, outcome: Outcome) -> None: ...


@asynccontextmanager
async def served(zone: Zone) -> AsyncIterator[tuple[Service, TCPListener, int]]:
    service = Service("dns://:53", [(ZONE, Block([ZONE], [zone]))])
    sock = bind("127.0.0.1", 0)
    listener = TCPListener(service, sock)
    await listener.start()
    try:
        yield service, listener, sock.getsockname()[1]
    finally:
        listener.close()
        await eventually(lambda: bounds.streams.cell().value == 0)


def framed(name: str, qtype: str) -> bytes:
    wire = query_wire(name, qtype)
    return len(wire).to_bytes(2, "big") + wire


async def received(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def test_all_records_come_in_order_in_messages_that_others_can_read():
    zone = Zone(5000)
    async with served(zone) as (service, _, port), connected(port) as (reader, writer):
        writer.write(framed("example.test", "AXFR"))
        owners: list[str] = []
        while len(owners) < 5000:
            message = dns.message.from_wire(await asyncio.wait_for(received(reader), 5), one_rr_per_rrset=True)
            assert message.question[0].rdtype == dns.rdatatype.AXFR
            owners += [str(rrset.name) for rrset in message.answer]
        await eventually(lambda: not service.waiting)
    assert owners == [f"host{number}.example.test." for number in range(1, 5001)]
    assert len(zone.outcomes) == 1
    assert zone.outcomes[0].size >= sum(len(record(owner)[0]) + 14 for owner in owners)


async def test_questions_around_it_keep_their_place():
    async with served(Zone(3000)) as (_, _, port), connected(port) as (reader, writer):
        first, last = framed("first.example.test", "A"), framed("last.example.test", "A")
        transfers = [framed("example.test", "AXFR"), framed("example.test", "AXFR")]
        writer.write(b"".join([first, *transfers, last]))
        order: list[bytes] = []
        while not order or order[-1] != last[2:4]:
            identity = (await asyncio.wait_for(received(reader), 5))[:2]
            if identity not in order[-1:]:
                order.append(identity)
    assert order == [frame[2:4] for frame in (first, *transfers, last)]


async def test_a_slow_reader_costs_bounded_memory_and_gets_everything():
    zone = Zone(300_000)
    async with served(zone) as (_, listener, port), connected(port) as (reader, writer):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writer.write(framed("example.test", "AXFR"))
        await eventually(lambda: any(each.stuck_since for each in listener.connections.values()))
        held = next(iter(listener.connections.values())).unsent
        made_while_stuck = zone.made
        await asyncio.sleep(0)
        assert zone.made == made_while_stuck < 300_000
        assert held < 4 * connection.MOST_UNSENT
        records = 0
        while records < 300_000:
            records += int.from_bytes((await asyncio.wait_for(received(reader), 5))[6:8], "big")
        assert records == 300_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB; all messages are 7 MB, all records 40


async def test_a_reader_that_stands_still_is_cut_off(monkeypatch):
    monkeypatch.setattr(outgoing, "PATIENCE", 0.2)
    monkeypatch.setattr(tcp, "_SWEEP", 0.05)
    zone = Zone(10_000_000)
    async with served(zone) as (service, listener, port), connected(port) as (_, writer):
        writer.write(framed("example.test", "AXFR"))
        await eventually(lambda: bool(zone.outcomes))
        await eventually(lambda: (service.waiting, listener.connections) == (0, {}))
    assert str(zone.outcomes[0].error) == "the client takes its answer too slowly"


async def test_a_client_that_goes_ends_it():
    zone = Zone(10_000_000)
    async with served(zone) as (service, _, port):
        async with connected(port) as (reader, writer):
            writer.write(framed("example.test", "AXFR"))
            await received(reader)
        await eventually(lambda: bool(zone.outcomes))
        await eventually(lambda: service.waiting == 0)
    assert zone.made < 10_000_000


async def test_what_fails_midway_must_not_look_complete():
    zone = Zone(3000, at_the_end=RuntimeError("the zone is gone"))
    async with served(zone) as (service, _, port), connected(port) as (reader, writer):
        writer.write(framed("example.test", "AXFR"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            while True:
                await asyncio.wait_for(received(reader), 5)
        await eventually(lambda: service.waiting == 0)
    assert str(zone.outcomes[0].error) == "the zone is gone"


async def test_others_are_answered_meanwhile():
    zone = Zone(10_000_000)
    async with served(zone) as (_, _, port), connected(port) as (_, greedy), connected(port) as (reader, writer):
        greedy.write(framed("example.test", "AXFR"))
        writer.write(framed("a.example.test", "A"))
        assert (await asyncio.wait_for(received(reader), 5))[7] == 1


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._next()

    def _next(self) -> None:
        self.count += 1
        self._handle = asyncio.get_running_loop().call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


async def drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 20):
        pass


async def test_all_transfers_together_take_one_message_of_each_turn():
    zone = Zone(10_000_000)
    async with served(zone) as (service, _, port), AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(connected(port)) for _ in range(50)]
        for _, writer in readers:
            writer.write(framed("example.test", "AXFR"))
        await eventually(lambda: service.waiting == 50)
        tasks = [asyncio.create_task(drain(reader)) for reader, _ in readers]
        reader, writer = await stack.enter_async_context(connected(port))
        turns, before = Turns(), zone.total
        for _ in range(50):
            writer.write(framed("a.example.test", "A"))
            assert (await asyncio.wait_for(received(reader), 5))[7] == 1
        turns.stop()
        messages = (zone.total - before - 50 * AT_ONCE) / 1400  # so many records or more are in each, and some wait for the next
        assert 0 < messages <= turns.count
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Taking:
    """A connection whose client takes as much as it is told."""

    closing = False

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.left = 0

    def write(self, data: bytes) -> None:
        self.written.append(data[2:])
        self.left += len(data)

    def untaken(self) -> int:
        return self.left


async def test_answers_leave_in_turn_and_those_that_have_to_wait_are_left_out():
    transport, ended = Taking(), list[Exception | None]()
    first, second, third = (
        Outgoing(transport, iter([name + b"1", name + b"2", name + b"3"]), ended.append) for name in (b"a", b"b", b"c")
    )
    for each in (first, second, third):
        each.go_on()
    for _ in range(4):
        await asyncio.sleep(0)
    second.hold()
    await eventually(lambda: len(ended) == 2)
    second.go_on()
    await eventually(lambda: len(ended) == 3)
    assert transport.written == [b"a1", b"b1", b"c1", b"a2", b"c2", b"a3", b"c3", b"b2", b"b3"]


@pytest.mark.parametrize(
    ("taken", "cut_off_after"),
    [
        ([0] * 9, 31),
        ([1000] * 9, 31),  # a little, again and again
        ([40_000] * 9, None),
        ([0, 0, 70_000, 0, 0, 70_000, 0, 0, 70_000], None),
        ([70_000, 70_000, 70_000, 0, 0, 0, 0, 0, 0], 62),
    ],
)
async def test_who_takes_little_is_too_slow(taken: list[int], cut_off_after: int | None):
    transport, ended = Taking(), list[Exception | None]()
    sent = Outgoing(transport, iter([bytes(60_000)] * 20), ended.append)
    sent.go_on()
    await eventually(lambda: bool(ended))
    assert not sent.is_too_slow(1000.0)
    slow_at = None
    for number, octets in enumerate(taken, 1):  # each ten seconds
        transport.left -= octets
        if slow_at is None and sent.is_too_slow(1000.0 + number * 10.4):
            slow_at = round(number * 10.4)
    assert slow_at == cut_off_after


async def test_nobody_takes_forever():
    transport = Taking()
    sent = Outgoing(transport, iter([]), lambda error: None)
    assert [sent.is_too_slow(1.0 + hours * 3600) for hours in (0, 1, 2)] == [False, False, False]
    assert sent.is_too_slow(7202.0)
    sent.end()


@pytest.mark.parametrize(("asked", "messages"), [("example.test", 3), ("EXAMPLE.test", 4)])
@pytest.mark.parametrize("reserved", [0, 100])
def test_owners_are_compressed_and_come_out_as_they_went_in(asked: str, messages: int, reserved: int):
    sent = [
        record("example.test", types.NS, names.from_text("ns.example.test")),
        record("example.test", types.MX, b"\0\n" + names.from_text("mx.other.test")),
        record("a.example.test", types.CNAME, names.from_text("\\007example.test")),
        *[record(f"{'long' * 10}.a.example.test", types.TXT, bytes((255,)) + bytes(255)) for _ in range(310)],
        record("a.example.test", types.MX, b"\0\n" + names.from_text("example.test")),
        record("a.example.test", types.SRV, bytes(6) + names.from_text("a.example.test")),
    ]
    came, sizes = [], []
    for _, wire in packed(sent, ZONE, names.from_text(asked), reserved):
        sizes.append(len(wire) + reserved)
        came += [(rrset.name.to_wire(), rrset.rdtype, rrset[0].to_wire()) for rrset in _parsed(wire)]
    assert came == [(owner, int.from_bytes(body[:2], "big"), body[10:]) for owner, body in sent]
    assert len(sizes) == messages
    assert max(sizes) <= USUAL_SIZE


@pytest.mark.parametrize(
    ("size", "sealed", "beside"),
    [(0, {}, 0), (1232, {}, 0), (0, {"seal": bytes, "room": 50}, 50), (1232, {"seal": bytes, "room": 50}, 50 + 11)],
)
def test_an_opt_record_counts_only_beside_a_signature(size: int, sealed: dict[str, object], beside: int):
    some = [record("a.example.test"), record("b.example.test")]
    stream = Stream(lambda form: form.lists(some), ZONE).alike(**sealed)
    request = request_for("example.test", "AXFR", size=size, protocol="tcp")
    assert len(list(stream.messages(request))) == 1
    question = 12 + len(ZONE) + 4
    assert stream.size(request) == question + sum(len(owner) + len(body) for owner, body in some) + beside


def packed(records: list[Body], origin: bytes, asked: bytes, reserved: int = 0) -> Iterator[tuple[int, bytes]]:
    """The messages of a transfer, and how many records each has."""
    question = asked + types.AXFR.to_bytes(2, "big") + b"\0\1"
    for portion in portions(Form(origin, asked).lists(records), 12 + len(question) + reserved):
        head = bytes(2) + b"\x84\0\0\1" + len(portion).to_bytes(2, "big") + bytes(4)
        yield len(portion), head + question + b"".join(portion)


def _parsed(wire: bytes):
    return dns.message.from_wire(wire, one_rr_per_rrset=True).answer


def test_a_record_larger_than_usual_gets_a_message_of_its_own_and_one_too_large_none():
    small, large = record("a.example.test"), record("b.example.test", 65280, bytes(60_000))
    assert [count for count, _ in packed([small, large, small], ZONE, ZONE)] == [1, 1, 1]
    with pytest.raises(BadMessageError):
        list(packed([record("b.example.test", 65280, bytes(65_500))], ZONE, ZONE))


def test_in_the_root_zone_names_stay_whole():
    sent = [record(".", types.NS, names.from_text("a.test")), record("a.test"), record("a.test", types.TXT, b"\0")]
    ((count, wire),) = packed(sent, names.ROOT, names.ROOT)
    assert count == 3
    assert [str(rrset.name) for rrset in _parsed(wire)] == [".", "a.test.", "a.test."]
