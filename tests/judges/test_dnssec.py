"""delv, drill, unbound, dnsviz and the tools of BIND and ldns judge what is signed on the fly, by each algorithm and denial."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from pycoredns.cli import main
from pycoredns.dnssec.keyfiles import new_key, public_text, write_key
from pycoredns.dnssec.keys import Key, Times, read_key
from pycoredns.testing import RunningServer, eventually, exchange_udp, free_port, running
from pycoredns.wire import names
from tests.judges.programs import program

ZONE = "judged.test"
RECORDS = r"""
$ORIGIN judged.test.
$TTL 300
@ SOA ns host 1 3600 600 86400 60
@ NS ns
@ MX 10 MAIL
ns A 127.0.0.1
mail AAAA 2001:db8::1
www A 192.0.2.1
www A 192.0.2.9
www A 192.0.2.5
UPPER TXT "Text" "in two strings"
long 86400 A 192.0.2.2
b.deep TXT "below an empty name"
*.wild A 192.0.2.3
al CNAME www
al2 CNAME al
dangling CNAME missing
empty CNAME mail
towild CNAME x.wild
_sip._tcp SRV 1 2 5060 WWW
a\.dot\000nul\255 A 192.0.2.4
sub NS ns.sub
ns.sub A 127.0.0.1
"""
DENIALS = ["nsec", "nsec3", "compact"]
ALGORITHMS = [8, 10, 13, 14, 15]
THERE = [
    ("www", "A"), ("WwW", "A"), ("", "SOA"), ("", "NS"), ("", "MX"), ("", "DNSKEY"), ("upper", "TXT"), ("long", "A"),
    ("b.deep", "TXT"), ("x.wild", "A"), ("a.b.wild", "A"), ("al", "A"), ("al2", "A"), ("al", "CNAME"), ("towild", "A"),
    ("_sip._tcp", "SRV"), (r"a\.dot\000nul\255", "A"),
]  # fmt: skip
WITHOUT_TYPE = [
    ("www", "AAAA"), ("", "TXT"), ("deep", "A"), ("x.wild", "TXT"), ("www", "DS"), ("www", "TYPE65280"), ("www", "CNAME"),
    ("empty", "A"),
]  # fmt: skip
MISSING = [
    ("no", "A"), ("NO", "A"), ("no.www", "A"), ("a.b.c.d", "TXT"), (r"no\000\.", "A"), ("*", "A"), ("dangling", "A"),
    (".".join(["x" * 63] * 3 + ["y" * 49]), "A"),
]  # fmt: skip
EVERYTHING = [*THERE, *WITHOUT_TYPE, *MISSING]


def full(label: str) -> str:
    return f"{label}.{ZONE}" if label else ZONE


@asynccontextmanager
async def signed(folder: Path, keys: list[Key], denial: str = "nsec", more: str = "") -> AsyncIterator[RunningServer]:
    """The zone, signed with these keys, by a server that has a cache in front."""
    bases = " ".join(str(write_key(key, folder)) for key in keys)
    (folder / "zone").write_text(RECORDS)
    corefile = f"""
    {ZONE}:{{port}} {{
        bind 127.0.0.1
        {more}
        dnssec {{
            key file {bases}
            denial {denial}
        }}
        file {folder / "zone"}
    }}
    """
    async with running(corefile) as server:
        yield server


def key(algorithm: int = 13, secure_entry_point: bool = True) -> Key:
    return new_key(names.from_text(ZONE), algorithm, secure_entry_point, Times())


async def says(tool: str, *words: str) -> str:
    """What a program prints, errors too."""
    process = await asyncio.create_subprocess_exec(
        str(program(tool)), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return output.decode()


# --- delv, BIND's validator


async def delv(folder: Path, server: RunningServer, anchor: Key, label: str, qtype: str) -> str:
    *_, public = public_text(anchor).split()
    file = folder / "anchors"
    file.write_text(f'trust-anchors {{ "{ZONE}." static-key {anchor.flags} 3 {anchor.algorithm} "{public}"; }};\n')
    words = ("@127.0.0.1", "-p", str(server.port), "-a", str(file), f"+root={ZONE}", full(label), qtype)
    return await says("delv", *words)


@pytest.mark.parametrize("denial", DENIALS)
async def test_delv_validates(denial: str, tmp_path: Path) -> None:
    anchor = key()
    async with signed(tmp_path, [anchor], denial) as server:
        for label, qtype in EVERYTHING:
            output = await delv(tmp_path, server, anchor, label, qtype)
            assert "fully validated" in output, (label, qtype, output)
            assert (";-$NX" in output) == ((label, qtype) not in THERE), (label, qtype, output)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_delv_validates_each_algorithm(algorithm: int, tmp_path: Path) -> None:
    anchor = key(algorithm)
    async with signed(tmp_path, [anchor], more="cache") as server:
        for _ in range(2):
            assert "; fully validated" in await delv(tmp_path, server, anchor, "www", "A")
        assert "; negative response, fully validated" in await delv(tmp_path, server, anchor, "no", "A")


async def test_delv_follows_a_ksk_to_its_zsk(tmp_path: Path) -> None:
    ksk, zsk = key(13), key(13, secure_entry_point=False)
    async with signed(tmp_path, [ksk, zsk]) as server:
        assert "; fully validated" in await delv(tmp_path, server, ksk, "www", "A")


async def test_delv_refuses_what_another_key_signed(tmp_path: Path) -> None:
    async with signed(tmp_path, [key()]) as server:
        assert "fully validated" not in await delv(tmp_path, server, key(), "www", "A")


# --- drill, of ldns


@pytest.mark.parametrize("denial", DENIALS)
async def test_drill_chases_signatures(denial: str, tmp_path: Path) -> None:
    anchor = key()
    (tmp_path / "anchor").write_text(public_text(anchor))
    async with signed(tmp_path, [anchor], denial) as server:
        for label, qtype in (("www", "A"), ("", "MX"), ("x.wild", "A"), ("b.deep", "TXT"), ("_sip._tcp", "SRV")):
            words = ("-S", "-k", str(tmp_path / "anchor"), "-p", str(server.port), "@127.0.0.1", full(label), qtype)
            output = await says("drill", *words)
            assert "Chase successful" in output, output


# --- unbound, a validating resolver


@asynccontextmanager
async def unbound(folder: Path, anchor: Key, stubs: dict[str, int]) -> AsyncIterator[int]:
    """A resolver that asks our servers for their zones, and trusts one key; its port."""
    port = free_port()
    trust = public_text(anchor).splitlines()[-1]
    zones = "".join(f"stub-zone:\n name: {zone}\n stub-addr: 127.0.0.1@{ours}\n" for zone, ours in stubs.items())
    (folder / "unbound.conf").write_text(
        f"""server:
 interface: 127.0.0.1
 port: {port}
 access-control: 127.0.0.0/8 allow
 do-not-query-localhost: no
 local-zone: "test." nodefault
 module-config: "validator iterator"
 trust-anchor: "{trust}"
 val-log-level: 2
 verbosity: 1
 use-syslog: no
 logfile: ""
 pidfile: ""
 chroot: ""
 username: ""
 directory: "{folder}"
