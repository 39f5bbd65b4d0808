"""Child processes: pinned to a core, measured through /proc, ended by their own process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SERVER_CORE = 0  # the measured server alone
LOAD_CORE = 1  # dnsperf, the stub upstream and etcd


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Runs the body on these cores; children started inside inherit them, from their first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment() -> dict[str, str]:
    """Ours, in which Python keeps its bytecode, as it does where a server is installed."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Process:
    """A running child in a session of its own, what it prints appended to a file."""

    def __init__(self, command: Sequence[str], cores: Collection[int], folder: Path, output: Path, piped: bool = False):
        """Start `command` in `folder`; with `piped` its standard output goes through a pipe to one who reads and forgets."""
        self.output = output
        self._reader = _start_reader() if piped else None
        with on_cores(cores), output.open("ab") as stream:
            self.started = time.perf_counter()
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._reader.stdin if self._reader else stream,
                stderr=stream,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
            )
        if self._reader and self._reader.stdin:
            self._reader.stdin.close()

    def ended(self) -> bool:
        """Whether the child has gone by itself."""
        return self._child.poll() is not None

    def cpu_seconds(self) -> dict[int, float]:
        """User and system time used so far by the child and everything it started, by process id."""
        return {pid: _ticks(pid) / TICKS_PER_SECOND for pid in family(self._child.pid)}

    def resident_bytes(self) -> int:
        """Resident memory of the child and everything it started."""
        return sum(_resident(pid) for pid in family(self._child.pid))

    def stop(self, patience: float = 3.0) -> None:
        """SIGTERM, after `patience` seconds SIGKILL; then SIGKILL to those it had started and left behind."""
        descendants = [] if self.ended() else family(self._child.pid)[1:]
        self._child.terminate()
        try:
            self._child.wait(patience)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for pid in descendants:
            _kill(pid)
        if self._reader:
            self._reader.wait(patience)

    def last_words(self) -> str:
        """The end of its output, for an error message."""
        return self.output.read_text(errors="replace")[-1500:]


def _start_reader() -> subprocess.Popen[bytes]:
    """Reads a pipe to its end, on the core of the load."""
    with on_cores({LOAD_CORE}):
        return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def family(pid: int) -> list[int]:
    """A process and its living descendants."""
    parents = {int(entry.name): _parent(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    members = [pid]
    for member in members:  # grows while it is walked
        members += [child for child, parent in parents.items() if parent == member]
    return members


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name; none if the process has gone (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def _ticks(pid: int) -> int:
    """utime, stime, and cutime and cstime of children that were waited for."""
    return sum(map(int, _stat_fields(pid)[11:15]))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """A port of 127.0.0.1 that is free for UDP and TCP."""
    for _ in range(100):
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as stream:
            datagrams.bind(("127.0.0.1", 0))
            port: int = datagrams.getsockname()[1]
            try:
                stream.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port of 127.0.0.1 is free for both UDP and TCP")
