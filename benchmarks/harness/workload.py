"""A workload: what is asked, of which Corefile, over which data. Read from a file in workloads/."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

FIRST_ADDRESS = int(IPv4Address("10.0.0.0"))


class WorkloadError(Exception):
    """A workload file that cannot be used; the text names the file and the reason."""


@dataclass(frozen=True)
class Questions:
    """The questions' list: `count` names made from `name`, each asked for `type`."""

    name: str
    count: int
    generator: str = "numbered"
    type: str = "A"

    def lines(self, round_number: int) -> Iterator[str]:
        """The questions of a round as dnsperf reads them, `name TYPE`."""
        for label in GENERATORS[self.generator](self.count, round_number):
            yield f"{self.name.format(label)} {self.type}"


def numbered(count: int, round_number: int) -> Iterable[str]:
    """0, 1, 2 … in an order that is random but the same in every round."""
    return map(str, random.Random(0).sample(range(count), count))


def unseen(count: int, round_number: int) -> Iterable[str]:
    """Labels that no other round asks for."""
    source = random.Random(round_number)
    return (f"{round_number}-{source.randrange(1 << 40):x}-{number}" for number in range(count))


GENERATORS = {"numbered": numbered, "unseen": unseen}


@dataclass(frozen=True)
class Records:
    """Generated data: `count` lines of `text`, in which {number} and {address} are filled in."""

    text: str
    count: int
    key: str = ""

    def items(self) -> Iterator[tuple[str, str]]:
        """Key and text of each."""
        for number in range(self.count):
            address = str(IPv4Address(FIRST_ADDRESS + number))
            yield self.key.format(number=number), self.text.replace("{number}", str(number)).replace("{address}", address)


@dataclass(frozen=True)
class Load:
    """How dnsperf asks: `once` ends a round when each question was asked once, before its time is up."""

    protocol: str = "udp"
    clients: int = 20
    outstanding: int = 200
    once: bool = False


@dataclass(frozen=True)
class Workload:
    """One comparison; `goal` is the least ratio of CoreDNS's CPU time per answer to ours, or the limits of a start."""

    name: str
    title: str
    corefile: str
    questions: Questions
    goal: float | None = None
    load: Load = field(default_factory=Load)
    etcd: Records | None = None
    files: dict[str, Records] = field(default_factory=dict)
    limits: Limits | None = None


@dataclass(frozen=True)
class Limits:
    """Of a workload that measures the start instead of load: time from exec to the first answer, memory after it."""

    first_answer_ms: float
    resident_mb: float


def load_workload(path: Path) -> Workload:
    """Reads a workload file; its name without the ending is the workload's."""
    try:
        return _from_table(path.stem, tomllib.loads(path.read_text()))
    except (OSError, TypeError, KeyError, tomllib.TOMLDecodeError) as error:
        raise WorkloadError(f"{path}: {error}") from error


def _from_table(name: str, table: dict[str, Any]) -> Workload:
    table["questions"] = Questions(**table["questions"])
    if table["questions"].generator not in GENERATORS:
        raise KeyError(f"unknown generator; there are {', '.join(GENERATORS)}")
    for key, kind in (("load", Load), ("etcd", Records), ("limits", Limits)):
        if key in table:
            table[key] = kind(**table[key])
    table["files"] = {file: Records(**records) for file, records in table.get("files", {}).items()}
    return Workload(name=name, **table)
