"""What a zone answers, section by section."""

from pathlib import Path
from typing import NamedTuple

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from pycoredns.errors import Dropped, Refused
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.testing import Last, ask, request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.holder import HoldsZones
from pycoredns.zone.reading import read_zone
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("example.org")
ZONE = f"""\
$TTL 300
@        SOA ns host 1 3600 600 86400 60
@        NS  ns
@        NS  ns.other.
@        MX  5 www
@        TXT "apex"
ns       A   192.0.2.1
www      A   192.0.2.2
www      A   192.0.2.3
www 60   AAAA 2001:db8::2
MiXed    CNAME WWW
far      CNAME mixed
dangling CNAME nothere
away     CNAME www.elsewhere.
toapex   CNAME @
loop1    CNAME loop2
loop2    CNAME loop1
into     CNAME x.kid
a.b.ent  A   192.0.2.4
*.wild   A   192.0.2.5
*.wild   MX  5 www
deep.ent.wild A 192.0.2.6
*.alias  CNAME www
*.below  CNAME x.kid
twice    CNAME a.below
cut.wild NS  ns
*.empty.wild2 A 192.0.2.7
kid      NS  ns.kid
kid      NS  ns
kid      DS  1 13 1 {"ab" * 20}
ns.kid   A   192.0.2.8
hidden.kid TXT "never seen"
*.kid    A   192.0.2.98
*.old    A   192.0.2.99
plainkid NS  ns
old      DNAME new
old      TXT "beside"
www.new  A   192.0.2.9
x.old    A   192.0.2.10
_s._tcp  SRV 1 2 3 www
_s._tcp  SRV 1 2 4 ns.kid
both     CNAME www
both     A   192.0.2.11
"""
SOA = "example.org. 300 SOA ns.example.org. host.example.org. 1 3600 600 86400 60"
NS = ["example.org. 300 NS ns.example.org.", "example.org. 300 NS ns.other."]
WWW = ["www.example.org. 300 A 192.0.2.2", "www.example.org. 300 A 192.0.2.3"]
KID = ["kid.example.org. 300 NS ns.kid.example.org.", "kid.example.org. 300 NS ns.example.org."]
GLUE = ["ns.kid.example.org. 300 A 192.0.2.8"]
SRV = [f"_s._tcp.example.org. 300 SRV 1 2 {rest}" for rest in ("3 www.example.org.", "4 ns.kid.example.org.")]
DNAME = "old.example.org. 300 DNAME new.example.org."
TWICE = ["twice.example.org. 300 CNAME a.below.example.org.", "a.below.example.org. 300 CNAME x.kid.example.org."]
CHAIN = [f"loop{number}.example.org. 300 CNAME loop{3 - number}.example.org." for number in (1, 2)] * 5


class Holder(HoldsZones):
    """Holds what it is given."""

    name = "holder"


class Expected(NamedTuple):
    """What a question gets; lines of `name TTL TYPE data`."""

    question: str
    answer: list[str] = []  # noqa: RUF012  a tuple's default
    authority: list[str] = NS
    additional: list[str] = []  # noqa: RUF012
    rcode: int = types.NOERROR
    authoritative: bool = True


def denied(question: str, rcode: int = types.NOERROR) -> Expected:
    return Expected(question, [], [SOA], rcode=rcode)


def shown(records: list[Record]) -> list[str]:
    found = []
    for record in records:
        data = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType(record.rtype), record.rdata, 0, len(record.rdata))
        found.append(f"{names.to_text(record.name)} {record.ttl} {types.type_text(record.rtype)} {data}")
    return found


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Zone:
    path = tmp_path_factory.mktemp("zone") / "db"
    path.write_text(ZONE)
    return read_zone(path, ORIGIN)


def holder_of(zone: Zone) -> Holder:
    holder = Holder()
    holder.__post_init__()
    holder.hold(zone.origin)
    request_for("example.org", plugins=[holder])  # gives it a block
    holder.publish(zone)
    return holder


