"""From a datagram to its reply: what is checked, which block answers, what is remembered."""

import asyncio
import gc
import weakref
from math import inf

import pytest

from pycoredns import bounds, traffic
from pycoredns import plugin as plugin_module
from pycoredns import service as service_module
from pycoredns.answer import Pending, changed, then
from pycoredns.chain import Block
from pycoredns.direct import Direct, shape_of
from pycoredns.errors import Refused, ServerFailure
from pycoredns.meaning import Meaning
from pycoredns.plugin import Plugin
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.testing import Last, SilentListener, eventually, query_wire
from pycoredns.wire import message, names, types

OPCODE_STATUS, QR = 0x1000, 0x8000


def reply_bits(reply):
    return int.from_bytes(reply[:2], "big")


class Fixed(Plugin):
    name = "fixed"

    def __init__(self, octet=1):
        self.octet = octet
        self.asked = 0

    def handle(self, request):
        self.asked += 1
        return Response(answer=message.record(request.asked, types.A, 60, bytes([192, 0, 2, self.octet])), answers=1)


class Seeing(Plugin):
    name = "seeing"
    step = False
    each = True

    def __init__(self):
        self.outcomes = []
        self.failures = []

    def observe(self, outcome):
        self.outcomes.append(outcome)

    def observe_failure(self, outcome):
        self.failures.append(str(outcome.error or outcome.response.error))


def service_of(zones):
    """A service of blocks by zone, with one listener."""
    served = []
    for zone, plugins in zones.items():
        wire = names.from_text(zone)
        served.append((wire, Block([wire], plugins)))
    service = Service("dns://:53", served)
    return service, SilentListener(service)


def serve(service, listener, wire):
    return service.serve(wire, b"", listener, 0)


HEADER = bytes.fromhex("1234010000010000000000")


@pytest.mark.parametrize(
    ("datagram", "rcode"),
    [
        ("", None),
        ("1234", None),
        ("1234010000010000000000", None),
        ("123401000000000000000000", types.FORMERR),
        ("123401000001000000000000", types.SERVFAIL),
        ("1234010000010000000000000161047465737400000100", types.FORMERR),
        ("12340100000100000000000040616263", types.FORMERR),
        ("123401000001000000000000c00c00010001", types.FORMERR),
        ("123481000001000000000000016104746573740000010001", None),
        ("123401000001000000000000016104746573740000010001747261696c696e67", types.NOERROR),
        ("123401000001000000000001016104746573740000010001", types.NOERROR),
        ("123401000001000100000000016104746573740000010001", types.NOERROR),
        ("123401000002000000000000016104746573740000010001016104746573740000010001", types.FORMERR),
        ("12340100000100000000000001610474657374000001", types.REFUSED),
        ("123410000001000000000000016104746573740000010001", types.NOTIMP),
        ("12342800000100000000000001610474657374000001000116", types.NOTIMP),
        ("123420000001000000000000016104746573740000010001", types.NOERROR),
        ("1234010000010000000000010161047465737400000100010000290500000000000004000a0008", types.FORMERR),
    ],
)
def test_malformed(datagram, rcode):
    service, listener = service_of({"test": [Fixed()]})
    reply = serve(service, listener, bytes.fromhex(datagram))
    assert (reply if reply is None else reply_bits(reply) & 15) == rcode


@pytest.mark.parametrize(
    "name",
    [
        b"\3a\0b\4test\0",  # a NUL inside a label
        b"\xc0" + b"a" * 192 + b"\4test\0",  # a length that is a pointer
        b"\x50" + b"a" * 80 + b"\4test\0",  # a length above 63
        (b"\x3f" + b"a" * 63) * 4 + b"\4test\0",  # longer than 255 octets
    ],
)
def test_hostile_names_do_not_slip_in_beside_known_ones(name):
    service, listener = service_of({"test": [Fixed()]})
    assert reply_bits(serve(service, listener, query_wire("known.test"))) & 15 == types.NOERROR
    reply = serve(service, listener, HEADER + b"\0" + name + b"\0\1\0\1")
    assert reply_bits(reply) & 15 == (types.NOERROR if name.startswith(b"\3a\0") else types.FORMERR)


def test_an_answer_is_not_answered_though_its_zone_is_known():
    service, listener = service_of({"test": [Fixed()]})
    wire = bytearray(query_wire("known.test"))
    assert serve(service, listener, bytes(wire)) is not None
    wire[2] |= 0x80
    assert serve(service, listener, bytes(wire)) is None


