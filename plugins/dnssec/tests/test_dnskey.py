"""What is shown of the keys, and which of them signs what."""

import dns.dnssec
import dns.flags
import dns.rdatatype
import pytest

from pycoredns.dnssec.keyfiles import new_key
from pycoredns.dnssec.keys import Times
from pycoredns.plugins.dnssec.tests.support import (
    KEY,
    KSK,
    ORIGIN,
    ZONE,
    ZSK,
    address,
    bits,
    denial_in,
    denied,
    plugin,
    reply,
    sections,
    validated,
)
from pycoredns.response import Response
from pycoredns.wire import names, types


async def test_dnskey_is_answered_and_signed_on_wish() -> None:
    for do, expected in ((False, ["DNSKEY"]), (True, ["DNSKEY", "RRSIG"])):
        message = await reply(plugin(), Response(types.SERVFAIL), "EXAMPLE.org", "DNSKEY", do)
        assert [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.answer] == expected
        assert message.flags & dns.flags.AA


async def test_dnskey_below_the_apex_is_asked_of_those_behind() -> None:
    assert not (await reply(plugin(), denied(0), f"www.{ZONE}", "DNSKEY", do=False)).answer


async def test_ksk_signs_the_keys_and_zsk_all_else() -> None:
    dnssec = plugin([KSK, ZSK])
    for behind, qtype, tag in ((Response(), "DNSKEY", KSK.tag), (address(ZONE), "A", ZSK.tag)):
        message = await reply(dnssec, behind, ZONE, qtype)
        assert await validated(dnssec, message)
        assert [signature.key_tag for signature in message.answer[1]] == [tag]


@pytest.mark.parametrize("entry_points", [[True], [True, False], [False]], ids=["csk", "split", "zsk"])
async def test_each_algorithm_signs_everything(entry_points: list[bool]) -> None:
    """An algorithm is replaced while keys of both are shown (RFC 4035 §2.2)."""
    dnssec = plugin([KSK, ZSK, *(new_key(ORIGIN, 15, each, Times()) for each in entry_points)])
    for behind, qtype in ((Response(), "DNSKEY"), (address(ZONE), "A")):
        message = await reply(dnssec, behind, ZONE, qtype)
        assert await validated(dnssec, message)
        assert sorted(signature.algorithm for signature in message.answer[1]) == [13, 15]


async def test_each_of_several_csks_signs() -> None:
    dnssec = plugin([KEY, KSK])
    message = await reply(dnssec, address(ZONE), ZONE)
    assert {signature.key_tag for signature in message.answer[1]} == {KEY.tag, KSK.tag}


async def test_cds_is_shown_between_its_times_and_then_not_denied() -> None:
    named = new_key(ORIGIN, 13, True, Times(syncpublish=0))
    dnssec = plugin([named])
    for qtype in ("CDS", "CDNSKEY"):
        assert await validated(dnssec, await reply(dnssec, denied(0), ZONE, qtype)) == [f"{ZONE}. {qtype}"]
    assert {"CDS", "CDNSKEY"} <= bits(denial_in(await reply(dnssec, denied(0), ZONE, "TXT")))
    for times in (Times(), Times(syncpublish=0, syncdelete=1), Times(syncpublish=9_999_999_999)):
        assert not (await reply(plugin([new_key(ORIGIN, 13, True, times)]), denied(0), ZONE, "CDS", do=False)).answer


async def test_key_of_a_zone_signs_those_below() -> None:
    dnssec = plugin(zones=[f"sub.{ZONE}"])
    message = await reply(dnssec, address(f"www.sub.{ZONE}"), f"www.sub.{ZONE}")
    assert await validated(dnssec, message, f"sub.{ZONE}")
    assert str(message.answer[1][0].signer) == f"sub.{ZONE}."


async def test_ds_belongs_to_the_zone_above() -> None:
    child = names.from_text(f"sub.{ZONE}")
    dnssec = plugin(zones=[f"sub.{ZONE}", ZONE])
    message = await reply(dnssec, sections(KEY.for_zone(child).ds()), f"sub.{ZONE}", "DS")
    assert await validated(dnssec, message) == [f"sub.{ZONE}. DS"]