EXPECTED = [
    Expected("ns A", ["ns.example.org. 300 A 192.0.2.1"]),
    Expected("NS A", ["ns.example.org. 300 A 192.0.2.1"]),
    Expected("www A", WWW),
    Expected("www AAAA", ["www.example.org. 60 AAAA 2001:db8::2"]),
    Expected("@ SOA", [SOA]),
    Expected("@ NS", NS, [], ["ns.example.org. 300 A 192.0.2.1"]),
    Expected("@ MX", ["example.org. 300 MX 5 www.example.org."], NS, [*WWW, "www.example.org. 60 AAAA 2001:db8::2"]),
    Expected("_s._tcp SRV", SRV, NS, [*WWW, "www.example.org. 60 AAAA 2001:db8::2", *GLUE]),
    denied("www TXT"),
    denied("www ANY"),
    denied("nothere A", types.NXDOMAIN),
    denied("x.www A", types.NXDOMAIN),
    denied("b.ent A"),
    denied("ent TXT"),
    denied("x.b.ent A", types.NXDOMAIN),
    # aliases
    Expected("mixed A", ["mixed.example.org. 300 CNAME www.example.org.", *WWW]),
    Expected("mixed CNAME", ["mixed.example.org. 300 CNAME www.example.org."]),
    Expected("mixed TXT", ["mixed.example.org. 300 CNAME www.example.org."]),
    Expected("dangling A", ["dangling.example.org. 300 CNAME nothere.example.org."], [SOA], rcode=types.NXDOMAIN),
    Expected("away A", ["away.example.org. 300 CNAME www.elsewhere."]),
    Expected("toapex TXT", ["toapex.example.org. 300 CNAME example.org.", 'example.org. 300 TXT "apex"']),
    Expected("toapex NS", ["toapex.example.org. 300 CNAME example.org.", *NS]),
    Expected("mixed NS", ["mixed.example.org. 300 CNAME www.example.org."], [SOA]),
    Expected("far NS", ["far.example.org. 300 CNAME mixed.example.org.", "mixed.example.org. 300 CNAME www.example.org."]),
    Expected("loop1 A", CHAIN),
    Expected("loop1 NS", CHAIN[:9], rcode=types.SERVFAIL),
    Expected("both A", ["both.example.org. 300 CNAME www.example.org.", *WWW]),
    # wildcards
    Expected("x.wild A", ["x.wild.example.org. 300 A 192.0.2.5"]),
    Expected("cut.wild A", [], ["cut.wild.example.org. 300 NS ns.example.org."], authoritative=False),
    Expected("y.X.wild A", ["y.x.wild.example.org. 300 A 192.0.2.5"]),
    Expected("x.wild MX", ["x.wild.example.org. 300 MX 5 www.example.org."], NS, [*WWW, "www.example.org. 60 AAAA 2001:db8::2"]),
    denied("x.wild TXT"),
    denied("wild A"),
    Expected("*.wild A", ["*.wild.example.org. 300 A 192.0.2.5"]),
    Expected("ent.wild A", ["ent.wild.example.org. 300 A 192.0.2.5"]),
    denied("x.ent.wild A", types.NXDOMAIN),
    denied("x.deep.ent.wild A", types.NXDOMAIN),
    Expected("x.alias A", ["x.alias.example.org. 300 CNAME www.example.org.", *WWW]),
    Expected("twice A", TWICE, KID, GLUE),
    denied("empty.wild2 A"),
    denied("x.wild2 A", types.NXDOMAIN),
    # cuts
    Expected("kid A", [], KID, GLUE, authoritative=False),
    Expected("kid NS", [], KID, GLUE, authoritative=False),
    Expected("hidden.kid TXT", [], KID, GLUE, authoritative=False),
    Expected("ns.kid A", [], KID, GLUE, authoritative=False),
    Expected("x.kid DS", [], KID, GLUE, authoritative=False),
    Expected("kid DS", ["kid.example.org. 300 DS 1 13 1 " + 'ab' * 20]),
    denied("plainkid DS"),
    Expected("plainkid A", [], ["plainkid.example.org. 300 NS ns.example.org."], authoritative=False),
    Expected("into A", ["into.example.org. 300 CNAME x.kid.example.org."], KID, GLUE),
    # DNAME
    Expected("www.old A", [DNAME, "www.old.example.org. 300 CNAME www.new.example.org.", "www.new.example.org. 300 A 192.0.2.9"]),
    Expected("www.old CNAME", [DNAME, "www.old.example.org. 300 CNAME www.new.example.org."]),
    Expected("x.old A", [DNAME, "x.old.example.org. 300 CNAME x.new.example.org."], [SOA], rcode=types.NXDOMAIN),
    Expected("old TXT", ['old.example.org. 300 TXT "beside"']),
    Expected("old DNAME", ["old.example.org. 300 DNAME new.example.org."]),
]  # fmt: skip


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: expected.question)
async def test_answers(zone: Zone, expected: Expected) -> None:
    name, qtype = expected.question.split(" ")
    response = await _ask(zone, name, qtype)
    sections = response.sections()
    assert response.rcode == expected.rcode
    assert shown(sections.answer) == expected.answer
    assert shown(sections.authority) == expected.authority
    assert shown(sections.additional) == expected.additional
    assert response.authoritative == expected.authoritative
    assert (response.answers, response.authorities) == (len(sections.answer), len(sections.authority))


