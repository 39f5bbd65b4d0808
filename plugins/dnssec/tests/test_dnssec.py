"""What is signed and what is proven, judged by dnspython; the tools of other people judge in tests/judges."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from pycoredns.answer import Pending
from pycoredns.dnssec.keyfiles import new_key
from pycoredns.dnssec.keys import Key, Times
from pycoredns.dnssec.signing import rrsig
from pycoredns.memo import Memo
from pycoredns.plugins.dnssec import Dnssec
from pycoredns.plugins.dnssec.denial import successor
from pycoredns.plugins.dnssec.options import KeySource
from pycoredns.plugins.dnssec.signatures import DAY
from pycoredns.request import TC, Request
from pycoredns.response import Response
from pycoredns.testing import Last, query_wire, request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record, record

ZONE = "example.org"
ORIGIN = names.from_text(ZONE)
KEY = new_key(ORIGIN, 13, True, Times())
KSK, ZSK = new_key(ORIGIN, 13, True, Times()), new_key(ORIGIN, 15, False, Times())
ADDRESS, TEXT = b"\xc0\0\2\1", b"\4text"
SOA = record(ORIGIN, types.SOA, 60, b"\2NS" + ORIGIN + b"\4host" + ORIGIN + bytes(16) + b"\0\0\0\x3c")
LONGEST = ".".join(["x" * 63] * 3 + ["x" * 49]) + "." + ZONE  # 255 octets with its zone


def plugin(keys: Sequence[Key] = (KEY,), zones: Sequence[str] = (ZONE,), **options: object) -> Dnssec:
    source = KeySource(keys=tuple((Path(key.base), key) for key in keys))
    origins = tuple(names.from_text(zone) for zone in zones)
    return Dnssec(zones=origins, key=(source,), **options)  # type: ignore[arg-type]


def address(name: str, ttl: int = 300, rdata: bytes = ADDRESS) -> Response:
    return Response(answer=record(names.from_text(name), types.A, ttl, rdata), answers=1)


def denied(rcode: int = types.NXDOMAIN) -> Response:
    return Response(rcode, authority=SOA, authorities=1)


def sections(*answer: Record, authority: Sequence[Record] = (), additional: Sequence[Record] = (), rcode: int = 0) -> Response:
    return Response.of(answer, authority, additional, rcode)


def a_record(name: str, rtype: int = types.A, rdata: bytes = ADDRESS, ttl: int = 300) -> Record:
    return Record(names.from_text(name), rtype, types.IN, ttl, rdata)


async def reply(dnssec: Dnssec, behind: Response | Last, name: str, qtype: str = "A", do: bool = True) -> dns.message.Message:
    """What a client with enough room gets."""
    last = behind if isinstance(behind, Last) else Last(behind)
    request = request_for(name, qtype, plugins=[dnssec, last], do=do, protocol="tcp")
    block = request.listener.service.zones[b"\0"][0]
    response = await block.handle(request)
    return dns.message.from_wire(request.wire[:2] + response.reply(request))


async def validated(dnssec: Dnssec, message: dns.message.Message, zone: str = ZONE) -> list[str]:
    """The sets that are signed, as `owner TYPE`; raises ValidationFailure where a signature is wrong."""
    shown = await reply(dnssec, Response(), zone, "DNSKEY")
    origin = dns.name.from_text(zone)
    keys = {origin: shown.get_rrset(shown.answer, origin, 1, dns.rdatatype.DNSKEY)}
    signed = []
    for section in (message.answer, message.authority, message.additional):
        for rrset in section:
            found = message.get_rrset(section, rrset.name, 1, dns.rdatatype.RRSIG, rrset.rdtype)
            if found is not None:
                dns.dnssec.validate(rrset, found, keys)  # type: ignore[arg-type]
                signed.append(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}")
    return signed


def all_of(message: dns.message.Message) -> list[dns.rrset.RRset]:
    return [*message.answer, *message.authority, *message.additional]


def denial_in(message: dns.message.Message) -> dns.rrset.RRset:
    (found,) = [rrset for rrset in all_of(message) if rrset.rdtype == dns.rdatatype.NSEC]
    return found


def bits(rrset: dns.rrset.RRset) -> set[str]:
    return set(rrset[0].to_text().split()[1:]) if rrset.rdtype == dns.rdatatype.NSEC else set(rrset[0].to_text().split()[5:])


# --- what is signed

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


# --- what is shown of the keys


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


# --- what is proven


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


CNAME = a_record(f"al.{ZONE}", types.CNAME, b"\3WWW" + ORIGIN)
MORE = a_record(f"www.{ZONE}", types.CNAME, b"\3end" + ORIGIN)
SOA_RECORD = Record(ORIGIN, types.SOA, types.IN, 60, SOA[23:])


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


@pytest.mark.parametrize("rcode", [types.SERVFAIL, types.REFUSED])
async def test_an_error_with_a_soa_stays_an_error(rcode: int) -> None:
    message = await reply(plugin(), denied(rcode), f"www.{ZONE}")
    assert message.rcode() == rcode
    assert [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.authority] == ["SOA", "RRSIG"]


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


# --- what is kept


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
    monkeypatch.setattr("pycoredns.plugins.dnssec.dnssec.monotonic", lambda: 1000.0)
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
