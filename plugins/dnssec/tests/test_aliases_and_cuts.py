"""What is proven where an alias leads on or a zone is cut (RFC 4035 §3.1.4)."""

import dns.flags
import dns.rdatatype
import pytest

from pycoredns.plugins.dnssec.tests.support import (
    KEY,
    ORIGIN,
    SOA_RECORD,
    ZONE,
    a_record,
    all_of,
    bits,
    denied,
    plugin,
    reply,
    sections,
    validated,
)
from pycoredns.response import Response
from pycoredns.testing import Last
from pycoredns.wire import names, types
from pycoredns.wire.message import Record

CNAME = a_record(f"al.{ZONE}", types.CNAME, b"\3WWW" + ORIGIN)
MORE = a_record(f"www.{ZONE}", types.CNAME, b"\3end" + ORIGIN)


@pytest.mark.parametrize("denial", ["nsec", "compact", "nsec3"])
@pytest.mark.parametrize("rcode", [types.NOERROR, types.NXDOMAIN])
@pytest.mark.parametrize(("chain", "end"), [((CNAME,), "www"), ((CNAME, MORE), "end")])
async def test_proves_that_aliases_lead_nowhere(denial: str, rcode: int, chain: tuple[Record, ...], end: str) -> None:
    dnssec = plugin(denial=denial)
    message = await reply(dnssec, sections(*chain, authority=[SOA_RECORD], rcode=rcode), f"al.{ZONE}")
    signed = await validated(dnssec, message)
    assert signed[: len(chain)] == [f"al.{ZONE}. CNAME", f"www.{ZONE}. CNAME"][: len(chain)]
    assert signed[len(chain)] == f"{ZONE}. SOA"
    if denial == "nsec3":
        assert message.rcode() == rcode
        assert len(signed) == len(chain) + (4 if rcode else 2)
    else:
        assert message.rcode() == types.NOERROR
        assert signed[-1] == f"{end}.{ZONE}. NSEC"


async def test_aliases_that_lead_out_or_round_need_no_proof() -> None:
    out = a_record(f"al.{ZONE}", types.CNAME, b"\3www\3net\0")
    back = a_record(f"www.{ZONE}", types.CNAME, b"\2al" + ORIGIN)
    for chain in ([out], [CNAME, back]):
        message = await reply(plugin(), sections(*chain, authority=[SOA_RECORD]), f"al.{ZONE}")
        assert not [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.NSEC]


async def test_an_alias_that_was_asked_for_needs_no_proof() -> None:
    for qtype in ("CNAME", "ANY"):
        message = await reply(plugin(), sections(CNAME, authority=[SOA_RECORD]), f"al.{ZONE}", qtype)
        assert not [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.NSEC]


async def test_what_is_answered_under_another_name_is_not_denied() -> None:
    message = await reply(plugin(), sections(a_record(f"other.{ZONE}"), authority=[SOA_RECORD]), f"www.{ZONE}")
    assert not [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.NSEC]


CUT = a_record(f"Sub.{ZONE}", types.NS, b"\2ns\3sub" + ORIGIN)
GLUE = a_record(f"ns.sub.{ZONE}")
DS = KEY.for_zone(names.from_text(f"Sub.{ZONE}")).ds()


@pytest.mark.parametrize("denial", ["nsec", "compact", "nsec3"])
async def test_delegation_without_ds_is_proven_insecure(denial: str) -> None:
    dnssec = plugin(denial=denial)
    delegation = sections(authority=[CUT], additional=[GLUE]).alike(flags=0)
    message = await reply(dnssec, delegation, f"www.sub.{ZONE}")
    (signed,) = await validated(dnssec, message)
    (proof,) = [rrset for rrset in message.authority if rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)]
    assert "NS" in bits(proof)
    assert not {"DS", "SOA"} & bits(proof)
    assert proof.rdtype == dns.rdatatype.NSEC3 or signed.lower() == f"sub.{ZONE}. nsec"
    assert not message.flags & dns.flags.AA
    assert [str(rrset.name).lower() for rrset in message.additional] == [f"ns.sub.{ZONE}."]


async def test_ds_of_a_delegation_is_signed_and_nothing_else() -> None:
    dnssec = plugin()
    message = await reply(dnssec, sections(authority=[CUT, DS], additional=[GLUE]), f"sub.{ZONE}")
    assert await validated(dnssec, message) == [f"Sub.{ZONE}. DS"]
    assert not [rrset for rrset in all_of(message) if rrset.rdtype == dns.rdatatype.NSEC]


@pytest.mark.parametrize(
    ("servers", "cut"),
    [
        (sections(authority=[CUT]), True),
        (sections(CUT), True),
        (denied(0), False),
        (sections(authority=[a_record(ZONE, types.NS)]), False),
    ],
)
@pytest.mark.parametrize("denial", ["nsec", "compact", "nsec3"])
async def test_only_where_a_zone_begins_does_the_denial_of_ds_say_so(servers: Response, cut: bool, denial: str) -> None:
    last = Last(lambda request: servers if request.qtype == types.NS else denied(0))
    dnssec = plugin(denial=denial)
    message = await reply(dnssec, last, f"sub.{ZONE}", "DS")
    assert len(await validated(dnssec, message)) == 2
    (proof,) = [rrset for rrset in message.authority if rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)]
    assert ("NS" in bits(proof)) is cut
