"""Zones fetched from a primary that does not always behave, and what is served of them meanwhile."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.renderer
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import StartError
from pycoredns.plugins.secondary import asking, refresh
from pycoredns.server import Server
from pycoredns.testing import RunningServer, eventually, exchange_udp, free_port, running

KEY, SECRET = "key.test.", base64.b64encode(b"a secret of 32 octets, no more...").decode()
KEYRING = dns.tsigkeyring.from_text({KEY: ("hmac-sha256", SECRET)})
Records = list[str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No jitter, short pauses; the plugin's log is seen by caplog."""
    for name, value in [("REFRESH_JITTER", 0.0), ("RETRY_JITTER", 0.0), ("PAUSE", 0.01), ("FIRST_RETRY", 0.05)]:
        monkeypatch.setattr(refresh, name, value)
    monkeypatch.setattr(logging.getLogger("plugin/secondary"), "propagate", True)
    caplog.set_level(logging.INFO, "plugin/secondary")


def soa(serial: int, refresh_: int = 3600, retry: int = 600, expire: int = 86400) -> str:
    return f"a.test. 300 SOA ns.a.test. h.a.test. {serial} {refresh_} {retry} {expire} 60"


def zone(serial: int, text: str, **timers: int) -> Records:
    return [soa(serial, **timers), "a.test. 300 NS ns.a.test.", f"v.a.test. 300 TXT {text}", "ns.a.test. 300 A 192.0.2.1"]


class Primary:
    """A scripted primary: ``answer`` gives the messages to a question, by default from ``zone`` and its history of steps."""

    def __init__(self, zone: Records, steps: Records | None = None) -> None:
        self.zone = zone
        self.steps = steps
        self.asked: list[str] = []
        self.answer: Callable[[dns.message.Message], Iterable[Records | bytes]] = self.usual
        self.key: dict | None = None
        self.rcode = dns.rcode.NOERROR
        self.hangs = False
        self.port = free_port()

    def usual(self, query: dns.message.Message) -> Iterable[Records | bytes]:
        qtype = query.question[0].rdtype
        if qtype == dns.rdatatype.SOA:
            return [self.zone[:1]]
        if qtype == dns.rdatatype.IXFR and self.steps is not None:
            return [self.steps]
        if qtype == dns.rdatatype.IXFR:
            return [[]]  # as a server does that does not know it
        return [self.zone[:2], [*self.zone[2:], self.zone[0]]]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Primary]:
        tasks: set[asyncio.Task[None] | None] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._serve(reader, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                if task:
                    task.cancel()
            await asyncio.gather(*[task for task in tasks if task], return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        query = dns.message.from_wire(wire, keyring=self.key or False)
        self.asked.append(dns.rdatatype.to_text(query.question[0].rdtype))
        context = None
        for each in self.answer(query):
            if isinstance(each, bytes):
                octets = each
            else:
                octets, context = self._message(query, each, context)
            writer.write(len(octets).to_bytes(2, "big") + octets)
        await writer.drain()
        if self.hangs:
            self.hangs = False
            await reader.read()

    def _message(self, query: dns.message.Message, records: Records, context: object) -> tuple[bytes, object]:
        reply = dns.message.make_response(query)
        reply.set_rcode(self.rcode)
        for each in records:
            owner, ttl, rtype, *data = each.split()
            reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, " ".join(data)))
        octets = reply.to_wire(multi=True, tsig_ctx=context, max_size=65535)
        return octets, reply.tsig_ctx


@asynccontextmanager
async def secondary(primary: Primary, options: str = "", before: str = "", **values: object) -> AsyncIterator[RunningServer]:
    corefile = f"""a.test:{{port}} {{
        bind 127.0.0.1
        {before}
        secondary {{
            transfer from 127.0.0.1:{primary.port}
            {options}
        }}
    }}"""
    async with running(corefile, **values) as server:
        yield server


async def says(server: RunningServer, text: str) -> bool:
    return await server.answers("v.a.test", "TXT") == [f'TXT "{text}"']


