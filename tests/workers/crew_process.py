"""A server with several workers, as processes, and what a test asks of it."""

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from pycoredns.testing import exchange_udp, free_port, query_wire


class Running:
    """A supervisor's process; ``lines`` are what it and its workers have printed."""

    def __init__(self, process, folder, ports):
        self.process = process
        self.folder = folder
        self.ports = ports
        self.port = ports.get("port", 0)
        self.lines = []
        self.told_to_end = False

    @property
    def workers(self):
        """The process IDs of its workers, the oldest first."""
        number = self.process.pid
        return [int(each) for each in Path(f"/proc/{number}/task/{number}/children").read_text().split()]

    def write(self, corefile):
        """Puts another Corefile in place."""
        new = self.folder / "Corefile.new"
        new.write_text(filled(corefile, self.ports))
        new.replace(self.folder / "Corefile")

    def end(self, number):
        """Tells it to end; a second signal would end it at once."""
        self.told_to_end = True
        self.process.send_signal(number)

    async def reload(self, corefile):
        """Has it reloaded; returns the line that says how that ended."""
        self.write(corefile)
        seen = len(self.lines)
        self.process.send_signal(signal.SIGUSR1)
        return await self.line("Reloading complete|Restart failed", seen)

    async def line(self, pattern, start=0, seconds=10):
        """Waits for a line that matches."""
        async with asyncio.timeout(seconds):
            while True:
                for line in self.lines[start:]:
                    if re.search(pattern, line):
                        return line
                await asyncio.sleep(0.01)

    async def read(self):
        """Gathers the lines."""
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    async def ask(self, name, seconds=5.0):
        """The response code of a name's A record, and the reply's last octet."""
        reply = await exchange_udp(query_wire(name), ("127.0.0.1", self.port), seconds)
        return reply[3] & 15, reply[-1]

    async def get(self, port, path):
        """Status and body by HTTP."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(10):
            answer = (await reader.read()).decode()
        writer.close()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split()[1]), body

    async def figure(self, name, port="http"):
        """The sum of a metric over its labels."""
        _, text = await self.get(port, "/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def filled(corefile, ports):
    """A Corefile with its ports."""
    for name, number in ports.items():
        corefile = corefile.replace(f"{{{name}}}", str(number))
    return corefile


@asynccontextmanager
async def serving(folder, corefile, workers=2, ends_with=0, program=("-m", "pycoredns")):
    """A server that has started; ``{port}`` and ``{http}`` in its Corefile become free ports. In the end it is stopped."""
    ports = {name: free_port() for name in ("port", "port2", "http", "http2") if f"{{{name}}}" in corefile}
    (folder / "Corefile").write_text(filled(corefile, ports))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, "-workers", str(workers), "-conf", str(folder / "Corefile")),
        *("-pidfile", str(folder / "pid")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    server = Running(process, folder, ports)
    reading = asyncio.create_task(server.read())
    try:
        await server.line("^linux/", seconds=20)
        yield server
    finally:
        if process.returncode is None and not server.told_to_end:
            process.terminate()
        status = await asyncio.wait_for(process.wait(), 15)
        await reading
        assert status == ends_with, "\n".join([f"status {status}", *server.lines])


def alive(number):
    """Is there such a process, and no zombie?"""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(number):
    """Ends a process at once."""
    os.kill(number, signal.SIGKILL)
