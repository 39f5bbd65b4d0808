"""Which sets are signed, by which keys' leave, and what is left alone."""

import asyncio

import pytest

from pycoredns.answer import Pending
from pycoredns.dnssec.keyfiles import new_key
from pycoredns.dnssec.keys import Times
from pycoredns.dnssec.signing import rrsig
from pycoredns.plugins.dnssec.tests.support import (
    KEY,
    LONGEST,
    ORIGIN,
    SOA,
    ZONE,
    a_record,
    address,
    denied,
    plugin,
    reply,
    sections,
    validated,
)
from pycoredns.query import TC
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record

SIGNED = {
    "address": (address(f"www.{ZONE}"), "www", "A", ["www A"]),
    "upper case": (address(f"wWw.{ZONE}"), "wWw", "A", ["wWw A"]),
    "several, unsorted, one twice": (
        sections(*[a_record(f"www.{ZONE}", rdata=bytes((192, 0, 2, last))) for last in (9, 1, 5, 1)]), "www", "A", ["www A"],
    ),
    "names in RDATA in upper case": (
        sections(a_record(f"m.{ZONE}", types.MX, b"\0\x0a\4MAIL" + ORIGIN)), "m", "MX", ["m MX"],
    ),
    "a wildcard's own name": (address(f"*.{ZONE}"), "*", "A", ["* A"]),
    "odd labels": (address(rf"a\000\046\255b._-.{ZONE}"), r"a\000\046\255b._-", "A", [r"a\000\.\255b._- A"]),
    "the longest name": (address(LONGEST), LONGEST.removesuffix(f".{ZONE}"), "A", [LONGEST.removesuffix(f".{ZONE}") + " A"]),
    "SOA at the apex": (sections(Record(ORIGIN, types.SOA, 1, 60, SOA[23:])), "", "SOA", [" SOA"]),
    "aliases, authority and additional": (
        sections(
            a_record(f"al.{ZONE}", types.CNAME, b"\3www" + ORIGIN), a_record(f"www.{ZONE}"),
            authority=[a_record(ZONE, types.NS, b"\2ns" + ORIGIN)], additional=[a_record(f"ns.{ZONE}")],
        ),
        "al", "A", ["al CNAME", "www A", " NS", "ns A"],
    ),
    "not what lies outside": (
        sections(a_record(f"al.{ZONE}", types.CNAME, b"\3www\3net\0"), a_record("www.net")), "al", "A", ["al CNAME"],
    ),
    "an error's records": (sections(rcode=types.SERVFAIL, additional=[a_record(f"ns.{ZONE}")]), "www", "A", ["ns A"]),
}  # fmt: skip


def full(words: str) -> str:
    """`www A` with its zone."""
    name, _, rtype = words.rpartition(" ")
    return f"{name + '.' if name else ''}{ZONE}. {rtype}"


@pytest.mark.parametrize(("behind", "label", "qtype", "expected"), SIGNED.values(), ids=SIGNED)
async def test_signs(behind: Response, label: str, qtype: str, expected: list[str]) -> None:
    dnssec = plugin()
    message = await reply(dnssec, behind, f"{label}.{ZONE}" if label else ZONE, qtype)
    assert await validated(dnssec, message) == [full(words) for words in expected]


@pytest.mark.parametrize("algorithm", [8, 10, 13, 14, 15])
async def test_signs_with_each_algorithm(algorithm: int) -> None:
    dnssec = plugin([new_key(ORIGIN, algorithm, True, Times())])
    for behind in (address(f"www.{ZONE}"), denied()):
        assert await validated(dnssec, await reply(dnssec, behind, f"www.{ZONE}"))


UNSIGNED = {
    "no DO": (address(f"www.{ZONE}"), f"www.{ZONE}", False),
    "another zone": (address("www.example.net"), "www.example.net", True),
    "a denial without SOA": (Response(types.NXDOMAIN), f"www.{ZONE}", True),
    "a denial with more than its SOA": (Response(types.NXDOMAIN, authority=SOA + SOA, authorities=2), f"www.{ZONE}", True),
    "truncated": (address(f"www.{ZONE}").alike(flags=TC), f"www.{ZONE}", True),
}


