"""BIND, NSD and Knot DNS have a zone from ours, and give one to ours: whole, by what changed, signed, told at once."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import dns.message
import dns.query
import dns.tsigkeyring
import dns.zone
import pytest

from pycoredns.plugins.secondary import asking
from pycoredns.testing import eventually, exchange_tcp, free_port, query_wire, running
from tests.judges.programs import program
from tests.judges.servers import JUDGES, KEY, MANY, SECRET, ZONE, Judge, zone_text

OURS_AS_PRIMARY = """
{zone}:{port} {
    bind 127.0.0.1
    tsig {
        secret {key} {secret}
        require AXFR IXFR
    }
    file {master} {
        reload 1s
    }
    transfer {
        to 127.0.0.1:{judge}
    }
}
"""
OURS_AS_SECONDARY = """
{zone}:{port} {
    bind 127.0.0.1
    tsig {
        secret {key} {secret}
    }
    secondary {
        transfer from 127.0.0.1:{judge}
        key {key}
    }
    transfer {
        to *
    }
}
"""


def ours(corefile: str, port: int, judge: int, **values: object):
    values |= {"zone": ZONE, "key": KEY, "secret": SECRET, "judge": judge}
    return running(corefile.replace("{port}", str(port)), **values)


async def transferred(port: int) -> dns.zone.Zone:
    """The zone that a server gives."""
    keys = dns.tsigkeyring.from_text({KEY: ("hmac-sha256", SECRET)})

    def take() -> dns.zone.Zone:
        zone, query = dns.zone.Zone(ZONE), dns.message.make_query(ZONE, "AXFR")
        query.use_tsig(keys)
        dns.query.inbound_xfr("127.0.0.1", zone, query, port=port, timeout=5)
        return zone

    return await asyncio.to_thread(take)


@pytest.fixture
def given(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """How many records each transfer from ours had."""
    logger = logging.getLogger("plugin/transfer")
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.INFO, "plugin/transfer")
    return lambda: [record.args[0] for record in caplog.records if "Outgoing transfer" in record.msg]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The types of the transfers that ours asked for."""
    types: list[int] = []
    plain = asking._transfer

    async def transfer(primary, origin, qtype, *rest):
        found = await plain(primary, origin, qtype, *rest)
        types.append(qtype)
        return found

    monkeypatch.setattr(asking, "_transfer", transfer)
    return types


@pytest.mark.parametrize("kind", JUDGES, ids=lambda kind: kind.name)
async def test_as_secondary_of_ours(kind: type[Judge], tmp_path: Path, given) -> None:
    port, file = free_port(), tmp_path / "ours.zone"
    file.write_text(zone_text(1, "v TXT one"))
    judge = kind(tmp_path, port)
    async with ours(OURS_AS_PRIMARY, port, judge.port, master=file), judge.running(judge.secondary()):
        await eventually(lambda: _has(judge.port, "v", b"one"), 10)
        file.write_text(zone_text(2, "v TXT two"))
        await eventually(lambda: _has(judge.port, "v", b"two"), 10)
        assert await transferred(port) == await transferred(judge.port)
    whole, changes = given()[:2]
    assert whole > MANY
    assert changes == 6  # SOA, old SOA, one record that went, new SOA, one that came, SOA


@pytest.mark.parametrize("kind", JUDGES, ids=lambda kind: kind.name)
async def test_as_primary_of_ours(kind: type[Judge], tmp_path: Path, asked: list[int]) -> None:
    port = free_port()
    judge = kind(tmp_path, port)
    async with judge.running(judge.primary()), ours(OURS_AS_SECONDARY, port, judge.port):
        await eventually(lambda: _has(port, "h1", b"", "A"), 10)
        await judge.change(5, "v TXT two")
        changed = time.monotonic()
        await eventually(lambda: _has(port, "v", b"two"), 10)
        assert time.monotonic() - changed < 2
        assert await transferred(port) == await transferred(judge.port)
    assert asked == [252, 251]


async def test_named_checkzone_finds_no_fault(tmp_path: Path) -> None:
    port, file, copy = free_port(), tmp_path / "ours.zone", tmp_path / "transferred.zone"
    file.write_text(zone_text(7, r'odd\.\032name TXT "a b" "\200"', "*.e.n.t A 192.0.2.1", "s SRV 0 0 53 ns", "d DNAME example."))
    async with ours(OURS_AS_PRIMARY, port, free_port(), master=file):
        (await transferred(port)).to_file(str(copy), relativize=False)
    done = await asyncio.create_subprocess_exec(
        program("named-checkzone"), "-i", "local", ZONE, copy, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await done.communicate()
    assert said.decode().splitlines() == [f"zone {ZONE}/IN: loaded serial 7", "OK"]


async def _has(port: int, name: str, text: bytes, qtype: str = "TXT") -> bool:
    try:
        reply = await exchange_tcp(query_wire(f"{name}.{ZONE}", qtype), ("127.0.0.1", port))
    except (ConnectionError, asyncio.IncompleteReadError):  # NSD ends those who wait while it takes a new zone
        return False
    return reply[7] > 0 and text in reply
