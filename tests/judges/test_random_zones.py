"""Zones at random, served by us and by CoreDNS, NSD and Knot DNS: the same questions get the same answers, or it is said why not.

ZONES=40 QUESTIONS=2500 pytest tests/judges/test_random_zones.py asks 100,000; SEED=7 begins with another zone.
"""

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from benchmarks.harness.programs import MissingProgram, find_coredns
from tests.judges.name_servers import NameServer, serving
from tests.judges.programs import program
from tests.judges.random_zones import RandomZone, questions, random_zone

ZONES, QUESTIONS, SEED = (int(os.environ.get(name, usual)) for name, usual in (("ZONES", 4), ("QUESTIONS", 150), ("SEED", 1)))


class Seen(NamedTuple):
    """What of an answer is compared."""

    rcode: int
    authoritative: bool
    answer: Counter[str]
    authority: Counter[str]
    additional: Counter[str]


def seen(message: dns.message.Message) -> Seen:
    """Names in lower case, as servers differ in whose case they repeat."""
    sections = (Counter(_records(section)) for section in (message.answer, message.authority, message.additional))
    return Seen(message.rcode(), bool(message.flags & dns.flags.AA), *sections)


def _records(section: list[dns.rrset.RRset]) -> Iterator[str]:
    for found in section:
        for data in found:
            yield f"{found.name} {found.ttl} {dns.rdatatype.to_text(found.rdtype)} {data}".lower()


def essence(message: dns.message.Message) -> tuple[object, ...]:
    """What all servers must say alike: neither NS records with positive answers, nor what is additional; no TTL of a SOA."""
    found = seen(message)
    kept = {each.split(" ", 2)[2] if _kind(each) == "soa" else each for each in found.authority if _must_be_there(each, found)}
    return found.rcode, found.authoritative, frozenset(found.answer), frozenset(kept)


def _kind(record: str) -> str:
    """The type of a record, or what a signature covers."""
    kind, data = record.split(" ")[2:4]
    return data if kind == "rrsig" else kind


def _must_be_there(record: str, found: Seen) -> bool:
    return _kind(record) in ("soa", "ds", "nsec", "nsec3") or (_kind(record) == "ns" and not found.authoritative)


class Case(NamedTuple):
    """A question, and what two servers say."""

    zone: RandomZone
    name: dns.name.Name
    qtype: str
    ours: dns.message.Message
    theirs: dns.message.Message

    def __str__(self) -> str:
        return f"{self.name} {self.qtype}\n--- ours\n{self.ours}\n--- theirs\n{self.theirs}\n"


def has_empty_name(case: Case) -> bool:
    """Beside a wildcard, CoreDNS takes an empty non-terminal for missing, and so do we; RFC 4592 §2.2.2 does not."""
    names = [dns.name.from_text(text, dns.name.from_text(case.zone.origin)) for text in case.zone.taken]
    aliases = [found.name for found in case.ours.answer] + [dns.name.from_text(str(data)) for data in _targets(case.ours)]
    return any(
        name not in names and any(other.is_subdomain(name) for other in names) and name.parent() != name
        for name in (case.name, *aliases)
    )


def _targets(message: dns.message.Message) -> Iterator[object]:
    for found in message.answer:
        if found.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.DNAME):
            yield from (data.target for data in found)


def ends_in_alias(case: Case) -> bool:
    """An alias to a name without such records: CoreDNS puts NS records where RFC 2308 §2.2 has the SOA, and so do we."""
    same = essence(case.ours)[:3] == essence(case.theirs)[:3]
    return same and bool(case.ours.answer) and case.ours.answer[-1].rdtype == dns.rdatatype.CNAME


def long_chain(case: Case) -> bool:
    """We follow as many aliases as CoreDNS does, others more, fewer, or the first turn of a loop."""
    aliases = [found for found in case.ours.answer if found.rdtype == dns.rdatatype.CNAME]
    theirs = [found for found in case.theirs.answer if found.rdtype == dns.rdatatype.CNAME]
    owners = {found.name for found in theirs}
    loops = case.ours.rcode() == dns.rcode.SERVFAIL and any(next(iter(found)).target in owners for found in theirs)
    return loops or max(len(aliases), len(theirs)) >= 8 or len(aliases) != len({found.name for found in aliases})


