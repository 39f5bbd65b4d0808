"""One record of the name and type that were asked for is signed by a short way, and as any other."""

import time

import dns.name
import dns.rdatatype
import pytest

from pycoredns.dnssec.keys import Key
from pycoredns.plugins.dnssec.tests.support import KEY, KSK, ORIGIN, ZONE, ZSK, a_record, plugin, reply, sections, validated
from pycoredns.testing import Last
from pycoredns.wire import names, types

HOST = names.from_text(f"MIXED.{ZONE}")
RECORDS = {
    "A": (types.A, b"\xc0\0\2\1"),
    "TXT": (types.TXT, b"\4TEXT"),
    "CNAME": (types.CNAME, HOST),
    "MX": (types.MX, b"\0\x0a" + HOST),
    "SRV": (types.SRV, b"\0\1\0\2\0\x35" + HOST),
    "NAPTR": (35, b"\0\1\0\2\1U\3SIP\0" + HOST),
    "SOA": (types.SOA, HOST + HOST + b"A" * 20),
    "DS": (types.DS, b"AB\x0d\2" + b"C" * 32),
}


@pytest.mark.parametrize("qtype", RECORDS)
async def test_names_in_any_type_are_signed_in_lower_case_and_shown_as_they_are(qtype: str) -> None:
    record = a_record(f"www.{ZONE}", *RECORDS[qtype])
    dnssec = plugin()
    message = await reply(dnssec, sections(record), f"www.{ZONE}", qtype)
    assert await validated(dnssec, message) == [f"www.{ZONE}. {qtype}"]
    assert message.answer[0][0].to_wire() == record.rdata


@pytest.mark.parametrize("keys", [[KEY], [KSK, ZSK], [KEY, KSK]], ids=["one", "split", "two"])
async def test_every_key_for_data_signs(keys: list[Key]) -> None:
    dnssec = plugin(keys)
    message = await reply(dnssec, sections(a_record(f"www.{ZONE}")), f"www.{ZONE}")
    assert await validated(dnssec, message)
    expected = [ZSK.tag] if ZSK in keys else [key.tag for key in keys]
    assert sorted(rdata.key_tag for rdata in message.answer[1]) == sorted(expected)


@pytest.mark.parametrize(("ttl", "original"), [(0, 3600), (300, 3600), (3600, 3600), (3601, 3601), (0x7FFFFFFF, 0x7FFFFFFF)])
async def test_a_ttl_that_may_have_been_counted_down_is_signed_as_an_hour(ttl: int, original: int) -> None:
    message = await reply(plugin(), sections(a_record(f"www.{ZONE}", ttl=ttl)), f"www.{ZONE}")
    assert (message.answer[1].ttl, message.answer[1][0].original_ttl) == (ttl, original)


@pytest.mark.parametrize(("asked", "there"), [("WwW", "WwW"), ("WwW", "www"), ("www", "WWW")])
async def test_case_is_kept_and_not_signed(asked: str, there: str) -> None:
    dnssec = plugin()
    message = await reply(dnssec, sections(a_record(f"{there}.{ZONE}")), f"{asked}.{ZONE}")
    assert await validated(dnssec, message) == [f"{there}.{ZONE}. A"]
    assert {rrset.name.labels[0].decode() for rrset in message.answer} == {there}


async def test_the_labels_of_each_owner_are_counted_though_signatures_of_one_second_begin_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dnssec = plugin()
    now = time.time()
    dnssec.signatures._clock = lambda: now
    owners = {"a": 3, "*": 2, "b": 3, "a.*": 4, "*.a": 3, "a.a": 4, "*.*": 3, "@": 2}
    last = Last(lambda request: sections(a_record(names.to_text(request.name))))
    for _ in range(2):
        for owner, labels in owners.items():
            name = ZONE if owner == "@" else f"{owner}.{ZONE}"
            message = await reply(dnssec, last, name)
            assert message.answer[1][0].labels == labels, name
    assert await validated(dnssec, message)


async def test_a_signature_that_was_asked_for_itself_is_not_signed() -> None:
    theirs = a_record(f"www.{ZONE}", types.RRSIG, bytes(18) + ORIGIN + bytes(64))
    message = await reply(plugin(), sections(theirs), f"www.{ZONE}", "RRSIG")
    assert [(rrset.rdtype, len(rrset)) for rrset in message.answer] == [(dns.rdatatype.RRSIG, 1)]


async def test_a_record_of_another_name_is_signed_by_the_zone_of_that_name() -> None:
    dnssec = plugin(zones=[ZONE, f"sub.{ZONE}"])
    message = await reply(dnssec, sections(a_record(f"www.sub.{ZONE}")), f"www.{ZONE}")
    assert message.answer[1][0].signer == dns.name.from_text(f"sub.{ZONE}")
