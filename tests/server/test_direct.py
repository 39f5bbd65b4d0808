"""What is found directly is what the usual way answers, and is counted and kept alike."""

from collections import defaultdict
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from pycoredns import memo, traffic
from pycoredns.assemble import assemble
from pycoredns.chain import Block
from pycoredns.corefile.expand import parse
from pycoredns.direct import Way
from pycoredns.memo import Memo
from pycoredns.plugins.cache.cache import Cache
from pycoredns.plugins.etcd import zone as etcd_zone
from pycoredns.query import AD, CD, RD
from pycoredns.service import Service
from pycoredns.spelling import usual
from pycoredns.testing import SilentListener, query_wire
from pycoredns.wire import edns, types

ZONE = """$ORIGIN z.test.
@ 300 IN SOA ns admin 1 7200 1800 86400 30
@ 300 IN NS ns
ns 300 IN A 192.0.2.53
one 60 IN A 192.0.2.1
two 60 IN A 192.0.2.1
two 60 IN A 192.0.2.2
both 60 IN A 192.0.2.1
both 60 IN AAAA 2001:db8::1
* 60 IN A 192.0.2.9
alias 60 IN CNAME one
mail 60 IN MX 10 one
text 60 IN TXT short
long 60 IN TXT {long}
child 60 IN NS ns.child
ns.child 60 IN A 192.0.2.54
below.one 0 IN A 192.0.2.3
signed 60 IN A 192.0.2.1
signed 60 IN RRSIG A 13 3 60 20300101000000 20200101000000 1 z.test. c2lnbmU=
@ 300 IN RRSIG NS 13 2 300 20300101000000 20200101000000 1 z.test. c2lnbmU=
"""
KEYS = {
    "one": '{"host": "192.0.2.1"}',
    "six": '{"host": "2001:db8::1", "ttl": 60}',
    "zero": '{"host": "192.0.2.1", "ttl": 0}',
    "short": '{"host": "192.0.2.1", "ttl": 3}',
    "/".join(["x" * 60] * 4): '{"host": "2001:db8::1", "ttl": 60}',
    "day": '{"host": "192.0.2.1", "ttl": 86400}',
    "port/x": '{"host": "192.0.2.1", "port": 80, "priority": 5, "ttl": 60}',
    "two/x": '{"host": "192.0.2.1"}',
    "two/y": '{"host": "192.0.2.2"}',
    "two/z": '{"host": "2001:db8::2"}',
    "uneven/x": '{"host": "192.0.2.1", "ttl": 60}',
    "uneven/y": '{"host": "192.0.2.2", "ttl": 90}',
    "same/x": '{"host": "192.0.2.1"}',
    "same/y": '{"host": "192.0.2.1"}',
    **{f"many/x{number:02}": f'{{"host": "192.0.2.{number}"}}' for number in range(30)},
    **{f"some/x{number:02}": f'{{"host": "192.0.2.{number}"}}' for number in range(11)},
    "alias": '{"host": "one.z.test"}',
    "text": '{"text": "a text"}',
    "spoiled": "{",
    "deep/a/b/c/d": '{"host": "192.0.2.4"}',
    "stripped/x": '{"host": "192.0.2.1", "targetstrip": 1}',
}
LABELS = ["", "one", "two", "both", "alias", "mail", "text", "long", "child", "ns.child", "below.one", "other.below.one"]
LABELS += [
    "signed",
    "new",
    "six",
    "zero",
    "short",
    "day",
    "port",
    "x.port",
    "spoiled",
    "deep",
    "a.deep",
    "stripped",
    "*",
    "*.two",
    "any",
    "a_b",
    r"a\046b",
]
LABELS += ["ns.dns", "x.new", "a/b", "x" * 63, f"{'x' * 63}.{'y' * 53}", f"{'x' * 63}.{'y' * 54}", ".".join(["x" * 60] * 4)]
TYPES = ["A", "AAAA", "SRV", "TXT", "MX", "CNAME", "NS", "SOA", "PTR", "DS", "ANY", "AXFR", "DNSKEY", "TYPE65280"]
ETCD = "etcd z.test {{\n endpoint http://127.0.0.1:1\n }}"
FALLING = ETCD.replace(" }}", " fallthrough")
COREFILES = {
    "etcd": (".:53", f"errors\n {ETCD}", 100),
    "etcd behind cache": (".:53", f"cache 600\n loadbalance\n {ETCD}", 100),
    "a cache of short times": (".:53", f"cache 30\n loadbalance\n {ETCD}", 100),
    "a cache of long times": (".:53", f"cache {{{{\n success 100 3600 900\n denial 100 3600 900\n }}}}\n {ETCD}", 100),
    "a small cache": ("z.test:53", f"cache {{{{\n success 20\n denial 20\n }}}}\n {ETCD}", 100),
    "etcd that passes some on": (".:53", f"cache\n {FALLING} new.z.test\n }}}}", 100),
    "etcd that passes all on": (".:53", f"{FALLING}\n }}}}", 20),
    "file": (".:53", "file {zone} z.test", 50),
    "file behind cache": ("z.test:53 child.z.test:53", "cache\n file {zone} z.test", 0),
}
"""Zones, plugins, and how many answers are found directly at least."""


