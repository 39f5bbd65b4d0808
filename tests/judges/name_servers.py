"""Name servers started for a test: ours, CoreDNS, NSD and Knot DNS, each with the same master files."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import dns.flags
import dns.message
import dns.query
import dns.rdatatype

from benchmarks.harness.programs import find_coredns
from tests.judges.programs import program

START_SECONDS = 20.0
ATTEMPTS = 3


class NameServer:
    """A server that answers on a port of 127.0.0.1."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._address = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(self._address)
        self._socket.settimeout(5)

    def ask(self, name: str, qtype: str, do: bool = False) -> dns.message.Message:
        """Its answer, by TCP where it is cut."""
        query = dns.message.make_query(name, qtype, want_dnssec=do, payload=4096)
        query.flags &= ~dns.flags.RD
        answer = self._exchange(query.to_wire())
        if answer[2] & 2:
            return dns.query.tcp(query, *self._address[:1], port=self._address[1], timeout=5)
        return dns.message.from_wire(answer)

    def _exchange(self, wire: bytes) -> bytes:
        """What comes back by UDP; asked again where none comes, as on a busy machine one of 100,000 gets lost."""
        for attempts_left in reversed(range(ATTEMPTS)):
            self._socket.send(wire)
            try:
                while (answer := self._socket.recv(65535))[:2] != wire[:2]:
                    pass
            except TimeoutError:
                if not attempts_left:
                    raise
            else:
                break
        return answer

    def close(self) -> None:
        """Asks no more."""
        self._socket.close()


@contextmanager
def serving(name: str, zones: Mapping[str, Path], folder: Path) -> Iterator[NameServer]:
    """A name server with these zones: ``pycoredns``, ``coredns``, ``nsd`` or ``knotd``; raises TimeoutError."""
    folder.mkdir()
    port = free_port()
    command = {"pycoredns": _coredns, "coredns": _coredns, "nsd": _nsd, "knotd": _knot}[name](name, zones, folder, port)
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process:
        server = NameServer(name, port)
        try:
            _wait_for(server, list(zones), process, folder / "log")
            yield server
        finally:
            server.close()
            process.terminate()


def free_port() -> int:
    """A port of 127.0.0.1 that is free for TCP just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _coredns(name: str, zones: Mapping[str, Path], folder: Path, port: int) -> list[str]:
    blocks = [f"{origin}:{port} {{\n bind 127.0.0.1\n errors\n file {path}\n}}\n" for origin, path in zones.items()]
    (folder / "Corefile").write_text("".join(blocks))
    start = [sys.executable, "-m", "pycoredns"] if name == "pycoredns" else [find_coredns()]
    return [*start, "-conf", "Corefile"]


def _nsd(name: str, zones: Mapping[str, Path], folder: Path, port: int) -> list[str]:
    lines = [f"zone:\n name: {origin}\n zonefile: {path}\n" for origin, path in zones.items()]
    (folder / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{port}\n username: ""\n zonesdir: {folder}\n pidfile: {folder}/pid\n logfile: ""\n'
        f" xfrdfile: {folder}/xfrd\n zonelistfile: {folder}/list\n xfrdir: {folder}\n server-count: 1\n"
        " minimal-responses: no\n round-robin: no\nremote-control:\n control-enable: no\n" + "".join(lines)
    )
    return [str(program("nsd")), "-d", "-c", str(folder / "nsd.conf")]


def _knot(name: str, zones: Mapping[str, Path], folder: Path, port: int) -> list[str]:
    lines = [f' - domain: "{origin}"\n   file: {path}\n' for origin, path in zones.items()]
    (folder / "knot.conf").write_text(
        f"server:\n listen: 127.0.0.1@{port}\n rundir: {folder}\n udp-workers: 1\n tcp-workers: 1\n background-workers: 1\n"
        f"database:\n storage: {folder}\ntemplate:\n - id: default\n   zonefile-sync: -1\n   journal-content: none\n"
        "log:\n - target: stderr\n   any: warning\nzone:\n" + "".join(lines)
    )
    return [str(program("knotd")), "-c", str(folder / "knot.conf")]


def _wait_for(server: NameServer, origins: list[str], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    waiting = list(origins)
    while waiting:
        try:
            if server.ask(waiting[-1], "SOA").answer:
                waiting.pop()
                continue
        except (ConnectionError, TimeoutError):
            pass
        if process.poll() is not None or monotonic() > deadline:
            raise TimeoutError(f"{server.name} does not serve {waiting[-1]}: {log.read_text(errors='replace')[-2000:]}")
        sleep(0.05)