remote-control:
 control-enable: no
{zones}"""
    )
    process = await asyncio.create_subprocess_exec(
        str(program("unbound")),
        "-d",
        "-c",
        str(folder / "unbound.conf"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def answers() -> bool:
        try:
            await exchange_udp(dns.message.make_query("localhost", "A").to_wire(), ("127.0.0.1", port), 0.2)
        except (TimeoutError, ConnectionError):
            return False
        return True

    try:
        await eventually(answers, 10)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def resolve(port: int, name: str, qtype: str) -> tuple[bool, str, bool]:
    """What the resolver says: is it validated, the response code, is there an answer?"""
    query = dns.message.make_query(name, qtype, want_dnssec=True, payload=4096)
    reply = dns.message.from_wire(await exchange_udp(query.to_wire(), ("127.0.0.1", port), 10))
    return bool(reply.flags & dns.flags.AD), dns.rcode.to_text(reply.rcode()), bool(reply.answer)


@pytest.mark.parametrize("denial", DENIALS)
async def test_unbound_validates(denial: str, tmp_path: Path) -> None:
    anchor = key()
    async with signed(tmp_path, [anchor], denial) as server, unbound(tmp_path, anchor, {ZONE: server.port}) as port:
        for label, qtype in EVERYTHING:
            validated, rcode, answered = await resolve(port, full(label), qtype)
            expected = "NXDOMAIN" if denial == "nsec3" and (label, qtype) in MISSING else "NOERROR"
            assert (validated, rcode) == (True, expected), (label, qtype)
            assert answered == ((label, qtype) in THERE or label in ("empty", "dangling"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_unbound_validates_each_algorithm(algorithm: int, tmp_path: Path) -> None:
    anchor = key(algorithm)
    async with signed(tmp_path, [anchor]) as server, unbound(tmp_path, anchor, {ZONE: server.port}) as port:
        for label, qtype in (("www", "A"), ("no", "A"), ("www", "AAAA")):
            assert (await resolve(port, full(label), qtype))[:2] == (True, "NOERROR")


CHILD = """
sub.judged.test:{port} {
    bind 127.0.0.1
    hosts {
        192.0.2.77 www.sub.judged.test
    }
}
"""


@pytest.mark.parametrize("denial", DENIALS)
async def test_unbound_takes_a_delegation_without_ds_for_insecure(denial: str, tmp_path: Path) -> None:
    anchor = key()
    async with (
        signed(tmp_path, [anchor], denial) as server,
        running(CHILD) as child,
        unbound(tmp_path, anchor, {ZONE: server.port, f"sub.{ZONE}": child.port}) as port,
    ):
        assert await resolve(port, full("www.sub"), "A") == (False, "NOERROR", True)


@pytest.mark.parametrize("denial", DENIALS)
async def test_unbound_refuses_unsigned_answers_below_a_name_that_is_no_delegation(denial: str, tmp_path: Path) -> None:
    """A forger who answers for www in place of the zone must not get it taken for an unsigned zone of its own."""
    anchor = key()
    async with (
        signed(tmp_path, [anchor], denial) as server,
        running(CHILD.replace("www.sub", "www").replace("sub.judged", "www.judged")) as forger,
        unbound(tmp_path, anchor, {ZONE: server.port, f"www.{ZONE}": forger.port}) as port,
    ):
        assert (await resolve(port, full("www"), "A"))[1] == "SERVFAIL"


# --- dnsviz


@pytest.mark.parametrize("denial", DENIALS)
async def test_dnsviz_has_no_complaints(denial: str, tmp_path: Path) -> None:
    anchor = key()
    async with signed(tmp_path, [anchor], denial) as server:
        questions = [full(label) for label in ("", "www", "no", "x.wild", "al", "b.deep", "deep")]
        probed = tmp_path / "probed.json"
        output = await says(
            "dnsviz",
            "probe",
            "-A",
            "-a",
            ZONE,
            "-x",
            f"{ZONE}+:127.0.0.1:{server.port}",
            "-R",
            "A,MX,TXT",
            "-o",
            str(probed),
            *questions,
        )
        assert probed.exists(), output
    judged = await says("dnsviz", "grok", "-r", str(probed), "-l", "info")
    assert not complaints(json.loads(judged)), judged
    assert judged.count('"status": "VALID"') > 30


def complaints(found: object) -> list[object]:
    """All errors and warnings, wherever they stand in what dnsviz says."""
    if isinstance(found, list):
        return [each for part in found for each in complaints(part)]
    if not isinstance(found, dict):
        return []
    return [*found.get("errors", []), *found.get("warnings", []), *(each for part in found.values() for each in complaints(part))]


# --- key files of others, and ours for them


@pytest.mark.parametrize("algorithm", ["RSASHA256", "RSASHA512", "ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519"])
@pytest.mark.parametrize("maker", ["dnssec-keygen", "ldns-keygen"])
async def test_keys_of_bind_and_ldns_are_read(maker: str, algorithm: str, tmp_path: Path) -> None:
    bits = ["-b", "2048"] if algorithm.startswith("RSA") else []
    words = ["-K", str(tmp_path), "-f", "KSK"] if maker == "dnssec-keygen" else ["-k"]
    process = await asyncio.create_subprocess_exec(
        str(program(maker)),
        "-a",
        algorithm,
        *bits,
        *words,
        ZONE,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    printed, _ = await process.communicate()
    found = read_key(tmp_path / printed.decode().split()[-1])
    assert found.secure_entry_point
    ds = await says("dnssec-dsfromkey", "-2", f"{tmp_path / found.base}.key")
    tag, number, digest = re.search(r"DS (\d+) (\d+) 2 (\w+)", ds).groups()  # type: ignore[union-attr]
    assert (found.tag, found.algorithm, found.ds().rdata[4:].hex().upper()) == (int(tag), int(number), digest)


def public_file(folder: Path) -> Path:
    (found,) = folder.glob("*.key")
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_bind_and_ldns_sign_with_ours(algorithm: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dnssec", "keygen", ZONE, "-a", str(algorithm), "-d", str(tmp_path), "--sync-publish", "now"]) == 0
    shown = capsys.readouterr().out.split()[-1]
    public = public_file(tmp_path)
    assert shown in await says("dnssec-dsfromkey", "-2", str(public))
    assert shown.lower() in await says("ldns-key2ds", "-n", "-2", str(public))
    (tmp_path / "zone").write_text(RECORDS.replace("www A 192.0.2.9\n", ""))
    base = str(public.with_suffix(""))
    output = await says("ldns-signzone", "-f", str(tmp_path / "by-ldns"), str(tmp_path / "zone"), base)
    assert not output, output
    output = await says(
        "dnssec-signzone",
        "-P",
        "-z",
        "-S",
        "-K",
        str(tmp_path),
        "-d",
        str(tmp_path),
        "-o",
        ZONE,
        "-f",
        str(tmp_path / "by-bind"),
        str(tmp_path / "zone"),
    )
    assert (tmp_path / "by-bind").exists(), output
    for file in ("by-ldns", "by-bind"):
        assert "Zone is verified and complete" in await says("ldns-verify-zone", str(tmp_path / file))