@pytest.mark.parametrize(("behind", "name", "do"), UNSIGNED.values(), ids=UNSIGNED)
async def test_leaves_alone(behind: Response, name: str, do: bool) -> None:
    request = request_for(name, plugins=[plugin(), Last(behind)], do=do)
    assert await request.listener.service.zones[b"\0"][0].handle(request) is behind


async def test_leaves_transfers_alone() -> None:
    behind = address(f"www.{ZONE}")
    for qtype in ("AXFR", "IXFR"):
        request = request_for(ZONE, qtype, plugins=[plugin(), Last(behind)], do=True)
        assert await request.listener.service.zones[b"\0"][0].handle(request) is behind


async def test_waits_for_an_answer_that_comes_later() -> None:
    dnssec, later = plugin(), Pending()
    asked = asyncio.ensure_future(reply(dnssec, Last(lambda request: later), f"www.{ZONE}"))
    await asyncio.sleep(0)
    later.resolve(address(f"www.{ZONE}"))
    assert await validated(dnssec, await asked)


async def test_original_ttl_is_3600_or_what_is_more() -> None:
    for ttl, original in ((5, 3600), (3600, 3600), (86400, 86400)):
        message = await reply(plugin(), address(f"www.{ZONE}", ttl), f"www.{ZONE}")
        signature = message.answer[1]
        assert (signature.ttl, signature[0].original_ttl) == (ttl, original)


async def test_own_signatures_and_those_of_other_zones_stand_but_those_of_unknown_keys_do_not_suffice() -> None:
    plain, now = a_record(f"www.{ZONE}"), 4_000_000_000
    other = new_key(ORIGIN, 13, True, Times())
    for signer, expected in ((KEY, 1), (KEY.for_zone(names.from_text(f"sub.{ZONE}")), 1), (other, 2)):
        signature = rrsig(signer, plain.name, types.A, 300, [plain.rdata], 0, now)
        message = await reply(plugin(), sections(plain, signature), f"www.{ZONE}")
        assert len(message.answer[1]) == expected


@pytest.mark.parametrize("rdata", [b"", b"\0\1" + bytes(16), b"\0\1" + bytes(17), b"\0\1" + bytes(16) + b"\3org\0"])
async def test_broken_signatures_and_those_of_zones_above_do_not_count(rdata: bytes) -> None:
    plain = a_record(f"www.{ZONE}")
    behind = sections(plain, Record(plain.name, types.RRSIG, types.IN, 300, rdata))
    request = request_for(f"www.{ZONE}", plugins=[plugin(), Last(behind)], do=True)
    assert (await request.listener.service.zones[b"\0"][0].handle(request)).answers == 3


@pytest.mark.parametrize("section", ["additional", "authority"])
def test_no_more_is_signed_than_a_message_can_hold(section: str) -> None:
    """Hundreds of targets that are signed one by one would take the time of thousands of questions."""
    number = 300
    services = [a_record(ZONE, types.SRV, b"\0\1\0\1\0\1" + names.from_text(f"n{each}.{ZONE}")) for each in range(number)]
    answer = sections(*services, **{section: [a_record(f"n{each}.{ZONE}") for each in range(number)]})  # type: ignore[arg-type]
    dnssec = plugin()
    small = request_for(ZONE, "SRV", plugins=[dnssec, Last(answer)], zone=ZONE, do=True, size=1232)
    large = request_for(ZONE, "SRV", plugins=[dnssec, Last(answer)], zone=ZONE, do=True, protocol="tcp")
    cut, signed = dnssec.handle(small), len(dnssec.signatures)
    whole = dnssec.handle(large)
    assert isinstance(cut, Response)
    assert isinstance(whole, Response)
    assert signed < 1232 // 64 + 2
    assert (cut.truncated, whole.truncated, len(dnssec.signatures)) == (True, False, number + 1)
    assert cut.reply(small) == whole.reply(small)
