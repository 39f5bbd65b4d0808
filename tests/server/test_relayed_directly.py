"""What upstreams answer is passed on, counted and kept alike, whether objects are made for it or not."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter_ns
from typing import ClassVar

import pytest

from pycoredns import traffic
from pycoredns.assemble import assemble
from pycoredns.chain import Block
from pycoredns.corefile.expand import parse
from pycoredns.direct import Way
from pycoredns.plugins.cache.cache import Cache
from pycoredns.plugins.forward import measures
from pycoredns.query import AD, CD, RD
from pycoredns.service import Service
from pycoredns.testing import SilentListener, query_wire
from pycoredns.wire import edns, types

POINTER = b"\xc0\x0c"
SOA = b"\xc0\x0c\0\6\0\1\0\0\0\x3c\0\x16\0\0" + bytes(20)


def record(rtype=types.A, ttl=300, rdata=b"\xc0\0\2\1", owner=POINTER):
    return owner + rtype.to_bytes(2, "big") + b"\0\1" + ttl.to_bytes(4, "big") + len(rdata).to_bytes(2, "big") + rdata


def reply(query, *answers, bits=0x8180, authority=(), additional=(), question=None):
    end = query.index(0, 12) + 5
    counts = b"".join(number.to_bytes(2, "big") for number in (1, len(answers), len(authority), len(additional)))
    question = query[12:end] if question is None else question
    return b"".join((query[:2], bits.to_bytes(2, "big"), counts, question, *answers, *authority, *additional))


def typed(query, count=1, **changes):
    """Records of the type that was asked for."""
    rtype = query[query.index(0, 12) + 2]
    named = b"\2ns" + POINTER
    rdata = {types.AAAA: bytes(16), types.TXT: b"\2te", types.NS: named, types.PTR: named}.get(rtype, b"\xc0\0\2\1")
    return [record(rtype, rdata=rdata[:2] + bytes([number]) + rdata[3:], **changes) for number in range(count)]


def opts(query, *terms):
    """The OPT record of an answer, if there is one in the query."""
    return [edns.opt(1400, *terms)] if query[11] else []


def to(place):
    """A compression pointer."""
    return (0xC000 | place).to_bytes(2, "big")


def soa(query, owner=None, server=None, mailbox=b"\4mail\0", ttl=60, rtype=types.SOA):
    """The authority section of a denial; its owner is the name's parent, and so is that of its server."""
    above = to(13 + query[12])
    return [record(rtype, ttl, (server or b"\2ns" + above) + mailbox + bytes(20), owner or above)]


def behind(query, *targets, ttl=300, last=1, last_ttl=300, begun=POINTER):
    """Aliases with these targets, each with an owner that points to the one before, and what was asked for behind them."""
    found, place = [], query.index(0, 12) + 5
    for target in targets:
        found.append(record(types.CNAME, ttl, target, begun))
        begun = target if len(target) == 2 else to(place + 12)
        place += 12 + len(target)
    return [*found, *typed(query, last, owner=begun, ttl=last_ttl)]


def denied(query, authority, bits=0x8183):
    return [reply(query, bits=bits, authority=authority, additional=opts(query))]


