"""What signals do to a server in a process of its own."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2
from socket import AF_INET, SOCK_DGRAM, socket

import pytest

from pycoredns.testing import free_port

LAMEDUCK = 0.5
COREFILE = ".:{port} {{\n bind 127.0.0.1\n health 127.0.0.1:{http} {{\n  lameduck 500ms\n }}\n}}\n"


@asynccontextmanager
async def server(folder, closed="", pidfile="pid"):
    """A server that has begun to answer; ``closed`` are redirections of a shell that close its standard streams."""
    (folder / "Corefile").write_text(COREFILE.format(port=free_port(), http=free_port()))
    command = "sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "pycoredns", "-conf", "Corefile", "-pidfile", pidfile
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        if pidfile == "pid":
            await until((folder / "pid").exists)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def standard_streams(process):
    """What a process has as its standard streams."""
    return [str(Path(f"/proc/{process}/fd/{number}").readlink()) for number in range(3)]


async def until(true):
    """Waits for something that is seen from outside."""
    async with asyncio.timeout(15):
        while not true():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("signals", "status", "patient", "last"),
    [
        ([SIGTERM], 0, True, "Going into lameduck mode for 500ms"),
        ([SIGINT], 0, True, "Going into lameduck mode for 500ms"),
        ([SIGQUIT], 0, False, "[INFO] SIGQUIT: Quitting process immediately"),
        ([SIGTERM, SIGTERM], 0, True, "Going into lameduck mode for 500ms"),
        ([SIGTERM, SIGINT], 0, True, "Going into lameduck mode for 500ms"),
        ([SIGINT, SIGINT], 2, False, "[INFO] SIGINT: Force quit"),
        ([SIGTERM, SIGQUIT], 0, False, "[INFO] SIGQUIT: Quitting process immediately"),
        ([SIGHUP, SIGUSR2, SIGQUIT], 0, False, "[INFO] SIGQUIT: Quitting process immediately"),
    ],
    ids=lambda value: "+".join(each.name for each in value) if isinstance(value, list) else None,
)
async def test_signals_end_it_as_coredns_does(tmp_path, signals, status, patient, last):
    async with server(tmp_path) as process:
        begun = asyncio.get_running_loop().time()
        for each in signals:
            process.send_signal(each)
            await asyncio.sleep(0.1)
        output, _ = await asyncio.wait_for(process.communicate(), 15)
        took = asyncio.get_running_loop().time() - begun
    assert process.returncode == status
    assert output.decode().splitlines()[-1].endswith(last)
    assert took >= LAMEDUCK or not patient
    assert not (tmp_path / "pid").exists()


async def test_an_upgrade_is_not_offered_and_ends_nothing(tmp_path):
    async with server(tmp_path) as process:
        process.send_signal(SIGUSR2)
        async with asyncio.timeout(15):
            while not (line := await process.stdout.readline()).startswith(b"[WARNING]"):
                assert line
        assert line == b"[WARNING] SIGUSR2: Upgrading takes a restart; nothing has changed\n"
        process.send_signal(SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_signal_that_ends_no_server_ends_none_that_is_about_to_start(tmp_path, workers):
    """A pipe stands for a Corefile that takes long to read."""
    corefile = tmp_path / "Corefile"
    os.mkfifo(corefile)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pycoredns", "-conf", str(corefile), "-workers", str(workers)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    with await asyncio.to_thread(corefile.open, "w") as pipe:  # opens when the other end is read
        for each in (SIGHUP, SIGUSR2, SIGUSR1):
            process.send_signal(each)
        pipe.write(text := COREFILE.format(port=free_port(), http=free_port()))
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(corefile)  # for the reload that follows
    lines = []
    async with asyncio.timeout(15):
        while not lines or b"SIGUSR1" not in lines[-1]:
            lines.append(await process.stdout.readline())
            assert lines[-1], lines
    process.send_signal(SIGQUIT)
    assert await asyncio.wait_for(process.wait(), 15) == 0


@pytest.mark.parametrize("closed", ["<&-", ">&- 2>&-", "<&- >&- 2>&-"])
async def test_no_socket_takes_the_place_of_a_standard_stream_that_is_closed(tmp_path, closed):
    async with server(tmp_path, closed) as process:
        assert "socket:" not in "".join(standard_streams(process.pid))
        process.send_signal(SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_mistake_is_told_by_its_status_where_nobody_can_read_it(tmp_path):
    (tmp_path / "Corefile").write_text("nonsense {\n nonsense\n}\n")
    command = f"{sys.executable} -m pycoredns -conf Corefile <&- >&- 2>&-"
    process = await asyncio.create_subprocess_shell(command, cwd=tmp_path)
    assert await asyncio.wait_for(process.wait(), 15) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_waits_for_others_to_begin_ends_at_once(tmp_path, workers):
    with socket(AF_INET, SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        resolver.setblocking(False)
        upstream = f"forward . upstream.test {{\n resolver 127.0.0.1:{resolver.getsockname()[1]}\n}}"
        (tmp_path / "Corefile").write_text(f".:{free_port()} {{\n bind 127.0.0.1\n {upstream}\n}}\n")
        command = sys.executable, "-m", "pycoredns", "-conf", "Corefile", "-workers", workers
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(resolver, 512), 15)  # which nobody answers
        process.send_signal(SIGTERM)
        lines, _ = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, lines) == (0, b"[INFO] SIGTERM: Shutting down servers then terminating\n")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_a_zone_that_is_still_being_read_keeps_nothing_from_the_end(tmp_path, number, workers):
    os.mkfifo(tmp_path / "zone")
    (tmp_path / "Corefile").write_text(f"a.test:{free_port()} {{\n bind 127.0.0.1\n file zone\n}}\n")
    command = sys.executable, "-m", "pycoredns", "-conf", "Corefile", "-workers", workers
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
    with await asyncio.wait_for(asyncio.to_thread((tmp_path / "zone").open, "w"), 15):  # opens when somebody reads
        process.send_signal(number)
        try:
            lines, _ = await asyncio.wait_for(process.communicate(), 15)
        except TimeoutError:
            process.kill()
            raise
    assert (process.returncode, lines.count(b"Shutting down")) == (0, 1)


@pytest.mark.parametrize("number", [SIGTERM, SIGQUIT])
async def test_a_process_id_that_can_be_neither_written_nor_removed_keeps_nothing_from_the_end(tmp_path, number):
    told = b"[ERROR] Could not write pidfile: open Corefile/pid: not a directory\n"
    async with server(tmp_path, pidfile="Corefile/pid") as process:
        async with asyncio.timeout(15):
            while (line := await process.stdout.readline()) != told:
                assert line
        process.send_signal(number)
        output, _ = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, b"Traceback" in output) == (0, False)