def test_a_name_that_is_too_long_is_refused_though_its_parent_is_known():
    service, listener = service_of({"test": [Fixed()]})
    parent = (b"\x3f" + b"a" * 63) * 3 + b"\x2f" + b"b" * 47 + b"\4test\0"
    for label in (b"\1x", b"\1y", b"\x3f" + b"z" * 63):
        reply = serve(service, listener, HEADER + b"\0" + label + parent + b"\0\1\0\1")
        assert reply_bits(reply) & 15 == (types.FORMERR if label[0] > 1 else types.NOERROR)


@pytest.mark.parametrize("size", [400, 4000])
def test_only_short_queries_are_remembered(size):
    service, listener = service_of({"test": [Fixed()]})
    listener.memo = type(listener.memo)()
    option = b"\0\x0c" + size.to_bytes(2, "big") + bytes(size)
    wire = query_wire("a.test", size=1232)[:-2] + len(option).to_bytes(2, "big") + option
    for _ in range(3):
        assert serve(service, listener, wire) is not None
    assert bool(listener.memo.entries) is (size == 400)


def test_a_faulty_observer_costs_no_answer(monkeypatch):
    monkeypatch.setattr(plugin_module.log, "disabled", True)
    monkeypatch.setattr(service_module.log, "disabled", True)

    class Faulty(Seeing):
        each = False

        def observe(self, outcome):
            raise KeyError("bug")

    service, listener = service_of({"test": [Faulty(), Fixed()]})
    listener.memo = type(listener.memo)()
    wire = query_wire("a.test")
    for _ in range(3):
        assert serve(service, listener, wire) is not None
        service.settle(1000)
    for entry in listener.memo.entries.values():
        entry.hits = 2
    listener.memo.count_all()


@pytest.mark.parametrize(
    ("name", "qtype", "octet"),
    [
        ("x.test", "A", 1),
        ("test", "A", 1),
        ("x.mid.test", "A", 2),
        ("mid.test", "A", 2),
        ("xmid.test", "A", 1),
        ("X.MID.TEST", "A", 2),
        ("mid.test", "DS", 1),
        ("x.mid.test", "DS", 1),
        ("low.mid.test", "DS", 2),
        ("x.low.mid.test", "DS", 1),
        ("test", "DS", 1),
        ("other", "DS", 9),
        ("other", "A", 9),
        (".", "A", 9),
    ],
)
def test_longest_zone(name, qtype, octet):
    service, listener = service_of({"test": [Fixed(1)], "mid.test": [Fixed(2)], "low.mid.test": [Fixed(3)], ".": [Fixed(9)]})
    for _ in range(3):  # first found, then placed, then remembered
        assert serve(service, listener, query_wire(name, qtype))[-1] == octet


def test_refused_outside_all_zones_and_in_an_empty_block():
    service, listener = service_of({"test": [Fixed()], "empty.test": []})
    for name in ("other.", "empty.test", "a.empty.test"):
        assert reply_bits(serve(service, listener, query_wire(name))) == 0x8105


def test_what_is_asked_often_is_remembered_until_data_change():
    plugin = Fixed()
    service, listener = service_of({"test": [plugin]})
    listener.memo = type(listener.memo)()
    wire = query_wire("a.test")
    for _ in range(2):
        serve(service, listener, wire)
    assert wire[2:] in listener.memo.entries
    plugin.changed()
    assert not listener.memo.renew(listener.memo.entries[wire[2:]])


@pytest.mark.parametrize("attribute", ["client", "local"])
def test_an_answer_that_looks_at_the_client_is_not_remembered(attribute):
    def look(request):
        getattr(request, attribute)
        return Response()

    service, listener = service_of({"test": [Last(look)]})
    listener.memo = type(listener.memo)()
    for _ in range(3):
        serve(service, listener, query_wire("a.test"))
    assert not listener.memo.entries


def test_errors_become_replies_and_are_observed(monkeypatch):
    monkeypatch.setattr(service_module.log, "disabled", True)
    for error, rcode in (
        (Refused("no"), types.REFUSED),
        (ServerFailure("broken"), types.SERVFAIL),
        (KeyError("bug"), types.SERVFAIL),
    ):
        seeing = Seeing()
        service, listener = service_of({"test": [seeing, Last(error)]})
        before = service_module.panics.cell().value
        reply = serve(service, listener, query_wire("a.test"))
        service.settle(1000)
        assert reply_bits(reply) == 0x8100 | rcode
        assert seeing.failures == [str(error)]
        assert seeing.outcomes[0].duration == 1000
        assert service_module.panics.cell().value - before == isinstance(error, KeyError)


