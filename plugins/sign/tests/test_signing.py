"""What a signed zone consists of, and how it is written."""

import stat
import subprocess

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest

from pycoredns.commands.zone import lines
from pycoredns.plugins.sign.options import read_signing_key
from pycoredns.plugins.sign.signing import Lifetime, SignedZone
from pycoredns.plugins.sign.state import DAY
from pycoredns.plugins.sign.tests.support import APEX, RICH, STALE, ZONE, work_in
from pycoredns.plugins.sign.worker import next_serial, perform, sign
from pycoredns.plugins.sign.writing import record_lines, replacing
from pycoredns.wire import types
from pycoredns.zone.reading import read_zone
from tests.judges.programs import program

NOW = 1_800_000_000
ORIGIN = dns.name.from_text("date.test")


def signed(work):
    """The records of a work's signed zone, by dnspython."""
    keys = [read_signing_key(base, ZONE) for base in work.keys]
    lines = record_lines(SignedZone(read_zone(work.source, ZONE), keys, 99, Lifetime(NOW - 100, NOW + 100)).records())
    return dns.zone.from_text("".join(lines), ORIGIN, relativize=False, check_origin=False)


def texts(zone, name, rtype):
    """RDATA of a set, sorted."""
    return sorted(rdata.to_text() for rdata in zone.find_rdataset(name, rtype))


@pytest.mark.parametrize("algorithm", [8, 10, 13, 14, 15])
def test_every_signature_verifies(tmp_path, algorithm):
    zone = signed(work_in(tmp_path, RICH, (algorithm,)))
    keys = {ORIGIN: zone.find_rrset("@", "DNSKEY")}
    covered = 0
    for name, node in zone.items():
        for rdataset in node:
            if rdataset.rdtype == dns.rdatatype.RRSIG:
                rrset = zone.find_rrset(name, rdataset.covers)
                dns.dnssec.validate(rrset, zone.find_rrset(name, "RRSIG", rdataset.covers), keys, now=NOW)
                assert rdataset.ttl == rrset.ttl == rdataset[0].original_ttl
                covered += 1
    assert covered == 35


def test_what_is_not_signed(tmp_path):
    zone = signed(work_in(tmp_path, RICH))

    def types(name):
        return {(rdataset.rdtype.name, rdataset.covers.name) for rdataset in zone.get_node(name)}

    assert types("kid") == {
        ("NS", "TYPE0"),
        ("A", "TYPE0"),
        ("DS", "TYPE0"),
        ("NSEC", "TYPE0"),
        ("RRSIG", "DS"),
        ("RRSIG", "NSEC"),
    }
    assert types("ns.kid") == {("A", "TYPE0")}
    assert types("far.off") == {("NS", "TYPE0"), ("NSEC", "TYPE0"), ("RRSIG", "NSEC")}
    assert types("below.turn") == {("A", "TYPE0")}


def test_the_chain_of_nsec_records(tmp_path):
    zone = signed(work_in(tmp_path, RICH))
    name, chain = "date.test.", []
    while len(chain) < 100:
        (text,) = texts(zone, name, "NSEC")
        name, _, there = text.partition(" ")
        chain.append((name, there))
        if name == "date.test.":
            break
    expected = sorted(
        name for name, node in zone.items() if node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.NSEC) and name != ORIGIN
    )
    assert [dns.name.from_text(name) for name, _ in chain[:-1]] == expected
    assert texts(zone, "@", "NSEC")[0].endswith(" NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY")
    assert texts(zone, "kid", "NSEC")[0].endswith(" NS DS RRSIG NSEC")
    assert texts(zone, "unknown", "NSEC")[0].endswith(" RRSIG NSEC TYPE65280")
    assert zone.get_node("a") is None


@pytest.mark.parametrize(("soa_ttl", "expected"), [(300, 60), (30, 30)])
def test_nsec_ttl_is_the_smaller_of_the_soas_ttl_and_minimum(tmp_path, soa_ttl, expected):
    zone = signed(work_in(tmp_path, APEX.replace("@ IN SOA", f"@ {soa_ttl} IN SOA")))
    assert zone.find_rdataset("ns", "NSEC").ttl == expected


def test_the_keys_are_in_the_zone(tmp_path):
    work = work_in(tmp_path, algorithms=(13, 15))
    zone = signed(work)
    keys = [read_signing_key(base, ZONE) for base in work.keys]
    assert {rdata.to_text() for rdata in zone.find_rdataset("@", "CDNSKEY")} == set(texts(zone, "@", "DNSKEY"))
    assert sorted((cds.key_tag, cds.digest_type) for cds in zone.find_rdataset("@", "CDS")) == sorted(
        (key.tag, digest) for key in keys for digest in (1, 2)
    )
    made = {
        dns.dnssec.make_ds(ORIGIN, key, digest, policy=dns.dnssec.allow_all_policy).to_text()
        for key in zone.find_rdataset("@", "DNSKEY")
        for digest in ("SHA1", "SHA256")
    }
    assert {cds.to_text() for cds in zone.find_rdataset("@", "CDS")} == made
    assert sorted(rrsig.key_tag for rrsig in zone.find_rdataset("ns", "RRSIG", "A")) == sorted(key.tag for key in keys)


