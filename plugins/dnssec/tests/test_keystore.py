"""Where keys come from, what is wrong with them, and how they follow each other."""

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from pycoredns.dnssec.keyfiles import new_key, private_text, public_text, write_key
from pycoredns.dnssec.keys import BadKeyError, Key, Times, files_of, read_key
from pycoredns.errors import ConfigErrors, StartError
from pycoredns.plugins.dnssec import Dnssec, options, secrets
from pycoredns.plugins.dnssec.keystore import KeyStore
from pycoredns.plugins.dnssec.options import KeySource
from pycoredns.testing import eventually, exchange_udp, query_wire, running
from pycoredns.wire import names

ZONE = names.from_text("example.org")
DAY = 86400
NOW = 2_000_000_000


def key(zone: str = "example.org", **times: int) -> Key:
    return new_key(names.from_text(zone), 13, True, Times(**times))


def corefile(lines: str, zones: str = "example.org") -> str:
    return f"{zones}:{{port}} {{\n bind 127.0.0.1\n dnssec {{\n  {lines}\n }}\n whoami\n}}"


async def mistake(lines: str, zones: str = "example.org") -> str:
    """What is said of a Corefile instead of starting."""
    with pytest.raises((ConfigErrors, StartError)) as caught:
        async with running(corefile(lines, zones)):
            pass
    return str(caught.value)


# --- what is wrong


async def test_files_that_hold_no_key_are_named(tmp_path: Path) -> None:
    good, other = write_key(key(), tmp_path), write_key(key(), tmp_path)
    mixed = tmp_path / "Kmixed"
    for file, source in ((".key", good), (".private", other)):
        mixed.with_name(mixed.name + file).write_text(source.with_name(source.name + file).read_text())
    (tmp_path / "Kempty.key").write_text("")
    (tmp_path / "Kempty.private").write_text("")
    for name, said in (
        ("Kmissing", f"cannot read {tmp_path}/Kmissing.key: no such file or directory"),
        ("Kempty", f"{tmp_path}/Kempty.key: it holds no DNSKEY record"),
        ("Kmixed", f"{mixed}.private: it is not the private key of {mixed}.key"),
    ):
        text = await mistake(f"key file {tmp_path}/{name}")
        assert text.startswith("Corefile:4: key: ")
        assert said in text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("key", "file, directory or aws_secretsmanager is missing"),
        ("key file", "KEY is missing"),
        ("key fiel x", '"fiel" is unknown; choose one of file, directory, aws_secretsmanager'),
        ("key directory /does/not/exist", "/does/not/exist is no folder"),
        (f"key directory /{300 * 'x'}", f'Corefile:4: key: "/{300 * "x"}" cannot be accessed: File name too long'),
        (
            "key directory {folder}",
            "there is no key of example.org. in {folder}; pycoredns dnssec keygen example.org. --folder {folder}",
        ),
        ("cache_capacity many", '"many" is not a whole number'),
        ("denial white_lies", 'unknown denial "white_lies"'),
        ("keys file x", 'unknown option "keys"; did you mean "key"?'),
    ],
)
async def test_mistakes_are_told(lines: str, said: str, tmp_path: Path) -> None:
    assert said.format(folder=tmp_path) in await mistake(lines.format(folder=tmp_path))


async def test_a_key_of_another_zone_signs_nothing_here(tmp_path: Path) -> None:
    stranger = key("example.net")
    base = write_key(stranger, tmp_path)
    text = await mistake(f"key file {base}")
    assert f"key example.net. (keyid: {stranger.tag}) can not sign any of the zones; they are example.org." in text


async def test_nsec3_needs_room_for_hashes() -> None:
    long = ".".join(["x" * 60] * 4)
    assert "leaves no room for NSEC3" in await mistake("denial nsec3", long)


async def test_each_ending_of_a_file_will_do(tmp_path: Path) -> None:
    base = write_key(key(), tmp_path)
    for ending in ("", ".key", ".private"):
        async with running(corefile(f"key file {base}{ending}")) as server:
            assert len(await server.answers("example.org", "DNSKEY")) == 1


