"""The servers that are compared: each with its own ports, and the same Corefile and data."""

from __future__ import annotations

import select
import shlex
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode

from .processes import SERVER_CORE, Process, free_port
from .sample import question

PATIENCE = 60.0  # until a server has loaded its data and answers
RETRY = 0.002  # seconds between the questions of a start
UNREADY = {dns.rcode.SERVFAIL, dns.rcode.REFUSED}


@dataclass(frozen=True)
class Contender:
    """A server to start: its name in the table and its command, in which {corefile} is replaced."""

    name: str
    command: str


class Server:
    """A contender that has been started on the measured core; ended by `stop`."""

    def __init__(self, contender: Contender, corefile: str, places: Mapping[str, str], folder: Path):
        """Start it; its Corefile and output are written to `folder`."""
        self.name = contender.name
        self.port = free_port()
        own = {"port": str(self.port), "http": str(free_port()), "dir": str(folder)}
        path = folder / f"Corefile.{self.port}"
        path.write_text(filled_in(corefile, {**places, **own}))
        command = shlex.split(contender.command.replace("{corefile}", shlex.quote(str(path))))
        self.process = Process(command, SERVER_CORE, folder, folder / f"output.{self.port}")

    def wait_until_answering(self, line: str) -> float:
        """Asks a question until it gets an answer that says neither SERVFAIL nor REFUSED; seconds since the start."""
        query = question(line).to_wire()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.port))
            while not _answered(sock, query):
                if self.process.ended() or time.perf_counter() - self.process.started > PATIENCE:
                    raise RuntimeError(f"{self.name} does not answer {line!r}:\n{self.process.last_words()}")
        return time.perf_counter() - self.process.started

    def forget_output(self) -> None:
        """Empties the file of its output, so that a log of millions of lines fills no disk."""
        self.process.output.write_bytes(b"")


def _answered(sock: socket.socket, query: bytes) -> bool:
    """One try."""
    try:
        sock.send(query)
        if select.select([sock], [], [], RETRY)[0]:
            return dns.message.from_wire(sock.recv(65535)).rcode() not in UNREADY
    except ConnectionRefusedError:
        time.sleep(RETRY / 4)
    except dns.exception.DNSException:
        pass
    return False


def filled_in(text: str, places: Mapping[str, str]) -> str:
    """A Corefile with its {{placeholders}} replaced."""
    for name, value in places.items():
        text = text.replace("{{" + name + "}}", value)
    return text
