"""The servers that are compared: each with its own ports, and the same data."""

from __future__ import annotations

import select
import shlex
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .processes import Process, free_port

PATIENCE = 60.0  # until a server has loaded its data and answers
RETRY = 0.002  # seconds between the questions of a start
UNREADY = {2, 5}  # SERVFAIL, REFUSED


@dataclass(frozen=True)
class Contender:
    """A server to start: its name in the table, its command, in which {corefile} is replaced, and its configuration."""

    name: str
    command: str
    configuration: str
    share: float = 1.0  # of the workload's cores, clients and questions in flight


class Server:
    """A contender that has been started; ended by `process.stop()`."""

    def __init__(
        self, contender: Contender, places: Mapping[str, str], folder: Path, cores: Collection[int], piped: bool = False
    ):
        """Start it on these cores; its configuration and output are written to `folder`."""
        self.name, self.share = contender.name, contender.share
        self.port, self.http_port = free_port(), free_port()
        state = folder / f"state.{self.port}"
        state.mkdir()
        own = {"port": str(self.port), "dir": str(folder), "state": str(state)}
        own |= {"http": str(self.http_port), "health": str(free_port()), "ready": str(free_port())}
        path = folder / f"Corefile.{self.port}"
        path.write_text(filled_in(contender.configuration, {**places, **own}))
        command = shlex.split(contender.command.replace("{corefile}", shlex.quote(str(path))))
        self.process = Process(command, cores, folder, folder / f"output.{self.port}", piped)

    def wait_until_answering(self, query: bytes) -> float:
        """Asks a question until it gets an answer that says neither SERVFAIL nor REFUSED; seconds since the start."""
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.port))
            while not _answered(sock, query):
                if self.process.ended() or time.perf_counter() - self.process.started > PATIENCE:
                    raise RuntimeError(f"{self.name} does not answer:\n{self.process.last_words()}")
        return time.perf_counter() - self.process.started

    def forget_output(self) -> None:
        """Empties the file of its output, so that a log of millions of lines fills no disk."""
        self.process.output.write_bytes(b"")


def _answered(sock: socket.socket, query: bytes) -> bool:
    """One try; answers to earlier ones mean nothing any more."""
    try:
        while select.select([sock], [], [], 0)[0]:
            sock.recv(65535)
        sock.send(query)
        if select.select([sock], [], [], RETRY)[0]:
            if sock.recv(65535)[3] & 15 not in UNREADY:
                return True
            time.sleep(RETRY)  # the server has better things to do now
    except ConnectionRefusedError:
        time.sleep(RETRY / 4)
    return False


def filled_in(text: str, places: Mapping[str, str]) -> str:
    """A configuration with its {{placeholders}} replaced."""
    for name, value in places.items():
        text = text.replace("{{" + name + "}}", value)
    return text
