"""One workload on all contenders: data and servers started, rounds interleaved, answers compared, all ended again."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from . import sample
from .etcd import fill, running_etcd
from .load import Answers, ask
from .processes import LOAD_CORE, Process, free_port
from .servers import Contender, Server
from .workload import Load, Records, Workload

SAMPLE = 50  # questions whose answers are compared
WARM_UP = 1.0  # seconds of load that are not measured
NEVER_ASKED = -1  # a round number of questions that the rounds do not ask
RCODE_TOLERANCE = 0.001  # share of answers by which two servers' response codes may differ
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Round:
    """One contender's part of one round."""

    answers: Answers
    cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """User and system time per answer, in microseconds."""
        return self.cpu_seconds * 1e6 / self.answers.answered if self.answers.answered else float("nan")

    @property
    def rate(self) -> float:
        """Answers a second, as dnsperf saw them."""
        return self.answers.answered / self.answers.seconds


@dataclass
class Measured:
    """All that was measured of one contender."""

    name: str
    rounds: list[Round] = field(default_factory=list)
    first_answers_ms: list[float] = field(default_factory=list)
    resident_mb: float = 0.0

    @property
    def cpu_us(self) -> float:
        """The median round's CPU time per answer."""
        return statistics.median(each.cpu_us for each in self.rounds)

    @property
    def rate(self) -> float:
        """The median round's answers a second."""
        return statistics.median(each.rate for each in self.rounds)

    @property
    def lost(self) -> int:
        """Questions without an answer, of all rounds."""
        return sum(each.answers.lost for each in self.rounds)

    @property
    def first_answer_ms(self) -> float:
        """The median time from exec to the first answer."""
        return statistics.median(self.first_answers_ms)


@dataclass
class Comparison:
    """A workload's outcome; the first contender is the one compared with."""

    workload: Workload
    contenders: list[Measured]
    problems: list[str] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """The first contender's CPU time per answer by the last one's, for each round."""
        pairs = zip(self.contenders[0].rounds, self.contenders[-1].rounds, strict=True)
        return sorted(one.cpu_us / other.cpu_us for one, other in pairs)

    def reached(self) -> bool:
        """Whether the answers were alike and the goal was met."""
        if self.problems:
            return False
        limits, ours = self.workload.limits, self.contenders[-1]
        if limits:
            return ours.first_answer_ms <= limits.first_answer_ms and ours.resident_mb <= limits.resident_mb
        return self.workload.goal is None or statistics.median(self.ratios()) >= self.workload.goal


class Laboratory:
    """Runs comparisons; what it starts (etcd stays for the workloads that share its data) ends when it is left."""

    def __init__(self, contenders: Sequence[Contender], dnsperf: str, rounds: int, seconds: float):
        """Compare these, with so many rounds of so many seconds for each workload."""
        self.contenders, self.dnsperf, self.rounds, self.seconds = contenders, dnsperf, rounds, seconds
        self._started = ExitStack()
        self._etcds: dict[Records, str] = {}

    def __enter__(self) -> Laboratory:
        """Nothing is started before it is needed."""
        return self

    def __exit__(self, *reason: object) -> None:
        """End every etcd."""
        self._started.close()

    def compare(self, workload: Workload) -> Comparison:
        """Runs a workload."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pycoredns-benchmark-")))
            places = self._prepare(workload, folder, stack)
            bench = Bench(self, workload, folder, places)
            return bench.measure_start() if workload.limits else bench.measure_load()

    def _prepare(self, workload: Workload, folder: Path, stack: ExitStack) -> dict[str, str]:
        """Writes the files and starts what stands behind the servers; gives the placeholders' values."""
        for name, records in workload.files.items():
            (folder / name).write_text("".join(f"{text}\n" for _, text in records.items()))
        places = {}
        if "{{upstream}}" in workload.corefile:
            places["upstream"] = _start_upstream(folder, stack)
        if workload.etcd:
            places["etcd"] = self._etcd_with(workload.etcd)
        return places

    def _etcd_with(self, records: Records) -> str:
        """URL of an etcd that holds these records."""
        if records not in self._etcds:
            folder = Path(self._started.enter_context(tempfile.TemporaryDirectory(prefix="pycoredns-benchmark-")))
            self._etcds[records] = self._started.enter_context(running_etcd(folder))
            fill(self._etcds[records], records.items())
        return self._etcds[records]