async def notify(server: RunningServer, source: str = "127.0.0.1") -> bytes:
    message = dns.message.make_query("a.test", "SOA")
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags |= dns.flags.AA
    return await exchange_udp(message.to_wire(), ("127.0.0.1", server.port), 1)


async def test_whole_at_first_then_what_changed():
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        old, new = soa(1), soa(2)
        primary.zone, primary.steps = zone(2, "two"), [new, old, "v.a.test. 300 TXT one", new, "v.a.test. 300 TXT two", new]
        reply = await notify(server)
        assert (reply[2] & 0xFC, reply[3]) == (0x80 | dns.opcode.NOTIFY << 3 | 4, 0)
        await eventually(lambda: says(server, "two"))
        assert primary.asked == ["AXFR", "SOA", "IXFR"]


@pytest.mark.parametrize(
    "steps",
    [None, [soa(2), soa(1), "gone.a.test. 300 TXT x", soa(2), soa(2)], [soa(2), soa(1), soa(2)]],
    ids=["unknown", "do not fit", "cut"],
)
async def test_a_primary_whose_steps_are_no_good_gives_the_whole(steps):
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        primary.zone, primary.steps = zone(2, "two"), steps
        await notify(server)
        await eventually(lambda: says(server, "two"))
        assert primary.asked == ["AXFR", "SOA", "IXFR", "AXFR"]


def silent(primary: Primary) -> list[Records | bytes]:
    primary.hangs = True
    return []


def hung_up(primary: Primary) -> list[Records | bytes]:
    return []


def without_servers(primary: Primary) -> list[Records | bytes]:
    return [[primary.zone[0], primary.zone[0]]]


