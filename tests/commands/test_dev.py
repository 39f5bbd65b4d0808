"""`pycoredns dev`, as `./run` starts it: a real etcd, the samples, the server, and the end of them all."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dnslib import QTYPE, DNSRecord

from pycoredns.etcd_server import EtcdServer, find_program
from pycoredns.testing import exchange_udp, free_port, query_wire

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30.0


class Demonstration:
    """The command while it runs."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.port = process, port
        self.output = ""

    async def read_until(self, text: str) -> None:
        assert self.process.stdout
        async with asyncio.timeout(PATIENCE):
            while text not in self.output:
                line = await self.process.stdout.readline()
                assert line, f"ended with {await self.process.wait()}: {self.output}"
                self.output += line.decode()

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        rest, _ = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        self.output += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode

    async def answers(self, name: str, qtype: str) -> list[str]:
        wire = await exchange_udp(query_wire(name, qtype), ("127.0.0.1", self.port))
        return sorted(f"{QTYPE.get(rr.rtype)} {rr.rdata}" for rr in DNSRecord.parse(wire).rr)


@asynccontextmanager
async def demonstration(folder: Path, *words: str, port: int = 0) -> AsyncIterator[Demonstration]:
    """The command with Corefile.example, its HTTP ports made free ones."""
    corefile = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda _: str(free_port()), (ROOT / "Corefile.example").read_text())
    (folder / "Corefile.example").write_text(corefile)
    port = port or free_port()
    command = [sys.executable, "-m", "pycoredns", "dev", f"--port={port}", *words]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield Demonstration(process, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def processes_naming(text: str) -> list[str]:
    """The command lines of running processes that contain a text."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if text in line]


async def test_samples_are_answered_a_changed_key_shows_at_once_and_ctrl_c_ends_it_all(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with demonstration(tmp_path, f"--data={data}") as dev:
        await dev.read_until("Ctrl-C ends")
        assert await dev.answers("web.skydns.local", "A") == ["A 10.1.0.1", "A 10.1.0.2"]
        assert len(await dev.answers("web.skydns.local", "SRV")) == 2
        assert await dev.answers("hello.skydns.local", "TXT") == ['TXT "kept in etcd, answered from memory"']

        command = re.search(r"(--endpoints=\S+) put (\S+) '(.*)'", dev.output)
        assert command, dev.output
        etcdctl = find_program("etcdctl")
        assert etcdctl
        putting = await asyncio.create_subprocess_exec(etcdctl, command[1], "put", command[2], command[3])
        assert await putting.wait() == 0
        assert "A 10.1.0.3" in await dev.answers("web.skydns.local", "A")

        assert processes_naming(str(data))
        assert await dev.end() == 0
    assert not processes_naming(str(data))
    assert "Traceback" not in dev.output

    async with demonstration(tmp_path, f"--data={data}") as again:
        await again.read_until("Ctrl-C ends")
        assert "A 10.1.0.3" in await again.answers("web.skydns.local", "A")
        assert await again.end(signal.SIGTERM) == 0
    assert not processes_naming(str(data))


async def test_a_second_one_beside_the_first_says_so_and_leaves_it_alone(tmp_path: Path) -> None:
    async with demonstration(tmp_path, f"--data={tmp_path / 'data'}") as first:
        await first.read_until("Ctrl-C ends")
        for port, said in ((first.port, f"port {first.port}"), (0, "another etcd uses")):
            async with demonstration(tmp_path, f"--data={tmp_path / 'data'}", port=port) as second:
                await second.read_until(said)
                assert await second.process.wait() == 1
                assert "Traceback" not in second.output
        assert await first.answers("web.skydns.local", "A")


async def test_an_etcd_that_runs_already_is_used_and_kept(tmp_path: Path) -> None:
    async with EtcdServer() as etcd, demonstration(tmp_path, f"--etcd={etcd.endpoint}") as dev:
        await dev.read_until("Ctrl-C ends")
        assert await dev.answers("web.skydns.local", "A") == ["A 10.1.0.1", "A 10.1.0.2"]
        assert await dev.end() == 0
        assert etcd.running
    assert not (tmp_path / ".pycoredns").exists()


async def test_a_corefile_that_is_not_there_is_said(tmp_path: Path) -> None:
    async with demonstration(tmp_path, "elsewhere") as dev:
        await dev.read_until("there is no elsewhere; name a Corefile: pycoredns dev FILE")
        assert await dev.process.wait() == 1