SCRIPTS = {
    "one": lambda q: [reply(q, *typed(q))],
    "three": lambda q: [reply(q, *typed(q, 3))],
    "forty": lambda q: [reply(q, *typed(q, 40))],
    "uneven": lambda q: [reply(q, *typed(q), *typed(q, ttl=60))],
    "zero": lambda q: [reply(q, *typed(q, ttl=0))],
    "day": lambda q: [reply(q, *typed(q, ttl=86400))],
    "endless": lambda q: [reply(q, *typed(q, ttl=2**31 + 5))],
    "alias": lambda q: [reply(q, record(types.CNAME, rdata=b"\1x" + POINTER), *typed(q, owner=b"\1x\xc0\x0c"))],
    "other": lambda q: [reply(q, record(types.TXT, rdata=b"\1x"))],
    "elsewhere": lambda q: [reply(q, *typed(q, owner=b"\1y\0"))],
    "echo": lambda q: [reply(q, *typed(q), additional=opts(q))],
    "echo three": lambda q: [reply(q, *typed(q, 3), additional=opts(q))],
    "echo thirty": lambda q: [reply(q, *typed(q, 30), additional=opts(q))],
    "echo ninety": lambda q: [reply(q, *typed(q, 90), additional=opts(q))],
    "echo uneven": lambda q: [reply(q, *typed(q), *typed(q, ttl=60), additional=opts(q))],
    "echo zero": lambda q: [reply(q, *typed(q, ttl=0), additional=opts(q))],
    "echo day": lambda q: [reply(q, *typed(q, 2, ttl=86400), additional=opts(q))],
    "echo flags": lambda q: [reply(q, *typed(q), additional=opts(q, 0x8000))],
    "echo bits": lambda q: [reply(q, *typed(q), additional=opts(q, 0x40))],
    "echo do": lambda q: [reply(q, *typed(q), additional=opts(q, int.from_bytes(q[-4:-2], "big") & 0x8000))],
    "signed": lambda q: [reply(q, *typed(q), record(types.RRSIG, rdata=q[12 : q.index(0, 12)] + bytes(40)), additional=opts(q))],
    "echo rcode": lambda q: [reply(q, *typed(q), additional=opts(q, 0, b"", 1))],
    "echo version": lambda q: [reply(q, *typed(q), additional=opts(q, 0, b"", 0, 1))],
    "echo option": lambda q: [reply(q, *typed(q), additional=opts(q, 0, edns.option(edns.NSID, b"me")))],
    "echo twice": lambda q: [reply(q, *typed(q), additional=opts(q) * 2)],
    "echo glue": lambda q: [reply(q, *typed(q), additional=[*typed(q), *opts(q)])],
    "echo before": lambda q: [reply(q, *typed(q), additional=[*opts(q), *typed(q)])],
    "echo junk": lambda q: [reply(q, *typed(q), additional=opts(q)) + b"\0"],
    "echo cut": lambda q: [reply(q, *typed(q), additional=opts(q))[:-1]],
    "echo none": lambda q: [reply(q, *typed(q), additional=opts(q))[: -11 * len(opts(q)) or None]],
    "echo owner": lambda q: [reply(q, *typed(q), additional=[b"\1x" + each for each in opts(q)])],
    "echo authentic": lambda q: [reply(q, *typed(q), bits=0x81A0, additional=opts(q))],
    "echo nothing": lambda q: [reply(q, additional=opts(q))],
    "echo uncounted": lambda q: [reply(q, *typed(q)) + edns.opt(1400)],
    "echo other": lambda q: [reply(q, *typed(q), additional=[b"\0\0\x01\0\1" + bytes(6)] * len(opts(q)))],
    "brim": lambda q: [reply(q, *typed(q, 30))],
    "echo brim": lambda q: [reply(q, *typed(q, 29), additional=opts(q))],
    "behind": lambda q: [reply(q, *behind(q, b"\1x" + POINTER), additional=opts(q))],
    "behind two": lambda q: [reply(q, *behind(q, b"\3far\0", b"\4more\3net\0"), additional=opts(q))],
    "behind four": lambda q: [
        reply(q, *behind(q, b"\1a\0", b"\1b" + to(13 + q[12]), b"\1c" + POINTER, b"\1d\0", last=3), additional=opts(q))
    ],
    "behind uneven": lambda q: [reply(q, *behind(q, b"\1a\0", ttl=7200), additional=opts(q))],
    "behind even": lambda q: [reply(q, *behind(q, b"\1a\0", ttl=7200, last_ttl=7200), additional=opts(q))],
    "behind parent": lambda q: [reply(q, *behind(q, to(13 + q[12])), additional=opts(q))],
    "behind itself": lambda q: [reply(q, *behind(q, POINTER), additional=opts(q))],
    "behind root": lambda q: [reply(q, *behind(q, b"\0"), additional=opts(q))],
    "behind itself later": lambda q: [reply(q, *behind(q, to(q.index(0, 12) + 17)), additional=opts(q))],
    "behind long": lambda q: [reply(q, *behind(q, 4 * (b"\x3c" + b"x" * 60) + b"\0"), additional=opts(q))],
    "behind too long": lambda q: [reply(q, *behind(q, 4 * (b"\x3e" + b"x" * 62) + POINTER), additional=opts(q))],
    "behind nobody": lambda q: [reply(q, *behind(q, b"\1a\0")[:1], additional=opts(q))],
    "behind nobody, but": lambda q: [reply(q, *behind(q, b"\1a\0")[:1], authority=soa(q), additional=opts(q))],
    "dead end": lambda q: [reply(q, *behind(q, b"\1a\0", last=0), authority=soa(q), additional=opts(q))],
    "dead end, even": lambda q: [reply(q, *behind(q, b"\1a\0", ttl=60, last=0), authority=soa(q), additional=opts(q))],
    "dead end, soon": lambda q: [reply(q, *behind(q, b"\1a\0", ttl=20, last=0), authority=soa(q), additional=opts(q))],
    "dead end, two": lambda q: [reply(q, *behind(q, b"\1a\0", b"\1b\0", last=0), authority=soa(q), additional=opts(q))],
    "dead end, no name": lambda q: [reply(q, *behind(q, b"\1a\0", last=0), bits=0x8183, authority=soa(q), additional=opts(q))],
    "dead end, by NS": lambda q: [reply(q, *behind(q, b"\1a\0", last=0), authority=soa(q, rtype=types.NS), additional=opts(q))],
    "dead end, not dead": lambda q: [reply(q, *behind(q, b"\1a\0"), authority=soa(q), additional=opts(q))],
    "dead end, at once": lambda q: [reply(q, *typed(q), authority=soa(q), additional=opts(q))],
    "dead end, cut": lambda q: [reply(q, *behind(q, b"\1a\0", last=0), authority=soa(q))[:-22]],
    "behind two names": lambda q: [reply(q, *behind(q, b"\1a\0\1b\0"), additional=opts(q))],
    "behind nothing": lambda q: [reply(q, *behind(q, b""), additional=opts(q))],
    "behind half": lambda q: [reply(q, *behind(q, b"\1a\0")[:1], *typed(q, owner=b"\1a\0"), additional=opts(q))],
    "behind another": lambda q: [reply(q, *behind(q, b"\1a\0", begun=to(13 + q[12])), additional=opts(q))],
    "behind and before": lambda q: [
        reply(q, *behind(q, b"\1a\0"), record(types.CNAME, rdata=b"\1b\0", owner=to(q.index(0, 12) + 17)), additional=opts(q))
    ],
    "before": lambda q: [reply(q, *typed(q), *behind(q, b"\1a\0")[:1], additional=opts(q))],
    "behind others": lambda q: [reply(q, *behind(q, b"\1a\0")[:1], record(types.TXT, rdata=b"\1x"), additional=opts(q))],
    "behind chaos": lambda q: [reply(q, *(each[:4] + b"\0\3" + each[6:] for each in behind(q, b"\1a\0")), additional=opts(q))],
    "no name": lambda q: denied(q, soa(q)),
    "no data": lambda q: denied(q, soa(q), 0x8180),
    "no name by root": lambda q: denied(q, soa(q, b"\0", b"\1a\0", ttl=86400)),
    "no name by test": lambda q: denied(q, soa(q, b"\4test\0", b"\2ns\4test\0", ttl=1900)),
    "no name, own server": lambda q: denied(q, soa(q, server=to(12))),
    "no name, own mailbox": lambda q: denied(q, soa(q, mailbox=b"\1m" + to(12))),
    "no name, mailbox at server": lambda q: denied(q, soa(q, mailbox=to(q.index(0, 12) + 17))),
    "no name, in a label": lambda q: denied(q, soa(q, to(14), b"\2ns" + to(15))),
    "no name, ahead": lambda q: denied(q, soa(q, to(60))),
    "no name, to itself": lambda q: denied(q, soa(q, to(q.index(0, 12) + 5))),
    "no name, in the header": lambda q: denied(q, soa(q, to(6))),
    "no name for a day": lambda q: denied(q, soa(q, ttl=86400)),
    "no name now": lambda q: denied(q, soa(q, ttl=0)),
    "no name, authentic": lambda q: denied(q, soa(q), 0x81A3),
    "no name, authoritative": lambda q: denied(q, soa(q), 0x8583),
    "no name by two": lambda q: denied(q, soa(q) * 2),
    "no name by NS": lambda q: denied(q, soa(q, rtype=types.NS)),
    "no data by MX": lambda q: denied(q, soa(q, rtype=types.MX), 0x8180),
    "no name, cut": lambda q: [denied(q, soa(q))[0][:-15]],
    "no name at all": lambda q: [denied(q, soa(q))[0][: q.index(0, 12) + 5]],
    "no name, junk": lambda q: [denied(q, soa(q))[0] + b"\0"],
    "no name for others": lambda q: (
        [each.replace(b"\0\1" + to(13 + q[12]), b"\0\3" + to(13 + q[12])) for each in denied(q, soa(q))] + denied(q, soa(q))
    ),
    "refused": lambda q: denied(q, soa(q), 0x8185),
    "no data, but": lambda q: [reply(q, *typed(q), authority=soa(q), additional=opts(q))],
    "opt": lambda q: [reply(q, *typed(q), additional=[edns.opt(1232)])],
    "authority": lambda q: [reply(q, *typed(q), authority=[record(types.NS, rdata=b"\1n\0")])],
    "nodata": lambda q: [reply(q, authority=[SOA])],
    "nxdomain": lambda q: [reply(q, bits=0x8183, authority=[SOA])],
    "servfail": lambda q: [reply(q, bits=0x8182)],
    "bare": lambda q: [q[:2] + b"\x80\5" + bytes(8)],
    "authentic": lambda q: [reply(q, *typed(q), bits=0x81A0)],
    "authoritative": lambda q: [reply(q, *typed(q), bits=0x8580)],
    "iterative": lambda q: [reply(q, *typed(q), bits=0x8080)],
    "truncated": lambda q: [reply(q, bits=0x8380)],
    "update": lambda q: [reply(q, *typed(q), bits=0xA980)],
    "cut": lambda q: [reply(q, *typed(q))[:-3]],
    "short": lambda q: [q[:2], q[:5], q[:12], reply(q, *typed(q))],
    "surplus": lambda q: [reply(q, *typed(q)) + b"\0"],
    "forged": lambda q: [reply(q, *typed(q, ttl=7), question=q[12:].replace(b"forged", b"f0rged")[:-4]), reply(q, *typed(q))],
    "shouted": lambda q: [reply(q, *typed(q), question=q[12 : q.index(0, 12) + 5].swapcase()), reply(q, *typed(q))],
    "typed": lambda q: [reply(q, *typed(q), question=q[12 : q.index(0, 12) + 1] + b"\0\x63\0\1"), reply(q, *typed(q))],
    "retyped": lambda q: [
        reply(q, record(types.AAAA, rdata=bytes(16)), question=q[12 : q.index(0, 12) + 1] + b"\0\x1c\0\1"),
        reply(q, *typed(q)),
    ],
    "query": lambda q: [q, reply(q, *typed(q))],
    "twice": lambda q: [reply(q, *typed(q)), reply(q, *typed(q, ttl=7))],
}
ETCD = "etcd z.test {\n endpoint http://127.0.0.1:1\n }\n"
FORWARD = "forward . UPSTREAM {\n max_connect_attempts 1\n }"
COREFILES = {
    "forward": (FORWARD, 522),
    "cache": (f"cache\n {FORWARD}".replace("attempts 1", "attempts 2"), 425),
    "short times": (f"cache 60\n {FORWARD}", 425),
    "long times": ("cache {\n success 100 3600 301\n }\n" + FORWARD, 425),
    "as in a cluster": (f"cache 300\n loadbalance\n loop\n {ETCD} {FORWARD}", 329),
    "at home": (
        "nsid me\n bufsize 1300\n local\n any\n chaos\n cache\n"
        " hosts {\n 192.0.2.7 a.one.test *.three.test\n fallthrough\n }\n " + FORWARD,
        373,
    ),
    "two upstreams": (
        "forward . UPSTREAM UPSTREAM6 {\n max_connect_attempts 1\n policy round_robin\n }",
        522,
    ),
    "only some": ("cache\n forward . UPSTREAM {\n except one.test\n max_connect_attempts 1\n }", 0),
    "the first of two": ("forward . UPSTREAM {\n next NXDOMAIN\n max_connect_attempts 1\n }\n" + FORWARD, 0),
    "silence": ("cache\n forward . UPSTREAM {\n read_timeout 20ms\n max_connect_attempts 2\n }", 0),
}
"""Plugins, and how many answers are passed on directly at least."""


