"""Who may have a zone, in what form it is given, and who is told of changes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from dnslib import DNSRecord

from pycoredns import bounds
from pycoredns.plugins.transfer import notify as notifying
from pycoredns.testing import RunningServer, Upstream, eventually, free_port, running

RECORDS = """$ORIGIN a.test.
$TTL 300
@ IN SOA ns host {serial} 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
kid NS ns.kid
ns.kid A 192.0.2.3
"""
MANY = "".join(f"h{number} A 192.0.2.7\n" for number in range(20))


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    file = tmp_path / "a.test"
    file.write_text(RECORDS.format(serial=1) + MANY)
    return file


@asynccontextmanager
async def served(file: Path, transfer: str, before: str = "") -> AsyncIterator[RunningServer]:
    corefile = f"""
    a.test b.test:{{port}} {{
        bind 127.0.0.1
        {before}
        file {file} a.test {{
            reload 1s
        }}
        {transfer}
    }}"""
    async with running(corefile.replace("a.test b.test:{port}", "a.test:{port} b.test:{port}")) as server:
        yield server


async def ask(port: int, name: str = "a.test", qtype: str = "AXFR", serial: int | None = None) -> list[dns.message.Message]:
    """All messages of an answer over TCP, to a question with the client's serial."""
    query = dns.message.make_query(name, qtype)
    if serial is not None:
        query.authority.append(dns.rrset.from_text(f"{name}.", 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = query.to_wire()
    writer.write(len(wire).to_bytes(2, "big") + wire)
    writer.write_eof()
    octets, messages = await asyncio.wait_for(reader.read(), 5), []
    while octets:
        size = int.from_bytes(octets[:2], "big")
        messages.append(dns.message.from_wire(octets[2 : 2 + size], one_rr_per_rrset=True))
        octets = octets[2 + size :]
    writer.close()
    await writer.wait_closed()
    return messages


def shown(messages: list[dns.message.Message]) -> list[str]:
    """The records of an answer in one word each: their types, with the serial of an SOA, or the response code."""
    if messages[0].rcode():
        return [dns.rcode.to_text(messages[0].rcode())]
    records = [rrset for message in messages for rrset in message.answer]
    return [
        f"SOA{each[0].serial}" if each.rdtype == dns.rdatatype.SOA else dns.rdatatype.to_text(each.rdtype) for each in records
    ]


WHOLE = ["SOA1", "NS", *["A"] * 20]


async def test_the_soa_stands_at_both_ends_of_the_whole_zone(zone_file):
    async with served(zone_file, "transfer {\n to *\n}") as server:
        messages = await ask(server.port)
        records = shown(messages)
        assert (records[0], records[-1]) == ("SOA1", "SOA1")
        assert sorted(records[1:-1]) == sorted(["NS", "NS", "A", "A", *["A"] * 20])
        assert all(message.flags & dns.flags.AA for message in messages)
        assert shown(await ask(server.port, "A.TEST")) == records


@pytest.mark.parametrize(
    ("transfer", "name", "expected"),
    [
        ("transfer {\n to 192.0.2.9\n}", "a.test", "REFUSED"),
        ("transfer {\n to 192.0.2.9 127.0.0.1\n}", "a.test", "SOA1"),
        ("transfer {\n to 127.0.0.1:5300\n}", "a.test", "SOA1"),
        ("transfer {\n to 192.0.2.9\n to *\n}", "a.test", "SOA1"),
        ("transfer {\n to *\n}", "ns.a.test", "REFUSED"),
        ("transfer {\n to *\n}", "b.test", "REFUSED"),
        ("transfer b.test {\n to *\n}", "a.test", "REFUSED"),
        ("transfer . {\n to 192.0.2.9\n}\ntransfer a.test {\n to *\n}", "a.test", "SOA1"),
        ("transfer a.test {\n to 192.0.2.9\n}\ntransfer . {\n to *\n}", "a.test", "REFUSED"),
        ("transfer {\n to *\n}\ntransfer {\n to 192.0.2.9\n}", "a.test", "SOA1"),
    ],
)
async def test_who_may_have_which_zone(zone_file, transfer, name, expected):
    async with served(zone_file, transfer) as server:
        assert shown(await ask(server.port, name))[0] == expected


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR"])
async def test_over_udp_nobody_may(zone_file, qtype):
    async with served(zone_file, "transfer {\n to *\n}") as server:
        assert await server.rcode("a.test", qtype) == "REFUSED"


@pytest.mark.parametrize(
    ("serial", "expected"),
    [(1, ["SOA1"]), (0, "whole"), (7, "whole"), (None, ["SERVFAIL"])],
)
async def test_incremental_without_a_history(zone_file, serial, expected):
    async with served(zone_file, "transfer {\n to *\n}") as server:
        records = shown(await ask(server.port, qtype="IXFR", serial=serial))
        assert records == expected if isinstance(expected, list) else len(records) > 20


async def test_incremental_gives_each_step(zone_file):
    async with served(zone_file, "transfer {\n to *\n}") as server:
        for serial, added in [(2, "t TXT x\n"), (3, "t TXT y\n")]:
            zone_file.write_text(RECORDS.format(serial=serial) + MANY + added)
            await eventually(lambda added=added: _says(server, added[-2]))
        assert shown(await ask(server.port, qtype="IXFR", serial=3)) == ["SOA3"]
        assert shown(await ask(server.port, qtype="IXFR", serial=2)) == ["SOA3", "SOA2", "TXT", "SOA3", "TXT", "SOA3"]
        steps = ["SOA3", "SOA1", "SOA2", "TXT", "SOA2", "TXT", "SOA3", "TXT", "SOA3"]
        assert shown(await ask(server.port, qtype="IXFR", serial=1)) == steps
        assert len(shown(await ask(server.port, qtype="IXFR", serial=9))) > 20


async def test_incremental_from_serial_0(zone_file):
    zone_file.write_text(RECORDS.format(serial=0) + MANY)
    async with served(zone_file, "transfer {\n to *\n}") as server:
        zone_file.write_text(RECORDS.format(serial=1) + MANY + "t TXT x\n")
        await eventually(lambda: _says(server, "x"))
        assert shown(await ask(server.port, qtype="IXFR", serial=0)) == ["SOA1", "SOA0", "SOA1", "TXT", "SOA1"]


async def test_more_changes_than_names_make_a_whole_zone(zone_file):
    async with served(zone_file, "transfer {\n to *\n}") as server:
        zone_file.write_text(RECORDS.format(serial=2) + "t TXT x\n")
        await eventually(lambda: _says(server, "x"))
        records = shown(await ask(server.port, qtype="IXFR", serial=1))
        assert records[:2] != ["SOA2", "SOA1"]
        assert records.count("SOA2") == 2


async def _says(server: RunningServer, text: str) -> bool:
    return await server.answers("t.a.test", "TXT") == [f'TXT "{text}"']


async def test_past_the_bound_of_transfers_the_client_is_to_come_later(zone_file, monkeypatch):
    async with served(zone_file, "transfer {\n to *\n}") as server:
        monkeypatch.setattr(bounds, "MOST_STREAMS", 0)
        shed = bounds.shed_streams.cell(next(iter(server.server.services.values())).address)
        before = shed.value
        assert shown(await ask(server.port)) == ["SERVFAIL"]
        assert shown(await ask(server.port, qtype="IXFR", serial=1)) == ["SOA1"]
        assert shed.value == before + 1
        monkeypatch.setattr(bounds, "MOST_STREAMS", 1)
        for _ in range(2):
            assert shown(await ask(server.port))[0] == "SOA1"


async def test_a_zone_that_is_not_there_yet(tmp_path, caplog):
    async with served(tmp_path / "missing", "transfer {\n to *\n}", "errors") as server:
        assert shown(await ask(server.port)) == ["SERVFAIL"]
    assert "2 a.test. AXFR: no SOA" in caplog.text


async def test_plugins_before_it_leave_it_whole_and_see_it_once(zone_file, caplog):
    before = "errors\nlog\ncache\nloadbalance\nminimal\nnsid x\nany\nheader {\n response set ra\n}\nprometheus 127.0.0.1:{http}"
    async with served(zone_file, "transfer {\n to *\n}", before) as server:
        seen = []
        server.server.blocks[0].each.append(seen.append)
        for _ in range(3):
            assert len(shown(await ask(server.port))) == 26
        assert [outcome.error for outcome in seen] == [None] * 3
        assert all(outcome.size > 26 * 16 for outcome in seen)


def answering(rcode: int):
    def answer(query: DNSRecord) -> DNSRecord:
        reply = query.reply()
        reply.header.opcode, reply.header.rcode = query.header.opcode, rcode
        return reply

    return answer


@pytest.mark.parametrize(("rcode", "times"), [(dns.rcode.NOERROR, 1), (dns.rcode.NOTIMP, 3)])
async def test_servers_are_told_at_the_start_and_after_a_change(zone_file, rcode, times):
    async with (
        Upstream(answering(rcode)) as told,
        served(zone_file, f"transfer {{\n to * {told.address}\n source 127.0.0.1\n}}"),
    ):
        await eventually(lambda: len(told.questions) == times)
        zone_file.write_text(RECORDS.format(serial=2))
        await eventually(lambda: len(told.questions) == 2 * times)
        assert {(str(question.qname), question.qtype) for question in told.questions} == {("a.test.", dns.rdatatype.SOA)}


async def test_who_does_not_answer_is_told_again(zone_file, monkeypatch, caplog):
    caplog.set_level("DEBUG", "plugin/transfer")
    monkeypatch.setattr(notifying, "PATIENCE", 0.05)
    monkeypatch.setattr(logging.getLogger("plugin/transfer"), "propagate", True)
    async with Upstream(lambda query: None) as told, served(zone_file, f"transfer {{\n to {told.address}\n}}"):
        await eventually(lambda: f'was not accepted by "{told.address}": "no answer"' in caplog.text)
        assert len(told.questions) == 3
        assert f'Sent notifies for zone "a.test." to [{told.address}]' in caplog.messages


async def test_who_is_not_there_is_logged(zone_file, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("plugin/transfer"), "propagate", True)
    async with served(zone_file, f"transfer {{\n to 127.0.0.1:{free_port()}\n}}"):
        await eventually(lambda: "Connection refused" in caplog.text)
