"""A workload: what is asked, of which Corefile, over which data. Read from a file in workloads/."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .data import Records
from .questions import Kind, QuestionsError, Style, messages

PROTOCOLS = {"udp": "udp", "tcp": "tcp", "connect": "tcp", "axfr": "tcp"}
"""What a load may say: "connect" is a TCP connection for each question, "axfr" transfers a zone."""


class WorkloadError(Exception):
    """A workload file that cannot be used; the text names the file and the reason."""


@dataclass(frozen=True)
class Load:
    """How it is asked: `once` ends a round when each question was asked once, before its time is up.

    With a `rate` (questions in a second) the servers are not driven to their end, but all asked as often.
    """

    protocol: str = "udp"
    clients: int = 20
    outstanding: int = 200
    once: bool = False
    asked: int = 0  # questions made for a round; 0: as many as there are names
    rate: float | None = None
    patience: float = 2.0  # seconds until an answer counts as lost

    def __post_init__(self) -> None:
        """Refuse a protocol that cannot be asked."""
        if self.protocol not in PROTOCOLS:
            raise QuestionsError(f"unknown protocol {self.protocol!r}; there are {', '.join(PROTOCOLS)}")

    def part(self, share: float) -> Load:
        """The load of a server that is to bear this share of it."""
        return replace(self, clients=max(round(self.clients * share), 1), outstanding=max(round(self.outstanding * share), 1))

    @property
    def transport(self) -> str:
        """That of a single question."""
        return PROTOCOLS[self.protocol]

    @property
    def steady(self) -> bool:
        """Whether latencies are measured: of single questions, over sockets that stay."""
        return self.protocol in ("udp", "tcp")


@dataclass(frozen=True)
class Upstream:
    """The stub name server behind `{{upstream}}`: how late it answers, and what share of the questions it loses."""

    delay_ms: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True)
class Peer:
    """A server in another language beside ours: its configuration, and how many times its cost per answer ours may be."""

    config: str
    at_most: float | None = None


@dataclass(frozen=True)
class Limits:
    """Of a workload that measures the start instead of load: time from exec to the first answer, memory after it.

    With `pause_ms` the event loop must never stand still for longer, neither while etcd's data are loaded nor while the first
    `changes` of them become `changed_text` and what they were again.
    """

    first_answer_ms: float
    resident_mb: float
    pause_ms: float = 0.0
    changes: int = 0
    changed_text: str = ""


@dataclass(frozen=True)
class Workers:
    """Several processes of ours (`-workers count`) on as many cores; `scaling` is how many times as much they must bear."""

    count: int
    scaling: float


@dataclass(frozen=True)
class Workload:
    """One comparison; `goal` is the least ratio of CoreDNS's CPU time per answer to ours."""

    name: str
    title: str
    corefile: str
    questions: tuple[Kind, ...]
    goal: float | None = None
    style: Style = field(default_factory=Style)
    load: Load = field(default_factory=Load)
    etcd: Records | None = None
    files: Mapping[str, Records] = field(default_factory=dict)
    key: str = ""  # a zone for which a signing key is made: {{key}}
    upstream: Upstream = field(default_factory=Upstream)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    workers: Workers | None = None
    limits: Limits | None = None
    piped: bool = False  # what the servers print goes through a pipe
    default: bool = True  # whether it runs when no workload is named

    def messages(self, round_number: int, count: int | None = None) -> Iterator[bytes]:
        """The questions of a round, or the first of them."""
        wanted = count or self.load.asked or sum(kind.count for kind in self.questions)
        return messages(self.questions, self.style, round_number, wanted)

    def small(self, count: int) -> Workload:
        """The same over little data, to try whether it works."""
        return replace(
            self,
            questions=tuple(replace(kind, count=min(kind.count, count)) for kind in self.questions),
            load=replace(self.load, asked=min(self.load.asked, count)),
            etcd=self.etcd and replace(self.etcd, count=min(self.etcd.count, count)),
            files={name: replace(records, count=min(records.count, count)) for name, records in self.files.items()},
        )


PARTS = {"style": Style, "load": Load, "etcd": Records, "limits": Limits, "workers": Workers, "upstream": Upstream}
NAMED_PARTS = {"files": Records, "peers": Peer}


def load_workload(path: Path) -> Workload:
    """Reads a workload file; its name without the ending is the workload's."""
    try:
        return _from_table(path.stem, tomllib.loads(path.read_text()))
    except (OSError, TypeError, KeyError, QuestionsError, tomllib.TOMLDecodeError) as error:
        raise WorkloadError(f"{path}: {error}") from error


def _from_table(name: str, table: dict[str, Any]) -> Workload:
    kinds = table["questions"] if isinstance(table["questions"], list) else [table["questions"]]
    table["questions"] = tuple(_kind(each) for each in kinds)
    for key, part in PARTS.items():
        if key in table:
            table[key] = part(**table[key])
    for key, part in NAMED_PARTS.items():
        table[key] = {own: part(**content) for own, content in table.get(key, {}).items()}
    return Workload(name=name, **table)


def _kind(table: dict[str, Any]) -> Kind:
    lists: dict[str, Any] = {key: tuple(table[key]) for key in ("types", "search") if key in table}
    return Kind(**{**table, **lists})
