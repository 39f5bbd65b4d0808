"""Signatures are made once, kept within bounds and renewed in time."""

import dns.message
import dns.rdatatype
import pytest

from pycoredns.memo import Memo
from pycoredns.plugins.dnssec import Dnssec
from pycoredns.plugins.dnssec.signatures import DAY
from pycoredns.plugins.dnssec.tests.support import KSK, SOA, ZONE, address, denied, plugin, reply, validated
from pycoredns.request import Request
from pycoredns.testing import Last, query_wire, request_for
from pycoredns.wire import names


class Clock:
    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in ("signatures", "sections", "dnssec"):
        monkeypatch.setattr(f"pycoredns.plugins.dnssec.{module}.time", made)
    return made


def counts(dnssec: Dnssec) -> tuple[int, int]:
    (tally,) = dnssec._tallies.values()
    return int(tally.hits.value), int(tally.misses.value)


@pytest.fixture(autouse=True)
def fresh_metrics() -> None:
    Dnssec.hits.cells.clear()
    Dnssec.misses.cells.clear()


async def test_a_set_is_signed_once_and_a_changed_one_anew() -> None:
    dnssec = plugin()
    last = Last(address(f"www.{ZONE}"))
    request = request_for(f"www.{ZONE}", plugins=[dnssec, last], do=True)
    handle = request.listener.service.zones[b"\0"][0].handle
    first, again = await handle(request), await handle(request)
    assert first.answer == again.answer
    assert counts(dnssec) == (1, 1)
    last.answer = address(f"www.{ZONE}", rdata=b"\xc0\0\2\2")
    assert (await handle(request)).answer[-64:] != first.answer[-64:]
    assert counts(dnssec) == (1, 2)


async def test_signature_is_made_from_three_hours_ago_to_eight_days_hence_and_renewed_after_six(clock: Clock) -> None:
    dnssec = plugin()
    dnssec.signatures._clock = clock
    request = request_for(f"no.{ZONE}", plugins=[dnssec, Last(denied())], do=True)
    handle = request.listener.service.zones[b"\0"][0].handle

    async def validity() -> set[tuple[int, int]]:
        message = dns.message.from_wire(b"\0\0" + (await handle(request)).reply(request))
        signatures = [rrset[0] for rrset in message.authority if rrset.rdtype == dns.rdatatype.RRSIG]
        return {(signature.inception - 2_000_000_000, signature.expiration - 2_000_000_000) for signature in signatures}

    assert await validity() == {(-3 * 3600, 8 * DAY)}
    clock.now += 6 * DAY - 1
    assert await validity() == {(-3 * 3600, 8 * DAY)}
    clock.now += 1
    assert await validity() == {(6 * DAY - 3 * 3600, 14 * DAY)}


async def test_an_answer_is_given_from_memory_for_no_longer_than_its_signatures(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pycoredns.plugins.dnssec.signatures.monotonic", lambda: 1000.0)
    dnssec = plugin()
    dnssec.signatures._clock = clock
    for behind in (address(f"www.{ZONE}"), denied()):
        request = request_for(f"www.{ZONE}", plugins=[dnssec, Last(behind)], do=True)
        response = await request.listener.service.zones[b"\0"][0].handle(request)
        assert response.until == pytest.approx(1000 + 6 * DAY)
        assert response.memorable


async def test_a_flood_of_missing_names_pushes_out_itself() -> None:
    dnssec = plugin(cache_capacity=50)
    www = request_for(
        f"www.{ZONE}",
        plugins=[dnssec, Last(lambda request: denied() if b"flood" in request.name else address(f"www.{ZONE}"))],
        do=True,
    )
    handle = www.listener.service.zones[b"\0"][0].handle
    kept = (await handle(www)).answer
    for number in range(500):
        wire = query_wire(f"n{number}.flood.{ZONE}", do=True)
        await handle(Request.read(wire, b"", www.listener, 0))
        assert len(dnssec.signatures) <= 50
        if number % 20 == 0:
            assert (await handle(www)).answer == kept
    assert len(dnssec.signatures) == 50


async def test_where_all_were_used_again_the_oldest_makes_room() -> None:
    dnssec = plugin(cache_capacity=5)
    last = Last(lambda request: address(names.to_text(request.name)))
    for number in range(12):
        for _ in range(2):
            await reply(dnssec, last, f"n{number}.{ZONE}")
        assert len(dnssec.signatures) <= 5
    assert len(dnssec.signatures._used) <= 5


async def test_capacity_of_none_keeps_nothing() -> None:
    dnssec = plugin(cache_capacity=0)
    for _ in range(2):
        assert await validated(dnssec, await reply(dnssec, address(f"www.{ZONE}"), f"www.{ZONE}"))
    assert len(dnssec.signatures) == 0


async def test_answers_from_the_memo_are_counted_as_hits() -> None:
    dnssec = plugin()
    request = request_for(f"www.{ZONE}", plugins=[dnssec, Last(address(f"www.{ZONE}"))], do=True)
    service, memo = request.listener.service, Memo()
    request.listener.memo = memo
    for _ in range(2):
        service.serve(request.wire, b"", request.listener, 0)
    (entry,) = memo.entries.values()
    entry.hits = 7
    memo.count_all()
    assert counts(dnssec) == (1 + 7, 1)


async def test_a_reload_keeps_signatures_of_the_same_keys_only() -> None:
    old = plugin()
    await reply(old, address(f"www.{ZONE}"), f"www.{ZONE}")
    same, other = plugin(), plugin([KSK])
    for new, expected in ((same, 1), (other, 0)):
        new.take_over(old)
        assert len(new.signatures) == expected


async def test_flood_keeps_a_denials_gist_for_the_cache() -> None:
    request = request_for(f"no.{ZONE}", plugins=[plugin(), Last(denied())], do=True)
    response = await request.listener.service.zones[b"\0"][0].handle(request)
    assert response.gist == SOA
    assert response.alike().gist == b""