@pytest.mark.parametrize("answer", [silent, hung_up, without_servers], ids=lambda answer: answer.__name__)
async def test_whoever_fails_at_changes_gives_the_whole_and_is_not_asked_for_changes_for_a_while(answer, monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    async with Primary(zone(1, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        primary.answer = lambda query: answer(primary) if query.question[0].rdtype == dns.rdatatype.IXFR else primary.usual(query)
        for serial, text in [(2, "two"), (3, "three")]:
            primary.zone = zone(serial, text)
            await notify(server)
            await eventually(lambda text=text: says(server, text))
        assert primary.asked == ["AXFR", "SOA", "IXFR", "AXFR", "SOA", "AXFR"]


def cut(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [primary.zone[:2]]


def garbage(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [b"\xff" * 100]


def stranger(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    answers = list(primary.usual(query))
    query.id ^= 1
    return answers if query.question[0].rdtype != dns.rdatatype.SOA else [primary.zone[:1]]


def endless(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    if query.question[0].rdtype == dns.rdatatype.SOA:
        return [primary.zone[:1]]
    return [[primary.zone[0], *[f"n{number}.a.test. 300 A 192.0.2.1" for number in range(200)]]]


def changing(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [[*primary.zone, soa(9)]]


def empty(primary: Primary, query: dns.message.Message) -> list[Records | bytes]:
    return [primary.zone[:1]] if query.question[0].rdtype == dns.rdatatype.SOA else [[primary.zone[0], primary.zone[0]]]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (empty, "it has no NS record at its apex"),
        (cut, "the connection was closed too early"),
        (garbage, "a message does not answer our question"),
        (stranger, "a message does not answer our question"),
        (endless, "it has more than 100 records"),
        (changing, "it begins with serial 2 and ends with 9"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_a_broken_transfer_replaces_nothing(bad, said, caplog):
    async with Primary(zone(1, "one")).running() as primary, secondary(primary, "max_records 100") as server:
        await eventually(lambda: says(server, "one"))
        primary.zone, primary.answer = zone(2, "two"), lambda query: bad(primary, query)
        await notify(server)
        await eventually(lambda: said in caplog.text)
        assert await says(server, "one")
        primary.answer = primary.usual
        await notify(server)
        await eventually(lambda: says(server, "two"))


async def test_a_serial_that_goes_back_is_refused(caplog):
    async with Primary(zone(7, "one")).running() as primary, secondary(primary) as server:
        await eventually(lambda: says(server, "one"))
        primary.zone = zone(3, "old")
        await notify(server)
        await eventually(lambda: "its serial 3 is not newer than ours, 7: not taken" in caplog.text)
        assert await says(server, "one")
        assert primary.asked == ["AXFR", "SOA"]


async def test_a_primary_that_says_nothing_is_left(monkeypatch, caplog):
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    async with Primary([]).running() as primary:
        primary.answer = lambda query: []
        async with secondary(primary) as server:
            await eventually(lambda: len(primary.asked) > 1)
            assert await server.rcode("v.a.test", "TXT") == "SERVFAIL"


async def test_the_next_primary_is_asked():
    async with Primary(zone(1, "one")).running() as primary:
        corefile = f"a.test:{{port}} {{\n secondary {{\n transfer from 127.0.0.1:{free_port()} 127.0.0.1:{primary.port}\n}}\n}}"
        async with running(corefile) as server:
            await eventually(lambda: says(server, "one"))


async def test_refresh_retry_and_expiry_follow_the_soa(caplog):
    async with secondary(primary := Primary(zone(1, "one", refresh_=1, retry=1, expire=2))) as server:
        async with primary.running():
            await eventually(lambda: says(server, "one"))
            primary.zone = zone(2, "two", refresh_=1, retry=1, expire=2)
            await eventually(lambda: says(server, "two"))
        await eventually(lambda: _expired(server))
        assert "Zone a.test. is expired" in caplog.text
        async with primary.running():
            await eventually(lambda: says(server, "two"))


async def _expired(server: RunningServer) -> bool:
    return await server.rcode("v.a.test", "TXT") == "SERVFAIL"


def unsigned(query: dns.message.Message, records: Records) -> bytes:
    """A message that answers a signed question without a signature."""
    copy = dns.message.make_query(query.question[0].name, query.question[0].rdtype, id=query.id, flags=0)
    reply = dns.message.make_response(copy)
    for each in records:
        owner, ttl, rtype, *data = each.split()
        reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, " ".join(data)))
    return reply.to_wire(max_size=65535)


def not_at_all(query: dns.message.Message, zone: Records) -> list[Records | bytes]:
    return [unsigned(query, [*zone, zone[0]])]


def not_at_the_end(query: dns.message.Message, zone: Records) -> list[Records | bytes]:
    return [zone[:2], unsigned(query, [*zone[2:], zone[0]])]


def by_another(query: dns.message.Message, zone: Records) -> list[Records | bytes]:
    reply = dns.message.from_wire(unsigned(query, [*zone, zone[0]]), one_rr_per_rrset=True)
    reply.request_mac = query.mac
    reply.use_tsig(dns.tsigkeyring.from_text({KEY: ("hmac-sha256", base64.b64encode(b"another secret").decode())}))
    return [reply.to_wire(max_size=65535)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, ""),
        (not_at_all, "TSIG: the first message is not signed"),
        (not_at_the_end, "TSIG: the last message is not signed"),
        (by_another, "TSIG: its signature is not good: BADSIG"),
    ],
)
async def test_signed_transfers(answer, said, caplog):
    primary = Primary(zone(1, "one"))
    primary.key = KEYRING
    if answer:
        primary.answer = lambda query: answer(query, primary.zone)
    async with primary.running(), secondary(primary, f"key {KEY}", f"tsig {{\n secret {KEY} {SECRET}\n}}") as server:
        if said:
            await eventually(lambda: said in caplog.text)
            assert await _expired(server)
        else:
            await eventually(lambda: says(server, "one"))


async def test_a_key_that_is_not_there():
    with pytest.raises(StartError, match=r"there is no key lost\."):
        async with secondary(Primary([]), "key lost."):
            pass


async def test_notify_is_heard_from_primaries_only():
    async with Primary(zone(1, "one")).running() as primary:
        corefile = f"a.test:{{port}} {{\n bind 127.0.0.1\n secondary {{\n transfer from 127.0.0.2:{primary.port}\n}}\n}}"
        async with running(corefile) as server:
            with pytest.raises(TimeoutError):
                await notify(server)


async def test_kept_on_disk_it_is_served_at_once_and_its_expiry_counts_on(tmp_path: Path):
    async with (
        Primary(zone(1, "one", refresh_=600, retry=400, expire=1000)).running() as primary,
        secondary(primary, f"persist {tmp_path}") as server,
    ):
        await eventually(lambda: says(server, "one"))
        await eventually(lambda: (tmp_path / "a.test.zone").exists())
    async with secondary(primary, f"persist {tmp_path}") as server:
        assert await says(server, "one")
    os.utime(tmp_path / "a.test.zone", (time.time() - 1001,) * 2)
    async with secondary(primary, f"persist {tmp_path}") as server:
        assert await _expired(server)
        async with primary.running():
            await eventually(lambda: says(server, "one"))


async def test_a_reload_keeps_the_zone_though_the_primary_is_gone():
    port = free_port()
    async with Primary(zone(1, "one")).running() as primary:
        text = f"a.test:{port} {{\n bind 127.0.0.1\n secondary {{\n transfer from 127.0.0.1:{primary.port}\n}}\n}}"
        first = Server(assemble(parse(text, "Corefile")))
        await first.start()
        await eventually(lambda: says(RunningServer(first, {"port": port}), "one"))
    second = Server(assemble(parse(text, "Corefile")))
    await second.start(first)
    await first.stop(final=False)
    assert await says(RunningServer(second, {"port": port}), "one")
    await second.stop()


async def test_a_reload_keeps_the_members_of_a_catalog():
    listed = ["cat.test. 0 SOA . . 1 3600 600 86400 0", "cat.test. 0 NS invalid.", "version.cat.test. 0 TXT 2"]
    members = {"a.test.": zone(1, "one"), "cat.test.": [*listed, "x.zones.cat.test. 0 PTR a.test."]}
    primary, port = Primary([]), free_port()

    def answer(query: dns.message.Message) -> Iterable[Records | bytes]:
        primary.zone = members[str(query.question[0].name)]
        return primary.usual(query)

    primary.answer = answer
    text = f".:{port} {{\n bind 127.0.0.1\n secondary cat.test {{\n transfer from 127.0.0.1:{primary.port}\n catalog\n}}\n}}"
    first, second = (Server(assemble(parse(text, "Corefile"))) for _ in range(2))
    async with primary.running():
        await first.start()
        await eventually(lambda: says(RunningServer(first, {"port": port}), "one"))
    await second.start(first)
    await first.stop(final=False)
    assert await says(RunningServer(second, {"port": port}), "one")
    await second.stop()


async def test_members_of_a_catalog_are_kept_on_disk_too(tmp_path: Path):
    listed = ["cat.test. 0 SOA . . 1 3600 600 86400 0", "cat.test. 0 NS invalid.", "version.cat.test. 0 TXT 2"]
    members = {"a.test.": zone(1, "one"), "cat.test.": [*listed, "x.zones.cat.test. 0 PTR a.test."]}
    primary = Primary([])

    def answer(query: dns.message.Message) -> Iterable[Records | bytes]:
        primary.zone = members[str(query.question[0].name)]
        return primary.usual(query)

    primary.answer = answer
    source = f"transfer from 127.0.0.1:{primary.port}\n catalog\n persist {tmp_path}"
    corefile = f".:{{port}} {{\n bind 127.0.0.1\n secondary cat.test {{\n {source}\n}}\n}}"
    async with primary.running(), running(corefile) as server:
        await eventually(lambda: says(server, "one"))
    async with running(corefile) as server:
        assert await says(server, "one")


async def test_fallthrough_and_names_outside():
    options = "fallthrough x.a.test"
    async with Primary(zone(1, "one")).running() as primary, secondary(primary, options) as server:
        await eventually(lambda: says(server, "one"))
        assert await server.rcode("none.a.test") == "NXDOMAIN"
        assert await server.rcode("x.a.test") == "SERVFAIL"  # passed on, to nobody
        assert await server.rcode("b.test") == "REFUSED"


async def test_members_of_a_catalog_are_served_and_forgotten():
    members = {"a.test.": zone(1, "one"), "b.test.": [each.replace("a.test.", "b.test.") for each in zone(1, "b")]}
    listed = ["cat.test. 0 SOA . . 1 3600 600 86400 0", "cat.test. 0 NS invalid.", "version.cat.test. 0 TXT 2"]
    members["cat.test."] = [*listed, "x.zones.cat.test. 0 PTR a.test.", "y.zones.cat.test. 0 PTR b.test."]
    primary = Primary([])

    def answer(query: dns.message.Message) -> Iterable[Records | bytes]:
        primary.zone = members[str(query.question[0].name)]
        return primary.usual(query)

    primary.answer = answer
    corefile = (
        f".:{{port}} {{\n bind 127.0.0.1\n secondary cat.test {{\n transfer from 127.0.0.1:{primary.port}\n catalog\n}}\n}}"
    )
    async with primary.running(), running(corefile) as server:
        await eventually(lambda: says(server, "one"))
        await eventually(lambda: _answers(server, "v.b.test", "b"))
        members["cat.test."] = [listed[0].replace(" 1 ", " 2 "), *listed[1:], "y.zones.cat.test. 0 PTR b.test."]
        message = dns.message.make_query("cat.test", "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        await exchange_udp(message.to_wire(), ("127.0.0.1", server.port))
        await eventually(lambda: _refused(server))
        assert await _answers(server, "v.b.test", "b")


async def test_a_catalog_does_not_bring_what_it_is_itself_in_nor_more_than_it_may(caplog):
    listed = ["cat.test. 0 SOA . . 1 3600 600 86400 0", "cat.test. 0 NS invalid.", "version.cat.test. 0 TXT 2"]
    outer = [f"{label}.zones.cat.test. 0 PTR {name}" for label, name in [("r", "."), ("t", "test."), ("c", "cat.test.")]]
    members = {"a.test.": zone(1, "one"), "cat.test.": [*listed, *outer, "x.zones.cat.test. 0 PTR a.test."]}
    primary = Primary([])

    def answer(query: dns.message.Message) -> Iterable[Records | bytes]:
        primary.zone = members[str(query.question[0].name)]
        return primary.usual(query)

    primary.answer = answer
    source = f"transfer from 127.0.0.1:{primary.port}\n catalog\n max_members 4"
    corefile = f".:{{port}} {{\n bind 127.0.0.1\n secondary cat.test {{\n {source}\n}}\n}}"
    async with primary.running(), running(corefile) as server:
        await eventually(lambda: says(server, "one"))
        assert [await server.rcode(name) for name in ("x.example", "x.test", "cat.test")] == ["REFUSED", "REFUSED", "NOERROR"]
        for name in (".", "test.", "cat.test."):
            assert f"Skipping catalog member zone {name} from cat.test.: the catalog is in it" in caplog.text
        members["cat.test."] = [
            listed[0].replace(" 1 ", " 2 "),
            *listed[1:],
            *outer,
            *(f"{n}.zones.cat.test. 0 PTR {n}." for n in "ab"),
        ]
        message = dns.message.make_query("cat.test", "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        await exchange_udp(message.to_wire(), ("127.0.0.1", server.port))
        await eventually(lambda: "catalog lists 5 zones, more than 4" in caplog.text)
        assert await says(server, "one")


async def _answers(server: RunningServer, name: str, text: str) -> bool:
    return await server.answers(name, "TXT") == [f'TXT "{text}"']


async def _refused(server: RunningServer) -> bool:
    return await server.rcode("v.a.test", "TXT") == "REFUSED"