def _start_upstream(folder: Path, stack: ExitStack) -> str:
    """Starts the stub name server; its host:port."""
    port = free_port()
    program = Path(__file__).with_name("stub_upstream.py")
    stack.callback(Process([sys.executable, str(program), str(port)], LOAD_CORE, folder, folder / "upstream.log").stop)
    return f"127.0.0.1:{port}"


class Bench:
    """One workload, with its data in place."""

    def __init__(self, laboratory: Laboratory, workload: Workload, folder: Path, places: dict[str, str]):
        """`places` are the values of the Corefile's placeholders that all contenders share."""
        self.laboratory, self.workload, self.folder, self.places = laboratory, workload, folder, places
        self.outcome = Comparison(workload, [Measured(each.name) for each in laboratory.contenders])
        self.first, *self.sample = islice(workload.questions.lines(NEVER_ASKED), 1 + SAMPLE)

    def _start(self, contender: Contender, stack: ExitStack) -> Server:
        server = Server(contender, self.workload.corefile, self.places, self.folder)
        stack.callback(server.process.stop)
        return server

    def measure_load(self) -> Comparison:
        """CPU time per answer under load, rounds interleaved."""
        with ExitStack() as stack:
            servers = [self._start(each, stack) for each in self.laboratory.contenders]
            for server in servers:
                server.wait_until_answering(self.first)
            self._rounds(servers)
            for server, measured in zip(servers, self.outcome.contenders, strict=True):
                measured.resident_mb = server.process.resident_bytes() / MEGABYTE
        return self.outcome

    def _rounds(self, servers: list[Server]) -> None:
        began = time.monotonic()
        for _ in ("an answer made", "an answer kept"):
            self._compare_sample(servers, 2)
        for server in servers:
            self._ask(server, Load(**{**vars(self.workload.load), "once": True}), 0, WARM_UP)
        for number in range(1, self.laboratory.rounds + 1):
            for server, measured in zip(servers, self.outcome.contenders, strict=True):
                measured.rounds.append(self._round(server, number))
            self._compare_rcodes()
        self._compare_sample(servers, time.monotonic() - began)

    def _round(self, server: Server, number: int) -> Round:
        before = server.process.cpu_seconds()
        answers = self._ask(server, self.workload.load, number, self.laboratory.seconds)
        used = server.process.cpu_seconds() - before
        server.forget_output()
        if server.process.ended() or not answers.answered:
            raise RuntimeError(f"{server.name} stopped answering:\n{server.process.last_words()}")
        return Round(answers, used)

    def _ask(self, server: Server, load: Load, number: int, seconds: float) -> Answers:
        path = self.folder / f"questions.{number}"
        if not path.exists():
            path.write_text("\n".join(self.workload.questions.lines(number)) + "\n")
        return ask(self.laboratory.dnsperf, server.port, path, load, seconds)

    def _compare_sample(self, servers: list[Server], ttl_tolerance: float) -> None:
        ports = servers[0].port, servers[-1].port
        self.outcome.problems += sample.differences(self.sample, ports, self.workload.load.protocol, ttl_tolerance)

    def _compare_rcodes(self) -> None:
        one, other = (each.rounds[-1].answers for each in (self.outcome.contenders[0], self.outcome.contenders[-1]))
        for rcode in one.rcodes.keys() | other.rcodes.keys():
            shares = [each.rcodes.get(rcode, 0) / each.answered for each in (one, other)]
            if abs(shares[0] - shares[1]) > RCODE_TOLERANCE:
                self.outcome.problems.append(f"{rcode}: {shares[0]:.1%} and {shares[1]:.1%} of the answers")

    def measure_start(self) -> Comparison:
        """Time from exec to the first answer, and memory then, of each contender in turn."""
        for _ in range(self.laboratory.rounds):
            for contender, measured in zip(self.laboratory.contenders, self.outcome.contenders, strict=True):
                with ExitStack() as stack:
                    server = self._start(contender, stack)
                    measured.first_answers_ms.append(server.wait_until_answering(self.first) * 1000)
                    measured.resident_mb = max(measured.resident_mb, server.process.resident_bytes() / MEGABYTE)
        return self.outcome