class Upstream(asyncio.DatagramProtocol):
    """Answers as the second label of the name says."""

    asked: ClassVar = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        first = 13 + data[12] if data[12] else 12  # the root's name servers are asked for by checks
        label = data[first + 1 : first + 1 + data[first]].decode().lower()
        if data[12]:
            self.asked.append(data[2:])
        for answer in [] if label == "silent" else SCRIPTS.get(label, SCRIPTS["one"])(data):
            self.transport.sendto(answer, addr)


def questions(kind):
    """Queries for each script, all ways to ask."""
    cookie = edns.option(edns.COOKIE, b"12345678")
    for label in SCRIPTS if kind != "silence" else ["silent"]:
        yield query_wire(f"a.{label}.test.")
        yield query_wire(f"a.{label}.test.")  # again: from the cache, if there is one
        yield query_wire(f"b.{label}.test.", "AAAA")
        yield query_wire(f"B.{label.title()}.test.", "AAAA", flags=RD | AD)
        yield query_wire(f"c.{label}.test.", "TXT", flags=RD | AD)
        yield query_wire(f"d.{label}.test.", "NS", flags=0)
        yield query_wire(f"e.{label}.test.", flags=RD | CD)
        yield query_wire(f"f.{label}.test.", flags=types.NOTIFY << 11)
        yield query_wire(f"g.{label}.test.", size=1232)
        yield query_wire(f"m.{label}.test.", size=512)
        yield query_wire(f"h.{label}.test.", size=4096, do=True)
        yield query_wire(f"o.{label}.test.", "AAAA", do=True)
        plain = query_wire(f"i.{label}.test.")
        yield plain[:10] + b"\0\1" + plain[12:] + edns.opt(1232, 0, cookie)
        yield query_wire(f"j.{label}.test.") + b"\0"
        yield query_wire(f"{label}.z.test.")
        yield query_wire(f"n.{label}.test.", "ANY")
    yield query_wire("a.localhost.")
    yield query_wire("localhost.one.test.")
    yield query_wire("4.3.2.1.in-addr.arpa.", "PTR")
    yield query_wire("7.2.0.192.in-addr.arpa.", "PTR")
    yield query_wire("id.server.", "TXT", qclass="CH")