async def test_answers_that_come_later():
    seeing, pending = Seeing(), Pending()

    async def slow(request):
        await asyncio.sleep(0)
        return Response(types.NXDOMAIN)

    service, listener = service_of({"a.test": [seeing, Last(lambda request: pending)], "b.test": [Last(slow)]})
    assert serve(service, listener, query_wire("x.a.test")) is None
    assert serve(service, listener, query_wire("x.b.test")) is None
    assert service.waiting == 2
    pending.resolve(Response())
    await eventually(lambda: not service.waiting)
    assert [message[3] & 15 for message in listener.sent] == [types.NOERROR, types.NXDOMAIN]
    assert len(seeing.outcomes) == 1


async def test_then_changes_an_answer_whenever_it_comes():
    def refuse(response):
        return Response(types.REFUSED)

    async def coroutine():
        return Response()

    pending = Pending()
    changed = [then(Response(), refuse), then(pending, refuse), then(coroutine(), refuse)]
    pending.resolve(Response())
    assert [(await each).rcode for each in changed] == [types.REFUSED] * 3


async def test_a_plain_change_is_made_before_anybody_gets_the_answer():
    def refuse(response):
        return Response(types.REFUSED)

    def break_off(response):
        raise ServerFailure("broken")

    pending, seen = Pending(), []
    assert changed(pending, refuse) is pending
    twice = changed(pending, lambda response: Response(response.rcode + 1))
    broken, watched = Pending(), Pending()
    assert changed(broken, break_off) is broken
    watched.when_done(lambda done: seen.append(done.result().rcode))
    other = changed(watched, refuse)
    for each in (pending, broken, watched):
        each.resolve(Response())
    assert [(await each).rcode for each in (pending, twice, other)] == [types.REFUSED, types.REFUSED + 1, types.REFUSED]
    assert seen == [types.NOERROR]
    with pytest.raises(ServerFailure, match="broken"):
        await broken


async def test_then_passes_errors_on():
    pending = Pending()
    changed = then(pending, lambda response: response)
    pending.fail(ServerFailure("gone"))
    with pytest.raises(ServerFailure, match="gone"):
        await changed


def test_a_question_that_failed_late_leaves_nothing_to_the_collector():
    pending = [Pending() for _ in range(3)]
    left = iter(pending)
    service, _ = service_of({"a.test": [Last(lambda request: then(next(left), lambda response: response))]})
    ends = []
    gc.disable()
    try:
        for each in pending:
            serve(service, service.listeners[0], query_wire("x.a.test"))
            error = ServerFailure("gone")
            ends.append(weakref.ref(error))
            each.fail(error)
        del each, error
        pending.clear()
        assert [end() for end in ends] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize(("silent", "sent"), [(False, types.SERVFAIL), (True, None)])
def test_past_the_bound_questions_do_not_wait_but_others_are_answered(silent, sent, monkeypatch):
    monkeypatch.setattr(bounds.overload, "most_waiting", 2)
    monkeypatch.setattr(bounds.overload, "silent", silent)
    monkeypatch.setattr(bounds.shed, "cells", {})
    monkeypatch.setattr(bounds, "services", weakref.WeakSet())

    async def never(request):
        await asyncio.Event().wait()

    pending, answers = [Pending(), Pending()], []
    answers += [lambda request: pending[0], lambda request: pending[1], never, lambda request: Pending()]
    left = iter(answers)
    service, listener = service_of({"a.test": [Last(lambda request: next(left)(request))], "b.test": [Fixed(3)]})
    replies = [serve(service, listener, query_wire("x.a.test")) for _ in range(4)]
    assert [reply and reply[1] & 15 for reply in replies] == [None, None, sent, sent]
    assert serve(service, listener, query_wire("x.b.test"))[-1] == 3
    bounds.measure()
    assert (bounds.waiting.cell("dns://:53").value, bounds.shed.cell("dns://:53").value) == (2, 2)
    pending[0].resolve(Response())
    assert service.waiting == 1


def test_the_server_asks_itself():
    seeing = Seeing()

    def alias(request):
        return then(request.listener.service.resolve(request, names.from_text("target.b.test"), types.A), lambda found: found)

    service, listener = service_of({"a.test": [Last(alias)], "b.test": [seeing, Fixed(7)]})
    assert serve(service, listener, query_wire("x.a.test"))[-1] == 7
    assert [names.to_text(outcome.request.name) for outcome in seeing.outcomes] == ["target.b.test."]