async def _ask(zone: Zone, name: str, qtype: str, behind: Last | None = None, **options: object) -> Response:
    holder = holder_of(zone)
    full = "example.org" if name == "@" else f"{name}.example.org"
    return await ask(holder, full, qtype, behind=behind, zone="example.org", **options)  # type: ignore[arg-type]  # checked there


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR"])
async def test_transfers_are_for_others(zone: Zone, qtype: str) -> None:
    with pytest.raises(Refused):
        await _ask(zone, "@", qtype)


@pytest.mark.parametrize(("qtype", "error"), [("AXFR", Refused), ("IXFR", Refused), ("SOA", Dropped)])
def test_a_notify_that_asks_for_a_transfer_is_refused(zone: Zone, qtype: str, error: type[Exception]) -> None:
    asked = request_for("example.org", qtype)
    wire = asked.wire[:2] + bytes((types.NOTIFY << 3,)) + asked.wire[3:]
    with pytest.raises(error):
        holder_of(zone).handle(Request.read(wire, asked.peer, asked.listener, 0))


@pytest.mark.parametrize(
    ("name", "passed"),
    [("nothere", True), ("ent", True), ("www", False), ("x.wild", False), ("x.ent.wild", True), ("kid", False)],
)
async def test_only_missing_names_fall_through(zone: Zone, name: str, passed: bool) -> None:
    found = []

    def missing(request: object) -> Response:
        found.append(request)
        return Response()

    request = request_for(f"{name}.example.org", "TXT")
    await zone.answer(request, missing)
    assert bool(found) == passed


@pytest.mark.parametrize(("more", "qtype", "passed"), [("", "A", True), ("", "NS", False), ("@ TXT t\n", "A", False)])
async def test_an_apex_without_records_of_its_own_falls_through_as_in_coredns(
    tmp_path: Path, more: str, qtype: str, passed: bool
) -> None:
    path = tmp_path / "db"
    path.write_text(f"$TTL 300\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n{more}")
    elsewhere = Response(types.REFUSED)
    response = await read_zone(path, ORIGIN).answer(request_for("example.org", qtype), lambda request: elsewhere)
    assert (response is elsewhere) == passed