def observed(metric, cell):
    """What has been observed; of times only how often."""
    if metric is measures.durations:
        return sum(cell.counts)
    return sum(cell.counts) and (cell.counts, cell.sum) if hasattr(cell, "counts") else 0


def counted():
    """All that has been counted, and forgotten by that; of upstreams' times only how many there were."""
    traffic.fold_all()
    found = {}
    for metric in (
        *(traffic.requests, traffic.responses, traffic.request_sizes, traffic.response_sizes),
        *(Cache.hits, Cache.misses, Cache.entries, Cache.evictions, measures.reused, measures.opened, measures.durations),
    ):
        counts = {labels: getattr(cell, "value", None) or observed(metric, cell) for labels, cell in metric.cells.items()}
        found[metric.name] = {labels: each for labels, each in counts.items() if each}
        metric.cells.clear()
    return found


@asynccontextmanager
async def upstreams():
    """Two of them: their addresses."""
    loop = asyncio.get_running_loop()
    ends = [(await loop.create_datagram_endpoint(Upstream, local_addr=(host, 0)))[0] for host in ("127.0.0.1", "::1")]
    try:
        yield [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port, *_ in (e.get_extra_info("sockname") for e in ends)
        ]
    finally:
        for end in ends:
            end.close()


async def answers(kind, corefile):
    """What each question is answered; what was counted, and how many wait in the end; how many were passed on directly."""
    direct = 0

    class Counting(Service):
        def count_kinds(self, listener, block, kinds, duration):
            nonlocal direct
            direct += len(kinds)
            assert 0 < duration < 60e9
            super().count_kinds(listener, block, kinds, duration)

    assembled = assemble(parse(corefile))
    ((address, served),) = assembled.addresses.items()
    service = Counting(str(address), served)
    listener = SilentListener(service)
    plugins = [plugin for block in assembled.blocks for plugin in block.plugins]
    replies = []
    async with AsyncExitStack() as stack:
        for plugin in plugins:
            await stack.enter_async_context(plugin.running())
            if plugin.name == "etcd":
                plugin._source.mirror.state = plugin._source.mirror.state.LIVE
                plugin._source.mirror.synced_event.set()
        for wire in questions(kind):
            reply = service.serve(wire, b"", listener, perf_counter_ns())
            service.settle(1000)
            async with asyncio.timeout(10):
                while reply is None and not listener.sent:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            if reply is None:
                sent = listener.sent.pop()
                assert sent[:2] == wire[:2]
                reply = sent[2:]
            replies.append((wire[2:], reply))
            assert listener.sent == []
        waiting = [service.waiting, *(plugin.waiting for plugin in plugins if plugin.name == "forward")]
        for plugin in plugins:
            if plugin.name == "cache":
                plugin.count()
    asked, Upstream.asked = Upstream.asked, []
    return replies, (counted(), waiting, asked), direct