def coredns_loses_escapes(case: Case) -> bool:
    """CoreDNS mistakes the order of names that need escapes, and then finds no empty non-terminals; NSD and Knot DNS do."""
    ours, theirs = case.ours.rcode(), case.theirs.rcode()
    return "\\" in case.zone.text and has_empty_name(case) and (ours, theirs) == (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def coredns_loses_referral(case: Case) -> bool:
    """An alias below a cut, asked for NS or DS or by way of a wildcard: CoreDNS asks itself, and drops referral or SOA."""
    ours, theirs = seen(case.ours), seen(case.theirs)
    referred = any(found.rdtype == dns.rdatatype.NS and found.name not in _owners(case.theirs) for found in case.ours.authority)
    return ours.answer == theirs.answer and (referred or case.qtype in ("NS", "DS"))


def _owners(message: dns.message.Message) -> set[dns.name.Name]:
    return {found.name for found in message.authority}


def nsd_has_other_proofs(case: Case) -> bool:
    """NSD proves the closest encloser of a wildcard that is asked for by its own name, but not of one in an opt-out span.

    RFC 5155 §7.2.5 wants it where a wildcard stands for another name, and so does Knot DNS.
    """
    ours, theirs = essence(case.ours), essence(case.theirs)
    return ours[:3] == theirs[:3] and (_set(ours[3]) < _set(theirs[3]) or _set(theirs[3]) < _set(ours[3]))


def nobody_proves(case: Case) -> bool:
    """Opt-out leaves empty non-terminals above unsigned cuts without NSEC3: others prove nothing then, we what can be proved.

    RFC 5155 §7.2.1 calls that the closest provable encloser.
    """
    ours, theirs = ([found for found in each.authority if found.rdtype == dns.rdatatype.NSEC3] for each in case[3:])
    return bool(ours) and not theirs and case.ours.rcode() == case.theirs.rcode() and not case.ours.answer


def _set(found: object) -> frozenset[str]:
    assert isinstance(found, frozenset)
    return found


EXPLAINED: dict[str, tuple[Callable[[Case], bool], ...]] = {
    "coredns": (coredns_loses_escapes, coredns_loses_referral),
    "nsd": (has_empty_name, ends_in_alias, long_chain, nsd_has_other_proofs, nobody_proves),
    "knotd": (has_empty_name, ends_in_alias, long_chain, nobody_proves),
}
COMPARED: dict[str, Callable[[dns.message.Message], object]] = {"coredns": seen, "nsd": essence, "knotd": essence}


def differences(servers: list[NameServer], zone: RandomZone, do: bool = False) -> Iterator[str]:
    """Every answer that differs from ours for no reason we know."""
    ours, *others = servers
    for text, qtype in questions(zone, SEED, QUESTIONS):
        own = ours.ask(text, qtype, do)
        for other in others:
            case = Case(zone, dns.name.from_text(text), qtype, own, other.ask(text, qtype, do))
            look = COMPARED[other.name]
            if look(case.ours) != look(case.theirs) and not any(why(case) for why in EXPLAINED[other.name]):
                yield f"{other.name}: {case}"


def compare(folder: Path, names: list[str], zones: list[RandomZone], files: dict[str, Path], do: bool = False) -> None:
    """All servers are asked the same."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(name, files, folder / name)) for name in ("pycoredns", *names)]
        found = [difference for zone in zones for difference in differences(servers, zone, do)]
    assert not found, f"{len(found)} differences, the first:\n" + "\n".join(found[:3])


@pytest.fixture
def zones() -> list[RandomZone]:
    return [random_zone(seed) for seed in range(SEED, SEED + ZONES)]


def written(folder: Path, zones: list[RandomZone]) -> dict[str, Path]:
    """The master files by their origins."""
    files = {zone.origin: folder / f"{zone.origin}db" for zone in zones}
    for zone in zones:
        files[zone.origin].write_text(zone.text)
    return files


def test_coredns_says_the_same(tmp_path: Path, zones: list[RandomZone]) -> None:
    try:
        find_coredns()
    except MissingProgram as missing:
        pytest.skip(f"the answers are not compared with CoreDNS's: {missing}")
    compare(tmp_path, ["coredns"], zones, written(tmp_path, zones))


def test_nsd_and_knot_say_the_same(tmp_path: Path, zones: list[RandomZone]) -> None:
    program("nsd"), program("knotd")
    compare(tmp_path, ["nsd", "knotd"], zones, written(tmp_path, zones))


@pytest.mark.parametrize(
    ("options", "judges"),
    [
        # NSD takes a wildcard for the first of its siblings, though control characters precede it, and takes opt-out otherwise
        ((), ["knotd"]),
        (("-3", "-"), ["nsd", "knotd"]),
        (("-3", "abcd", "-H", "5"), ["nsd", "knotd"]),
        (("-3", "-", "-A"), ["knotd"]),
    ],
    ids=["nsec", "nsec3", "salt", "opt-out"],
)
def test_signed_zones_are_denied_alike(tmp_path: Path, options: tuple[str, ...], judges: list[str]) -> None:
    zones = [random_zone(seed, longest=253) for seed in range(SEED, SEED + max(ZONES // 4, 1))]
    files = {origin: _signed(path, origin, options) for origin, path in written(tmp_path, zones).items()}
    for judge in judges:
        program(judge)
    compare(tmp_path, judges, zones, files, do=True)


def _signed(path: Path, origin: str, options: tuple[str, ...]) -> Path:
    """The zone signed by BIND's tools with a fresh key."""
    keygen = [str(program("dnssec-keygen")), "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", str(path.parent), origin]
    key = subprocess.run(keygen, check=True, capture_output=True, text=True).stdout.strip()
    signed = path.with_suffix(".signed")
    sign = [
        str(program("dnssec-signzone")),
        "-q",
        "-P",
        "-z",
        "-S",
        "-K",
        str(path.parent),
        *options,
        "-o",
        origin,
        "-f",
        str(signed),
    ]
    subprocess.run([*sign, str(path)], check=True, capture_output=True, cwd=path.parent)
    assert key
    return signed