@pytest.mark.parametrize(("more", "qtype"), [("", "NS"), ("", "A"), ("@ NS ns.other.\n", "A"), ("@ NS ns.other.\n", "DS")])
async def test_what_an_apex_lacks_is_denied_with_the_soa_as_no_type(tmp_path: Path, more: str, qtype: str) -> None:
    """In CoreDNS without the SOA, or as a name that is not there (RFC 2308 §2.2)."""
    path = tmp_path / "db"
    path.write_text(f"$TTL 300\n@ SOA ns host 1 3600 600 86400 60\n{more}")
    response = await read_zone(path, ORIGIN).answer(request_for("example.org", qtype))
    assert (response.rcode, shown(response.sections().authority)) == (types.NOERROR, [SOA])


@pytest.mark.parametrize(("qtype", "found"), [("SOA", types.SOA), ("NS", types.NS), ("A", types.CNAME)])
async def test_an_alias_at_the_apex_does_not_hide_the_zone(tmp_path: Path, qtype: str, found: int) -> None:
    path = tmp_path / "db"
    path.write_text("$TTL 300\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\n@ CNAME www\nwww A 192.0.2.1\n")
    response = await read_zone(path, ORIGIN).answer(request_for("example.org", qtype), None)
    assert response.sections().answer[0].rtype == found


async def test_what_nobody_takes_is_denied_by_the_zone(zone: Zone) -> None:
    response = await zone.answer(request_for("nothere.example.org"), lambda request: None)
    assert response.rcode == types.NXDOMAIN


def test_a_set_too_large_for_any_message_is_cut() -> None:
    records = [Record(ORIGIN, types.SOA, 1, 60, b"\0\0" + bytes(20))]
    records += [Record(b"\1x" + ORIGIN, types.A, 1, 60, number.to_bytes(4, "big")) for number in range(70_000)]
    response = Zone.of(ORIGIN, records).answer(request_for("x.example.org"))
    assert isinstance(response, Response)
    assert response.truncated
    assert response.answers == 4096


def test_a_dname_may_make_no_name_too_long() -> None:
    records = [
        Record(ORIGIN, types.SOA, 1, 60, b"\0\0" + bytes(20)),
        Record(b"\1d" + ORIGIN, types.DNAME, 1, 60, (b"\x3f" + b"x" * 63) * 3 + ORIGIN),
    ]
    long = ".".join(["y" * 60] * 3)
    response = Zone.of(ORIGIN, records).answer(request_for(f"{long}.d.example.org"))
    assert isinstance(response, Response)
    assert response.rcode == 6
    assert response.answers == 1


def test_a_zone_streams_its_records_soa_first_and_once(zone: Zone, tmp_path: Path) -> None:
    found = list(zone.records())
    assert found[0] == zone.soa()
    assert [record.rtype for record in found].count(types.SOA) == 1
    assert len(found) == ZONE.count("\n") - 1
    again = Zone.of(ORIGIN, found)
    assert sorted(again.records()) == sorted(found)


def test_of_several_soa_records_the_last_counts() -> None:
    soas = [Record(ORIGIN, types.SOA, 1, 60, b"\0\0" + bytes([0, 0, 0, serial]) + bytes(16)) for serial in (1, 2)]
    assert Zone.of(ORIGIN, soas).serial == 2
    assert len(list(Zone.of(ORIGIN, soas).records())) == 1


@pytest.mark.parametrize(("rdata", "additionals"), [(b"\0\1\3www\7example\3org\0", 3), (b"\0\1\3ww", 0), (b"\0\1\xc0\0", 0)])
async def test_the_targets_of_others_are_aided_as_far_as_they_can_be_read(zone: Zone, rdata: bytes, additionals: int) -> None:
    service = Response.of([Record(names.from_text("www.elsewhere"), types.HTTPS, 1, 60, rdata)])
    response = await ask(holder_of(zone), "away.example.org", "HTTPS", behind=Last(service))
    assert (response.answers, response.additionals) == (2, additionals)