@pytest.mark.parametrize("kind", COREFILES)
async def test_the_same_is_answered_and_counted(kind, monkeypatch, caplog):
    monkeypatch.setattr("pycoredns.plugins.etcd.zone.time", lambda: 1700000000.0)
    monkeypatch.setattr("pycoredns.plugins.loadbalance.loadbalance.shuffle", list.reverse)
    monkeypatch.setattr("pycoredns.plugins.loadbalance.loadbalance.randrange", lambda choices: 1)
    plugins, least = COREFILES[kind]
    async with upstreams() as (first, second):
        plugins = plugins.replace("UPSTREAM6", second).replace("UPSTREAM", first)
        corefile = f".:53 {{\n errors\n prometheus 127.0.0.1:0\n {plugins}\n}}"
        counted()
        replies, counts, direct = await answers(kind, corefile)
        assert direct >= least
        monkeypatch.setattr(Block, "way", lambda self, service: Way(self))
        usual_replies, usual_counts, none = await answers(kind, corefile)
    different = [(ours, usual) for ours, usual in zip(replies, usual_replies, strict=True) if ours != usual]
    assert (different, counts, none) == ([], usual_counts, 0)
    assert set(counts[1]) == {0} and counts[2]
    assert "directly" not in caplog.text, "what cannot be read is nothing out of the ordinary"
