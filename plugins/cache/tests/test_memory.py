"""What a cache with max_bytes takes, as Python's own count of its memory says."""

import gc
import tracemalloc
import weakref
from struct import pack

import pytest

from pycoredns.plugins.cache.kept import Kept, weight
from pycoredns.relayed import Relayed
from pycoredns.response import Response
from pycoredns.testing import request_for
from pycoredns.wire import types

BUDGET = 1 << 20
ADDRESS = b"\xc0\x0c" + pack("!HHIH", types.A, types.IN, 300, 4) + bytes(4)
SERVER = b"\xc0\x0c" + pack("!HHIH", types.NS, types.IN, 300, 5) + b"\2ns\xc0\x0c"


def relayed(request, record, records):
    """An upstream's answer of so many records."""
    wire = pack("!6H", 1, 0x8180, 1, records, 0, 0) + request.asked + request.tail.question + record * records
    return Relayed.read(wire, request.asked)


def plain(request, record, records):
    """The same as a plugin of this server makes it."""
    return relayed(request, record, records).plain()


@pytest.fixture
def traced():
    """Has memory counted; says how much there is, without what the questions of the tests leave behind."""
    tracemalloc.start()
    yield lambda: (gc.collect(), tracemalloc.get_traced_memory()[0])[1]
    tracemalloc.stop()


def fill(setting, qtype, names):
    """Keeps answers for these names, and gives each once a little later, looked at as those who count its octets do."""
    for name in names:
        setting.ask(name, qtype)
        setting.later(1).ask(name, qtype).size(setting.request)
        setting.later(-1)


@pytest.mark.parametrize("records", [1, 10, 30, 100])
@pytest.mark.parametrize(("made", "qtype", "record"), [(relayed, "A", ADDRESS), (relayed, "NS", SERVER), (plain, "A", ADDRESS)])
def test_a_full_cache_takes_about_as_much_as_it_may(setting, traced, made, qtype, record, records):
    setting.start(lambda: None, max_bytes=BUDGET)
    setting.behind.answer = lambda request: made(request, record, records)
    fill(setting, qtype, ["first.test"])
    setting.behind.seen.clear()
    before, number = traced(), 0
    while sum(map(len, setting.cache.stores.values())) > number - 10:  # until some had to go
        number += 20
        fill(setting, qtype, [f"{count}.test" for count in range(number - 20, number)])
        setting.behind.seen.clear()
    assert 0.6 * BUDGET < traced() - before < 1.3 * BUDGET


def test_the_good_answer_behind_a_denial_is_weighed(setting):
    good, denial = (Kept(Response(0, bytes(octets), 1), 60, 0.0, "success") for octets in (500, 100))
    alone = weight(b"", denial)
    denial.last_good = good
    assert weight(b"", denial) == alone + weight(b"", good)


def test_what_cannot_be_read_is_weighed_without_a_plain_form(setting):
    request = setting.start(lambda: None).request
    unreadable = relayed(request, b"\xc0\x0c" + pack("!HHIH", types.NS, types.IN, 300, 2) + b"\xff\xff", 1)
    readable = relayed(request, SERVER, 1)
    assert 0 < weight(b"", Kept(unreadable, 60, 0.0, "success")) < weight(b"", Kept(readable, 60, 0.0, "success")) - 700


def test_what_has_to_go_does_not_wait_for_the_collector(setting):
    setting.start(plain(request_for("a.test"), ADDRESS, 1), max_bytes=BUDGET).ask()
    setting.later(1).ask()
    store = setting.cache.stores["success"]
    gone = weakref.ref(store[setting.request.name + setting.request.tail.key])
    setting.request = None
    gc.collect()  # the questions of the tests
    gc.disable()
    try:
        store.make_room(1)
        assert gone() is None
    finally:
        gc.enable()