def questions():
    """Queries of all sorts: each way to ask for each name and type that may make a difference."""
    cookie = edns.option(edns.COOKIE, b"12345678")
    nsid = edns.option(edns.NSID, b"")
    terms = [b"", edns.opt(1232), edns.opt(1232, edns.DO), edns.opt(512, 0, cookie), edns.opt(1232, 0, nsid)]
    flags_of_all = RD, 0, RD | AD, types.NOTIFY << 11, RD | CD
    for place, label in enumerate(LABELS):
        for number, qtype in enumerate(TYPES):
            name = f"{label}.z.test." if label else "z.test."
            for flags in flags_of_all[:: (-1) ** place] if qtype == "A" else (RD,):
                yield query_wire(name, qtype, flags=flags)
            if qtype in ("A", "AAAA"):
                yield query_wire(name, qtype, do=True)
            opt = terms[(number + place) % len(terms)]
            plain = query_wire(name if number % 2 else name.title(), qtype)
            yield plain[:10] + bytes((0, bool(opt))) + plain[12:] + opt


def counted():
    """All that has been counted, and forgotten by that."""
    traffic.fold_all()
    found = {}
    for metric in (traffic.requests, traffic.responses, traffic.request_sizes, traffic.response_sizes, Cache.hits, Cache.misses):
        found[metric.name] = {
            labels: getattr(cell, "value", None) or (cell.counts, cell.sum) for labels, cell in metric.cells.items()
        }
        metric.cells.clear()
    return found


async def answers(corefile, asked, times=3):
    """Each question with what it is answered so many times; how many were found directly; and what is counted and remembered."""
    assembled = assemble(parse(corefile))
    ((address, served),) = assembled.addresses.items()
    service, found = Service(str(address), served), 0
    listener = SilentListener(service)
    listener.memo = Memo()
    replies = []
    async with AsyncExitStack() as stack:
        for plugin in (plugin for block in assembled.blocks for plugin in block.plugins):
            await stack.enter_async_context(plugin.running())
            if plugin.name == "etcd":
                tree = plugin._source.tree
                for place, value in KEYS.items():
                    tree.put(b"/skydns/test/z/" + place.encode(), value.encode(), 0)
                plugin._source.mirror.state = plugin._source.mirror.state.LIVE
                plugin._source.mirror.synced_event.set()
        for wire in asked:
            for _ in range(times):
                replies.append((wire, service.serve(wire, b"", listener, 0)))
                found += sum(map(len, service._kinds.values()))
                service.settle(1000)
        for plugin in (plugin for block in assembled.blocks for plugin in block.find(Cache)):
            plugin.count()
    return replies, found, (counted(), len(listener.memo.entries))


def corefile_of(kind, folder: Path):
    """A Corefile, its zone file written, and how many questions at least are found directly."""
    zone = folder / "zone"
    zone.write_text(ZONE.format(long=f'"{"x" * 250}" "{"x" * 250}"'))
    zones, plugins, least = COREFILES[kind]
    return f"{zones} {{\n prometheus 127.0.0.1:0\n {plugins.format(zone=zone)}\n}}", least


@pytest.mark.parametrize("kind", COREFILES)
async def test_the_same_is_answered_and_counted(kind, tmp_path: Path, monkeypatch):
    corefile, least = corefile_of(kind, tmp_path)
    monkeypatch.setattr(etcd_zone, "time", lambda: 1700000000.0)
    monkeypatch.setattr("pycoredns.plugins.loadbalance.loadbalance.shuffle", list.reverse)
    monkeypatch.setattr("pycoredns.plugins.loadbalance.loadbalance.randrange", lambda choices: 1)
    counted()
    replies, found, counts = await answers(corefile, questions())
    assert found >= least
    monkeypatch.setattr(Block, "way", lambda self, service: Way(self))
    usual_replies, none, usual_counts = await answers(corefile, questions())
    different = [(wire, reply, usual) for (wire, reply), (_, usual) in zip(replies, usual_replies, strict=True) if reply != usual]
    assert (different, counts, none) == ([], usual_counts, 0)


@pytest.mark.parametrize("kind", COREFILES)
async def test_what_is_asked_once_is_not_remembered(kind, tmp_path: Path, monkeypatch):
    places: defaultdict[bytes, int] = defaultdict(count().__next__)
    monkeypatch.setattr(memo, "hash", places.__getitem__, raising=False)  # else two of them have the same place now and then
    different = {usual(wire[2:]): wire for wire in questions()}
    _, _, (_, remembered) = await answers(corefile_of(kind, tmp_path)[0], different.values(), times=1)
    assert remembered == 0