async def test_relative_paths_begin_at_root(tmp_path: Path) -> None:
    base = write_key(key(), tmp_path)
    text = corefile(f"key file {base.name}").replace(" bind", f" root {tmp_path}\n bind")
    async with running(text) as server:
        assert len(await server.answers("example.org", "DNSKEY")) == 1


@pytest.mark.parametrize("line", ["key file {base}", "key directory {base.parent}"])
async def test_a_private_key_for_everyone_is_told(line: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = write_key(key(), tmp_path)
    private = base.with_name(base.name + ".private")
    assert private.stat().st_mode & 0o777 == 0o600
    private.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        async with running(corefile(line.format(base=base))) as server:
            (dnssec,) = server.server.blocks[0].find(Dnssec)
            assert list(dnssec.doubts([])) == [f"dnssec: {private} can be read by everyone; chmod 600 it"]
    assert f"{private} can be read by everyone; chmod 600 it" in caplog.text


async def test_without_keys_it_stands_aside_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with running(corefile("denial nsec")) as server:
            reply = dns.message.from_wire(await exchange_udp(query_wire("www.example.org", do=True), ("127.0.0.1", server.port)))
    assert "no key signs example.org. now" in caplog.text
    assert not reply.get_rrset(reply.additional, reply.question[0].name, 1, dns.rdatatype.RRSIG, 1)


async def test_keys_are_read_again_with_the_corefile(tmp_path: Path) -> None:
    base = write_key(key(), tmp_path)
    shown = []
    for _ in range(2):
        async with running(corefile(f"key file {base}")) as server:
            shown.append(await server.answers("example.org", "DNSKEY"))
        new = key()
        base.with_name(base.name + ".key").write_text(public_text(new))
        base.with_name(base.name + ".private").write_text(private_text(new))
    assert shown[0] != shown[1]


# --- how keys in a folder follow each other


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The present, to be changed."""
    present = [float(NOW)]
    for clock in ("time", "monotonic"):
        monkeypatch.setattr(f"pycoredns.plugins.dnssec.dnssec.{clock}", lambda: present[0])
    return present


def roles(dnssec: Dnssec) -> tuple[set[int], set[int], set[int]]:
    """Tags of the keys that are shown, that sign, and whose DS is asked for."""
    ring = dnssec.rings.get(ZONE)
    if ring is None:
        return set(), set(), set()
    return ({each.tag for each in ring.shown}, {each.tag for each in ring.for_data}, {each.tag for each in ring.named})


async def test_pre_publication(tmp_path: Path, now: list[float]) -> None:
    first = key(publish=NOW - DAY, activate=NOW - DAY, inactive=NOW + 30 * DAY, delete=NOW + 40 * DAY)
    second = key(publish=NOW + 20 * DAY, activate=NOW + 30 * DAY, syncpublish=NOW + 25 * DAY)
    for each in (first, second, key("example.net")):
        write_key(each, tmp_path)
    a, b = first.tag, second.tag
    async with running(corefile(f"key directory {tmp_path}")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        version = server.server.blocks[0].version
        seen = []
        for day in (0, 19, 20, 25, 29, 30, 39, 40):
            now[0] = NOW + day * DAY
            await dnssec.look()
            seen.append(roles(dnssec))
        assert seen == [
            ({a}, {a}, set()),
            ({a}, {a}, set()),
            ({a, b}, {a}, set()),
            ({a, b}, {a}, {b}),
            ({a, b}, {a}, {b}),
            ({a, b}, {b}, {b}),
            ({a, b}, {b}, {b}),
            ({b}, {b}, {b}),
        ]
        assert server.server.blocks[0].version == version + 4


async def test_denials_too_are_signed_by_the_new_key(tmp_path: Path, now: list[float]) -> None:
    first, second = key(activate=NOW - DAY, inactive=NOW + DAY), key(activate=NOW + DAY)
    for each in (first, second):
        write_key(each, tmp_path)
    (tmp_path / "zone").write_text("@ 300 SOA ns host 1 2 3 4 5\n@ NS ns\n")
    async with running(corefile(f"key directory {tmp_path}").replace(" whoami", f" file {tmp_path}/zone")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        for signer in (first, second):
            query = query_wire("no.example.org", do=True, size=4096)
            reply = dns.message.from_wire(await exchange_udp(query, ("127.0.0.1", server.port)))
            signatures = [rrset[0] for rrset in reply.authority if rrset.rdtype == dns.rdatatype.RRSIG]
            assert [signature.key_tag for signature in signatures] == [signer.tag] * 2
            now[0] = NOW + DAY
            await dnssec.look()


async def test_a_key_that_comes_into_the_folder_is_used_and_broken_ones_are_told_once(
    tmp_path: Path, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = key(), key()
    write_key(first, tmp_path)
    async with running(corefile(f"key directory {tmp_path}")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        write_key(second, tmp_path)
        (tmp_path / "Kbroken.private").write_text("Algorithm: 13")
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                await dnssec.look()
        assert roles(dnssec)[1] == {first.tag, second.tag}
        assert caplog.text.count(f"cannot read {tmp_path}/Kbroken.key") == 1


async def test_folders_are_read_beside_the_answers(tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of RSA takes 60 ms."""
    write_key(key(), tmp_path)
    async with running(corefile(f"key directory {tmp_path}")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        readers: list[threading.Thread] = []
        monkeypatch.setattr(options, "read_key", lambda base: (readers.append(threading.current_thread()), read_key(base))[1])
        write_key(key(), tmp_path)
        await dnssec.look()
        assert len(roles(dnssec)[1]) == 2
    assert len(readers) == 1
    assert threading.main_thread() not in readers


def test_a_key_that_cannot_be_read_any_more_signs_until_it_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As while its files are written anew, or where a file system is away for a while."""
    folder, away = tmp_path / "keys", tmp_path / "away"
    folder.mkdir()
    made = key()
    public, private = files_of(write_key(made, folder))
    keys = KeyStore([ZONE], [KeySource(folders=(folder,))])

    def signing() -> set[int]:
        keys.read_folders()
        return {each.tag for ring in keys.rings(NOW).values() for each in ring.for_data}

    whole = private.read_text()
    private.write_text(whole[:40])
    assert signing() == {made.tag}
    private.write_text(private_text(replace(made, times=Times(activate=NOW + 1, publish=0))))
    assert signing() == set()
    private.write_text(whole)
    assert signing() == {made.tag}
    folder.rename(away)
    assert signing() == {made.tag}
    away.rename(folder)
    public.unlink()
    assert signing() == {made.tag}
    private.unlink()
    assert signing() == set()
    assert f"cannot read {folder}: no such file or directory" in caplog.text


def test_only_keys_that_are_new_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read an RSA key takes 60 ms, in which nobody is answered."""
    first, second = key(), key()
    base = write_key(first, tmp_path)
    keys = KeyStore([ZONE], [KeySource(folders=(tmp_path,))])
    read: list[Path] = []
    monkeypatch.setattr(options, "read_key", lambda base: read.append(base) or read_key(base))
    keys.read_folders()
    assert read == []
    written = write_key(second, tmp_path)
    keys.read_folders()
    assert read == [written]
    public, _ = files_of(base)
    public.write_text(public.read_text().replace(" 3600 ", " 60 "))
    keys.read_folders()
    assert read == [written, base]
    assert {each.tag: each.ttl for each in keys.rings(NOW)[ZONE].shown} == {first.tag: 60, second.tag: 3600}


@pytest.mark.parametrize("seconds", [9 * 3600, -9 * 3600])
async def test_all_is_signed_anew_once_the_clock_has_been_set(
    seconds: int, tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was wrong as the machine began, or the machine stood still: what was signed then may hold later, or no more."""
    monkeypatch.setattr("pycoredns.plugins.dnssec.dnssec.POLL", 0.01)
    monkeypatch.setattr("pycoredns.plugins.dnssec.dnssec.monotonic", lambda: 0.0)
    async with running(corefile(f"key file {write_key(key(), tmp_path)}")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        await exchange_udp(query_wire("example.org", "DNSKEY", do=True, size=4096), ("127.0.0.1", server.port))
        version = server.server.blocks[0].version
        now[0] += 60
        await dnssec.look()
        assert (len(dnssec.signatures), server.server.blocks[0].version) == (1, version)
        now[0] += seconds
        await eventually(lambda: not len(dnssec.signatures))
        assert server.server.blocks[0].version == version + 1


def test_next_look_is_at_the_next_event(tmp_path: Path) -> None:
    write_key(key(publish=NOW - DAY, activate=NOW + 30, inactive=NOW + 50), tmp_path)
    write_key(key("example.net", activate=NOW + 40), tmp_path)
    keys = KeyStore([ZONE], [KeySource(folders=(tmp_path,))])
    assert [keys.next_event(NOW + after) for after in (0, 30, 50)] == [NOW + 30, NOW + 50, None]


# --- secrets


def secret_of(key: Key) -> str:
    return json.dumps({"key": public_text(key), "private": private_text(key)})


def test_a_secret_holds_the_texts_of_both_files() -> None:
    made = key()
    (found,) = secrets.read_secrets(["name"], lambda SecretId: {"SecretString": secret_of(made)})  # noqa: N803
    assert (found.tag, found.sign(b"") != b"") == (made.tag, True)


class DeniedError(Exception):
    pass


def denied(**options: str) -> Mapping[str, str]:
    raise DeniedError("AccessDenied: you may not")


@pytest.mark.parametrize(
    ("get_secret", "said"),
    [
        (denied, "secret name: AccessDenied: you may not"),
        (lambda **options: {"SecretBinary": b""}, "secret name: it is no text"),
        (lambda **options: {"SecretString": "[]"}, 'secret name: it is no JSON with "key" and "private"'),
        (lambda **options: {"SecretString": "{"}, 'secret name: it is no JSON with "key" and "private"'),
        (lambda **options: {"SecretString": '{"key": "", "private": ""}'}, "secret name, key: it holds no DNSKEY record"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told(get_secret: secrets.GetSecret, said: str) -> None:
    with pytest.raises(BadKeyError, match=said.replace("[", r"\[")):
        secrets.read_secrets(["name"], get_secret)


async def test_without_boto3_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert "aws_secretsmanager needs boto3, which is not installed; pip install boto3" in await mistake(
        "key aws_secretsmanager name"
    )


@pytest.fixture
def with_boto(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if boto3 were installed."""
    monkeypatch.setattr("pycoredns.plugins.dnssec.options.find_spec", lambda name: object())


@pytest.mark.usefixtures("with_boto")
async def test_keys_in_secrets_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    made = key()
    monkeypatch.setattr(secrets, "_client", lambda: lambda SecretId: {"SecretString": secret_of(made)})  # noqa: N803
    async with running(corefile("key aws_secretsmanager arn:name")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        assert roles(dnssec)[1] == {made.tag}
        assert len(await server.answers("example.org", "DNSKEY")) == 1


@pytest.mark.usefixtures("with_boto")
async def test_a_secret_that_cannot_be_had_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_client", lambda: denied)
    assert await mistake("key aws_secretsmanager name") == "plugin/dnssec: secret name: AccessDenied: you may not"
    stranger = key("example.net")
    monkeypatch.setattr(secrets, "_client", lambda: lambda SecretId: {"SecretString": secret_of(stranger)})  # noqa: N803
    assert "can not sign any of the zones" in await mistake("key aws_secretsmanager name")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An HTTP server that answers as Secrets Manager does; its secrets by their names."""
    kept: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
            assert "Credential=AKTEST/" in self.headers["Authorization"]
            found = kept.get(asked["SecretId"])
            answer = {"SecretString": found} if found else {"__type": "ResourceNotFoundException", "message": "no such secret"}
            body = json.dumps(answer).encode()
            self.send_response(200 if found else 400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{server.server_port}")
        for name, value in {"ACCESS_KEY_ID": "AKTEST", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "eu-west-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield kept
        server.shutdown()
        thread.join()


async def test_amazons_own_library_fetches_them(endpoint: dict[str, str]) -> None:
    pytest.importorskip("boto3")
    made = key()
    endpoint["keys/example.org"] = secret_of(made)
    async with running(corefile("key aws_secretsmanager keys/example.org")) as server:
        (dnssec,) = server.server.blocks[0].find(Dnssec)
        assert roles(dnssec)[1] == {made.tag}
    assert "no such secret" in await mistake("key aws_secretsmanager other")
