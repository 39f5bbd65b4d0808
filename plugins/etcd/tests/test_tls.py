"""Certificates: good, bad, and replaced while we run."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pycoredns.etcd_server import EtcdServer
from pycoredns.plugins.etcd.errors import Unreachable
from pycoredns.plugins.etcd.mirror import State
from pycoredns.plugins.etcd.settings import Settings, TLSFiles
from pycoredns.plugins.etcd.tests.certificates import Authority, server_arguments
from pycoredns.plugins.etcd.tests.support import PREFIX, Writer, eventually, following, live

KEY = PREFIX + b"org/example/a"


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "theirs")


@pytest.fixture
async def secure(ours: Authority) -> AsyncIterator[EtcdServer]:
    async with EtcdServer(scheme="https", arguments=server_arguments(ours.issue("server"))) as etcd:
        yield etcd


def reached(etcd: EtcdServer, files: TLSFiles | None) -> Writer:
    return Writer(Settings((etcd.endpoint,), tls=files))


async def test_a_good_certificate(secure: EtcdServer, ours: Authority) -> None:
    async with following(settings=Settings((secure.endpoint,), tls=ours.issue("client"))) as (mirror, names):
        await live(mirror)
        async with reached(secure, ours.issue("other")) as client:
            await client.put(KEY, b"one")
        await names.become(lambda values: values == {KEY: b"one"})


async def test_bad_certificates(secure: EtcdServer, ours: Authority, theirs: Authority) -> None:
    good, foreign = ours.issue("client"), theirs.issue("client")
    garbage, absent = theirs.folder / "garbage.pem", theirs.folder / "absent.pem"
    garbage.write_text("no certificate")
    cases = {
        "no files at all": (None, "the server's certificate is not from an authority we trust"),
        "another authority": (replace(good, authorities=theirs.file), "not from an authority we trust"),
        "signed by another": (replace(foreign, authorities=ours.file), "the server does not accept our certificate"),
        "expired": (ours.issue("expired", expired=True), "the server does not accept our certificate"),
        "no certificate": (TLSFiles(authorities=ours.file), "the server does not accept our certificate, or wants one"),
        "mismatched key": (replace(good, key=foreign.key), "certificate and key do not belong together"),
        "garbage": (replace(good, certificate=garbage), "garbage.pem holds no PEM text"),
        "absent": (replace(good, key=absent), "cannot read .*absent.pem: No such file or directory"),
    }
    for files, words in cases.values():
        async with reached(secure, files) as client:
            with pytest.raises(Unreachable, match=words):
                await client.range(KEY)


async def test_plaintext_to_tls(secure: EtcdServer) -> None:
    async with Writer(Settings((secure.endpoint.replace("https", "http"),))) as client:
        with pytest.raises(Unreachable):
            await client.range(KEY)


async def test_tls_to_plaintext(etcd: EtcdServer, ours: Authority) -> None:
    async with Writer(Settings((etcd.endpoint.replace("http", "https"),), tls=ours.issue("client"))) as client:
        with pytest.raises(Unreachable, match="does it speak TLS"):
            await client.range(KEY)


async def test_certificates_are_replaced(
    secure: EtcdServer, ours: Authority, theirs: Authority, fast_heartbeat: None, caplog: pytest.LogCaptureFixture
) -> None:
    """By bad ones: the old connection stays. By good ones: connected anew with them, and nothing read again."""
    files, bad = ours.issue("client"), theirs.issue("client")
    async with following(settings=Settings((secure.endpoint,), tls=files)) as (mirror, names):
        async with reached(secure, ours.issue("writer")) as client:
            await client.put(KEY, b"one")
            await live(mirror)
            install(bad, files)
            await eventually(lambda: "the new TLS files do not work" in caplog.text)
            assert (mirror.state, mirror.reconnects) == (State.LIVE, 0)
            install(ours.issue("newer"), files)
            await eventually(lambda: mirror.reconnects == 1)
            await live(mirror)
            await client.put(KEY, b"two")
        await names.become(lambda values: values == {KEY: b"two"})
        assert mirror.copy.full_syncs == 1


def install(source: TLSFiles, target: TLSFiles) -> None:
    """Replaces certificate and key, each at once, as whoever renews them does."""
    for new, old in ((source.key, target.key), (source.certificate, target.certificate)):
        assert new
        assert old
        shutil.copy(new, old.with_suffix(".new"))
        old.with_suffix(".new").replace(old)
