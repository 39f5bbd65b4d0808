"""That names and types are not there, proven in each of the three ways."""

from collections.abc import Sequence

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from pycoredns.plugins.dnssec.denial import successor
from pycoredns.plugins.dnssec.tests.support import LONGEST, ZONE, bits, denial_in, denied, plugin, reply, validated
from pycoredns.testing import Last, request_for
from pycoredns.wire import names, types


@pytest.mark.parametrize("denial", ["nsec", "compact", "nsec3"])
@pytest.mark.parametrize("label", ["no", "WwW", "*", r"\000", r"a\.b", "a.b.c.d", LONGEST.removesuffix(f".{ZONE}"), "x" * 63])
async def test_proves_that_a_name_is_not_there(denial: str, label: str) -> None:
    dnssec, name = plugin(denial=denial), f"{label}.{ZONE}"
    message = await reply(dnssec, denied(), name)
    proofs = [rrset for rrset in message.authority if rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)]
    assert len(await validated(dnssec, message)) == 1 + len(proofs)
    assert {rrset.ttl for rrset in message.authority} == {60}
    wire = names.from_text(name).lower()
    if denial == "nsec3":
        assert message.rcode() == types.NXDOMAIN
        assert_nsec3_denies(proofs, wire)
    else:
        (nsec,) = proofs
        assert message.rcode() == types.NOERROR
        assert nsec.name.to_text() == dns.name.from_text(name).to_text()  # in the client's case
        assert nsec.name < nsec[0].next
        assert "A" not in bits(nsec)
        assert ("NXNAME" in bits(nsec) or "TYPE128" in bits(nsec)) == (denial == "compact")


def assert_nsec3_denies(proofs: Sequence[dns.rrset.RRset], name: bytes) -> None:
    """RFC 5155 §8.4: the closest encloser is matched, the next closer name and the wildcard there are covered."""
    spans = {rrset.name.labels[0].decode().upper(): rrset[0].to_text().split()[4].upper() for rrset in proofs}
    parent = name[name[0] + 1 :]
    assert hashed(parent) in spans
    for absent in (name, b"\1*" + parent):
        assert any(owner < hashed(absent) < following for owner, following in spans.items())
        assert hashed(absent) not in spans


def hashed(name: bytes) -> str:
    """By dnspython."""
    return dns.dnssec.nsec3_hash(dns.name.from_wire(name, 0)[0], None, 0, 1)


@pytest.mark.parametrize("denial", ["nsec", "compact", "nsec3"])
@pytest.mark.parametrize(
    ("name", "qtype"), [("www", "AAAA"), ("www", "TXT"), ("WWW", "TYPE65280"), ("", "MX"), ("*.w", "A"), ("www", "DS")]
)
async def test_proves_that_a_type_is_not_there(denial: str, name: str, qtype: str) -> None:
    dnssec, full_name = plugin(denial=denial), f"{name}.{ZONE}".strip(".")
    message = await reply(dnssec, denied(types.NOERROR), full_name, qtype)
    (proof,) = [rrset for rrset in message.authority if rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.NSEC3)]
    assert len(await validated(dnssec, message)) == 2
    assert message.rcode() == types.NOERROR
    assert qtype not in bits(proof)
    assert not {"CNAME", "DNAME"} & bits(proof)
    assert ("NS" in bits(proof)) == ("SOA" in bits(proof)) == (not name)
    wire = names.from_text(full_name).lower()
    if denial == "nsec3":
        assert proof.name.labels[0].decode().upper() == hashed(wire)
    else:
        assert proof.name == dns.name.from_text(full_name)


async def test_nsec_lists_the_types_that_coredns_lists() -> None:
    nsec = denial_in(await reply(plugin(), denied(), f"no.{ZONE}", "TXT"))
    assert nsec[0].to_text() == rf"\000.no.{ZONE}. A HINFO AAAA LOC SRV CERT SSHFP RRSIG NSEC TLSA HIP OPENPGPKEY SPF"
    nsec = denial_in(await reply(plugin(), denied(), ZONE, "MX"))
    assert nsec[0].to_text() == (
        rf"\000.{ZONE}. A NS SOA HINFO TXT AAAA LOC SRV CERT SSHFP RRSIG NSEC DNSKEY TLSA HIP OPENPGPKEY SPF"
    )


@pytest.mark.parametrize("denial", ["nsec", "compact"])
async def test_nsec_itself_is_an_answer(denial: str) -> None:
    dnssec = plugin(denial=denial)
    message = await reply(dnssec, denied(types.NOERROR), f"www.{ZONE}", "NSEC")
    assert await validated(dnssec, message) == [f"www.{ZONE}. NSEC"]
    assert [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.answer] == ["NSEC", "RRSIG"]
    assert not message.authority


async def test_apex_is_never_missing() -> None:
    for denial in ("nsec", "compact", "nsec3"):
        message = await reply(plugin(denial=denial), denied(types.NXDOMAIN), ZONE, "TXT")
        assert message.rcode() == types.NOERROR
        assert len(message.authority) == 4


async def test_nsec3_says_how_it_hashes() -> None:
    message = await reply(plugin(denial="nsec3"), denied(0), ZONE, "NSEC3PARAM")
    assert message.answer[0][0].to_text() == "1 0 0 -"


async def test_nxname_is_nothing_to_be_asked_for() -> None:
    request = request_for(f"www.{ZONE}", "NXNAME", plugins=[plugin(denial="compact"), Last(denied())])
    wire = request.listener.service.serve(request.wire, b"", request.listener, 0)
    assert wire is not None
    assert wire[1] & 15 == types.FORMERR


@pytest.mark.parametrize("rcode", [types.SERVFAIL, types.REFUSED])
async def test_an_error_with_a_soa_stays_an_error(rcode: int) -> None:
    message = await reply(plugin(), denied(rcode), f"www.{ZONE}")
    assert message.rcode() == rcode
    assert [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.authority] == ["SOA", "RRSIG"]


def test_next_name_of_short_ones_is_the_first_below() -> None:
    assert [successor(name, b"\0") for name in (b"\0", b"\1a\0", b"\1b\1z\0")] == [b"\1\0\0", b"\1\0\1a\0", b"\1\0\1b\1z\0"]


def long_name(first: bytes, octets: int) -> bytes:
    """A name of so many octets that begins with a label."""
    rest = octets - len(first) - 2
    middle = b"".join([b"\x3f" + b"m" * 63] * (rest // 64))
    left = rest - len(middle)
    return bytes((len(first),)) + first + (bytes((left - 1,)) + b"n" * (left - 1) if left > 1 else b"") + middle + b"\0"


@pytest.mark.parametrize(
    ("first", "octets", "following"),
    [
        (b"a" * 5, 254, b"a" * 5 + b"\0"),
        (b"a" * 5, 255, b"aaaab"),
        (b"a@", 255, b"a["),
        (b"a\xff\xff", 255, b"b"),
        (b"a\xff\xff", 254, b"a\xff\xff\0"),
        (b"x" * 63, 254, b"x" * 62 + b"y"),
    ],
)
def test_next_name_of_the_longest_is_beside_them(first: bytes, octets: int, following: bytes) -> None:
    name = long_name(first, octets)
    assert len(name) == octets
    expected = bytes((len(following),)) + following + name[name[0] + 1 :]
    assert successor(name, b"\0") == expected
    assert dns.name.from_wire(name, 0)[0] < dns.name.from_wire(expected, 0)[0]


def test_behind_the_last_name_comes_the_apex() -> None:
    name = long_name(b"\xff", 255)
    origin = name[2:]
    assert successor(name, origin) == origin