def test_what_an_earlier_signer_left_is_replaced(tmp_path):
    work = work_in(tmp_path, RICH)

    def unsigned(zone):
        return {
            (name, rdataset.rdtype, str(rdataset)) for name, node in zone.items() for rdataset in node if rdataset.rdtype != 46
        }

    clean = unsigned(signed(work))
    work.source.write_text(RICH + STALE)
    assert unsigned(signed(work)) == clean


def test_no_record_stands_twice(tmp_path):
    work = work_in(tmp_path, RICH)
    sign(work, NOW)
    lines = work.target.read_text().splitlines()
    assert sum(line.startswith("www.date.test.\t") and "\tA\t192.0.2.2" in line for line in lines) == 2
    assert sum("\tSRV\t" in line for line in lines) == 1


def test_records_of_one_set_get_its_smallest_ttl(tmp_path):
    zone = signed(work_in(tmp_path, RICH))
    assert zone.find_rdataset("www", "A").ttl == 60
    assert zone.find_rdataset("www", "RRSIG", "A")[0].original_ttl == 60


def test_apex_without_name_servers(tmp_path):
    zone = signed(work_in(tmp_path, APEX.replace("@ IN NS ns\n", "")))
    assert texts(zone, "@", "NSEC")[0].endswith(" SOA RRSIG NSEC DNSKEY CDS CDNSKEY")


# --- the file


@pytest.mark.parametrize("command", [["ldns-verify-zone", "-V", "3"], ["dnssec-verify", "-o", "date.test"]], ids=lambda c: c[0])
@pytest.mark.parametrize("algorithms", [(13,), (8, 15), (13, 13)], ids=str)
def test_judges_find_nothing_wrong(tmp_path, command, algorithms):
    work = work_in(tmp_path, RICH.replace("below.turn A 192.0.2.5\n", ""), algorithms)
    assert perform(work)["serial"]
    name, *options = command
    options = [*options, "-z"] if name == "dnssec-verify" else options
    judged = subprocess.run([program(name), *options, work.target], capture_output=True, text=True, timeout=60, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_file_begins_with_the_soa_and_all_may_read_it(tmp_path):
    work = work_in(tmp_path)
    sign(work, NOW)
    lines = work.target.read_text().splitlines()
    assert lines[2].startswith(f"date.test.\t300\tIN\tSOA\tns.date.test. host.date.test. {NOW} 3600")
    assert lines[3].startswith("date.test.\t300\tIN\tRRSIG\tSOA 13 2 300 ")
    assert stat.S_IMODE(work.target.stat().st_mode) == 0o644


def test_what_is_written_is_what_dnspython_writes(tmp_path):
    work = work_in(tmp_path, RICH)
    sign(work, NOW)
    for line in work.target.read_text().splitlines()[2:]:
        rtype, rdata = line.split("\t")[3:]
        parsed = dns.rdata.from_text("IN", rtype, rdata, origin=None)
        assert dns.rdata.from_text("IN", rtype, parsed.to_text()) == parsed
        if rtype not in ("RRSIG", "TXT"):
            assert parsed.to_text() == rdata


def test_a_name_that_begins_with_a_dollar_sign_is_no_directive(tmp_path):
    work = work_in(tmp_path, f"{APEX}\\$origin A 192.0.2.1\n")
    sign(work, NOW)
    zone = read_zone(work.target, ZONE)
    assert b"\7$origin" + ZONE in zone.nodes
    (tmp_path / "printed").write_text("\n".join(lines(zone.records())) + "\n")
    assert set(read_zone(tmp_path / "printed", ZONE).records()) == set(zone.records())


@pytest.mark.parametrize("line", ["kid DS 1 13 2 abcd", "key SSHFP 1 2 abcd", "box MB ns", "end EID abcd"])
def test_what_dnspython_does_not_take_is_signed_and_read_again(tmp_path, line):
    work = work_in(tmp_path, f"{APEX}kid NS ns\n{line}\n")
    sign(work, NOW)
    before, after = read_zone(work.source, ZONE), read_zone(work.target, ZONE)
    assert {each for each in before.records() if each.rtype != types.SOA} <= set(after.records())


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "db.signed"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as file:
        file.write("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("present", "expected"),
    [(None, NOW), (7, NOW), (NOW - 1, NOW), (NOW, NOW + 1), (NOW + 5, NOW + 6), (2026112101, NOW), (2**32 - 1, NOW)],
)
def test_the_serial_is_the_time_and_grows(tmp_path, present, expected):
    target = tmp_path / "db.signed"
    if present is not None:
        target.write_text(f"date.test. 300 IN SOA ns.date.test. host.date.test. {present} 1 2 3 4\n")
    assert next_serial(target, NOW) == expected


def test_the_serial_grows_too_once_the_clock_is_no_longer_ahead(tmp_path):
    work = work_in(tmp_path)
    assert [sign(work, time) for time in (NOW + 9 * DAY, NOW)] == [NOW + 9 * DAY, NOW + 9 * DAY + 1]