def test_asking_itself_for_what_belongs_to_no_zone_is_counted():
    def alias(request):
        return request.listener.service.resolve(request, names.from_text("target.elsewhere.test"), types.AAAA)

    service, listener = service_of({"a.test": [Last(alias)]})
    traffic.fold_all()
    counter = traffic.requests.cell(service.address, "dropped", "", "udp", "1", "AAAA")
    before = counter.value
    assert serve(service, listener, query_wire("x.a.test"))[1] == types.REFUSED
    traffic.fold_all()
    assert counter.value - before == 1


def test_asking_itself_in_a_circle_ends():
    def again(request):
        return request.listener.service.resolve(request, request.name, types.A)

    service, listener = service_of({"a.test": [Last(again)]})
    assert reply_bits(serve(service, listener, query_wire("x.a.test"))) & 15 == types.SERVFAIL


@pytest.mark.parametrize(("zones", "rcode"), [(20, types.NOERROR), (21, types.SERVFAIL)])
def test_a_chain_through_many_zones_is_followed(zones, rcode):
    def next_zone(number):
        target = names.from_text(f"x.z{number + 1}.test")
        return Last(lambda request: request.listener.service.resolve(request, target, types.A))

    service, listener = service_of({f"z{zones}.test": [Fixed()]} | {f"z{each}.test": [next_zone(each)] for each in range(zones)})
    assert reply_bits(serve(service, listener, query_wire("x.z0.test"))) & 15 == rcode


def test_what_one_question_has_the_server_ask_itself_is_bounded():
    def twice(request):
        for _ in range(2):
            request.listener.service.resolve(request, request.name, types.A)
        return Response()

    service, listener = service_of({"a.test": [last := Last(twice)]})
    for _ in range(2):
        serve(service, listener, query_wire("x.a.test"))
        assert len(last.seen) == service_module.MOST_INTERNAL + 1
        last.seen.clear()


def test_bad_edns_version():
    service, listener = service_of({"test": [Fixed()]})
    wire = bytearray(query_wire("a.test", size=1232))
    wire[-5] = 1
    reply = serve(service, listener, bytes(wire))
    assert reply_bits(reply) & 15 == 0
    assert reply.endswith(bytes.fromhex("0000290000 01000000 0000".replace(" ", "")))


class Stuck(Plugin):
    """Waits for something that others may cancel."""

    name = "stuck"

    def handle(self, request):
        self.wanted = asyncio.get_running_loop().create_future()
        return self._wait()

    async def _wait(self):
        return await self.wanted


async def test_a_handler_that_ends_as_what_it_waits_for_is_cancelled_answers_servfail():
    service, listener = service_of({"test": [stuck := Stuck(), seeing := Seeing()]})
    assert serve(service, listener, query_wire("a.test")) is None
    await asyncio.sleep(0)
    stuck.wanted.cancel()
    await eventually(lambda: not service.waiting)
    assert [reply[3] & 15 for reply in listener.sent] == [types.SERVFAIL]
    assert seeing.failures == ["what the answer was waiting for was cancelled"]


async def test_a_question_that_is_cancelled_itself_ends_without_a_word(caplog):
    service, listener = service_of({"test": [Stuck()]})
    before = asyncio.all_tasks()
    serve(service, listener, query_wire("a.test"))
    (task,) = asyncio.all_tasks() - before
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), listener.sent, caplog.records) == (True, [], [])


class Found(Plugin):
    name = "found"

    def direct(self, service, following):
        return Direct(lambda asked, name, tail: (shape_of(Meaning.NO_DATA), b"", inf, b"", b"", b""))

    def handle(self, request):
        return Response(authority=b"", authorities=0)


class Derived(Found):
    def handle(self, request):
        return Response(rcode=types.NXDOMAIN)


class Counting(Plugin):
    name, step = "counting", False

    def observe(self, outcome):
        """Has to see each."""


@pytest.mark.parametrize(
    ("plugins", "directly"),
    [
        ([Found()], True),
        ([Derived()], False),
        ([Fixed(), Found()], False),
        ([Found(), Fixed()], True),
        ([Counting(), Found()], False),
        ([Seeing(), Found()], False),
    ],
)
def test_a_block_is_asked_directly_where_all_its_plugins_know_how(plugins, directly):
    service, _ = service_of({"test": plugins})
    ((block,),) = service.zones.values()
    assert (block.way(service).look_up is not None) == directly
