"""One workload with its data in place: servers started, answers compared, rounds interleaved, latencies taken."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dns.message

from . import latency, pauses, sample
from .latency import Latency
from .load import Answers, Target, ask
from .outcome import Comparison, Measured, Round
from .processes import LOAD_CORE, SERVER_CORE, on_cores
from .questions import Style, write_framed
from .servers import Contender, Server
from .workload import Workload

WARM_UP = 1.0  # seconds of load that are not measured
NEVER_ASKED = -1  # a round number of questions that the rounds do not ask
STEADY_ROUND = 1000  # the first of the round numbers of questions asked at a steady rate
STEADY_ROUNDS = 3  # at most
STEADY_LIMIT = 60_000  # questions in a second: what can be sent by the schedule
PRESSED = 0.8  # of saturation
RCODE_TOLERANCE = 0.001  # share of answers by which two servers' response codes may differ
CHANCE_TOLERANCE = 0.01  # the same where what has been asked within the time is drawn, or questions get lost
FULL_CACHES = 3  # a full cache of CoreDNS gives up any of its answers for a new one, that of the sample's last question too
PORTS_FOR_ALL = 10  # that many clients, and each worker has got one
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int
    seconds: float
    sample: int = 50  # questions whose answers are compared

    @property
    def steady_rounds(self) -> int:
        """Of latencies."""
        return min(self.rounds, STEADY_ROUNDS)


def part(cores: Collection[int], share: float) -> Collection[int]:
    """As many of them as a server gets that is to bear this share of the load."""
    return set(sorted(cores)[: max(round(len(cores) * share), 1)])


class Bench:
    """One workload on all contenders."""

    def __init__(
        self,
        workload: Workload,
        contenders: Sequence[Contender],
        start: Callable[[Contender, Collection[int]], Server],
        dnsperf: str,
        effort: Effort,
        folder: Path,
        etcd: str = "",
    ):
        """`start` starts a contender; its end is somebody else's, as is that of etcd, whose URL may be given."""
        self.workload, self.contenders, self.start, self.etcd = workload, contenders, start, etcd
        self.dnsperf, self.effort, self.folder = dnsperf, effort, folder
        self.outcome = Comparison(workload, [Measured(each.name) for each in contenders])
        self.first, *self.sample = workload.messages(NEVER_ASKED, 1 + effort.sample)
        shared = set(range(workload.workers.count)) if workload.workers else None  # several workers share cores with the load
        self.cores, self.load_cores = shared or {SERVER_CORE}, shared or {LOAD_CORE}

    def started(self) -> list[Server]:
        """All contenders, each when the one before answers."""
        servers = []
        for contender, measured in zip(self.contenders, self.outcome.contenders, strict=True):
            servers.append(self.start(contender, part(self.cores, contender.share)))
            measured.first_answers_ms.append(servers[-1].wait_until_answering(self._first_question()) * 1000)
        return servers

    def _first_question(self) -> bytes:
        """What is asked until there is an answer; of a transfer's zone the SOA."""
        question = dns.message.from_wire(self.first).question[0]
        kind = "SOA" if self.workload.load.protocol == "axfr" else question.rdtype.name
        return Style().message(question.name.to_text(), kind, random.Random(0))

    def measure_load(self) -> Comparison:
        """CPU time per answer under load, rounds interleaved, then latencies."""
        began, servers = time.monotonic(), self.started()
        self.compare_answers(servers, 2)
        for server in servers:
            self._ask(server, 0, WARM_UP)
            server.forget_output()
        for number in range(1, self.effort.rounds + 1):
            for server, measured in zip(servers, self.outcome.contenders, strict=True):
                measured.rounds.append(self._round(server, number))
            self._compare_rcodes()
        for number in range(self.effort.steady_rounds if self.workload.load.steady else 0):
            self._steady_round(servers, STEADY_ROUND + 3 * number)
        self._fill_caches(servers[0].port, servers[-1].port, times=1)  # in one of them what was kept may just have run out
        self._compare_sample(servers, time.monotonic() - began, FULL_CACHES)
        for server, measured in zip(servers, self.outcome.contenders, strict=True):
            measured.resident_mb = server.process.resident_bytes() / MEGABYTE
        return self.outcome

    def _round(self, server: Server, number: int) -> Round:
        before = server.process.cpu_seconds()
        answers = self._ask(server, number, self.effort.seconds)
        used = {pid: seconds - before.get(pid, 0) for pid, seconds in server.process.cpu_seconds().items()}
        server.forget_output()
        if server.process.ended() or not answers.answered:
            raise RuntimeError(f"{server.name} stopped answering:\n{server.process.last_words()}")
        return Round(answers, sum(used.values()), max(used.values()))

    def _ask(self, server: Server, number: int, seconds: float) -> Answers:
        return ask(self.dnsperf, self._target(server), self.questions(number), self.workload.load.part(server.share), seconds)

    def _pressed(self, server: Server, number: int, rate: float) -> Answers:
        load, seconds = self.workload.load.part(server.share), self.effort.seconds
        return ask(self.dnsperf, self._target(server), self.questions(number, rate), load, seconds, rate)

    def _target(self, server: Server) -> Target:
        return Target(server.port, self.load_cores)

    def questions(self, number: int, rate: float | None = None) -> Path:
        """A file of them; where each is asked once, as many as this rate needs."""
        count = int(rate * self.effort.seconds) + 1 if rate and self.workload.load.once else None
        path = self.folder / f"questions.{number}.{count or 'all'}"  # one with less would be asked over and over at another rate
        if not path.exists():
            write_framed(path, self.workload.messages(number, count))
        return path

    def _steady_round(self, servers: list[Server], number: int) -> None:
        """Latencies at half of each one's saturation, and of all at half of the first one's; losses at 80 %."""
        first, given = self.outcome.contenders[0], self.workload.load.rate
        for server, measured in zip(servers, self.outcome.contenders, strict=True):
            measured.half.append(self._latency(server, number, given or measured.least_rate / 2))
            if not given:
                equal = measured is first
                measured.equal.append(measured.half[-1] if equal else self._latency(server, number + 1, first.least_rate / 2))
                measured.pressed.append(self._pressed(server, number + 2, measured.least_rate * PRESSED))
            server.forget_output()

    def _latency(self, server: Server, number: int, rate: float) -> Latency:
        load, rate, seconds = self.workload.load.part(server.share), min(rate, STEADY_LIMIT), self.effort.seconds
        path = self.questions(number, rate)
        with on_cores(self.load_cores):
            arguments = (server.port, path, load.transport, load.clients, rate, seconds, load.patience)
            return latency.measured_by_process(*arguments, seconds=seconds + load.patience)

    def compare_answers(self, servers: list[Server], ttl_tolerance: float) -> None:
        """Asks the sample twice, for an answer is made first, and kept then; of peers the essence."""
        if self.workload.workers:
            self._fill_caches(servers[0].port, servers[-1].port, PORTS_FOR_ALL)
        for _ in range(2):
            self._compare_sample(servers, ttl_tolerance)
        for server in servers[1:-1]:
            if server.name in self.workload.peers:
                ports = servers[0].port, server.port
                self.outcome.problems += [f"{server.name}: {each}" for each in self._peer_differences(ports)]

    def _peer_differences(self, ports: tuple[int, int]) -> list[str]:
        load = self.workload.load
        if load.protocol == "axfr":
            return sample.transfer_differences(self.first, ports)
        return sample.differing_answers(self.sample, ports, load.transport)

    def _fill_caches(self, first: int, last: int, times: int) -> None:
        """Asks the sample without a comparison. Which of several workers answers is the kernel's choice, by the client's port."""
        load = self.workload.load
        if load.protocol != "axfr" and not self.workload.upstream.loss:
            for _ in range(times):
                sample.differences(self.sample, (first, last), load.transport, 0, load.patience)

    def _compare_sample(self, servers: list[Server], ttl_tolerance: float, times: int = 1) -> None:
        """What differs each of so many times."""
        ports, load = (servers[0].port, servers[-1].port), self.workload.load
        if self.workload.upstream.loss:
            return  # whose question is lost is chance
        if load.protocol == "axfr":
            self.outcome.problems += sample.transfer_differences(self.first, ports)
        else:
            asked = [sample.differences(self.sample, ports, load.transport, ttl_tolerance, load.patience) for _ in range(times)]
            lasting: list[str] = min(asked, key=len)
            self.outcome.problems += lasting

    def _compare_rcodes(self) -> None:
        """Of the last round, with the first contender's."""
        one, *others = (each.rounds[-1].answers for each in self.outcome.contenders)
        chance = len(self.workload.questions) > 1 or self.workload.upstream.loss
        tolerance = CHANCE_TOLERANCE if chance else RCODE_TOLERANCE
        for contender, other in zip(self.contenders[1:], others, strict=True):
            for rcode in one.rcodes.keys() | other.rcodes.keys():
                shares = [each.rcodes.get(rcode, 0) / each.answered for each in (one, other)]
                if abs(shares[0] - shares[1]) > tolerance:
                    self.outcome.problems.append(f"{contender.name}: {rcode} {shares[0]:.1%} and {shares[1]:.1%} of the answers")

    def measure_start(self) -> Comparison:
        """Time from exec to the first answer, and memory then, of each contender in turn."""
        for _ in range(self.effort.rounds):
            for contender, measured in zip(self.contenders, self.outcome.contenders, strict=True):
                server = self.start(contender, self.cores)
                measured.first_answers_ms.append(server.wait_until_answering(self._first_question()) * 1000)
                measured.resident_mb = max(measured.resident_mb, server.process.resident_bytes() / MEGABYTE)
                if self.workload.limits and self.workload.limits.pause_ms:
                    measured.longest_pause_ms = max(measured.longest_pause_ms or 0, self._longest_pause(server) or 0) or None
                server.process.stop()
        return self.outcome

    def _longest_pause(self, server: Server) -> float | None:
        """Since the start, and while records change; not asked of a server that does not tell."""
        limits, records = self.workload.limits, self.workload.etcd
        if limits and limits.changes and records and pauses.longest_pause_ms(server.http_port) is not None:
            some, last = replace(records, count=limits.changes), self.workload.questions[0].name.format(limits.changes - 1)
            query = Style().message(last, "A", random.Random(0))
            pauses.change_and_change_back(self.etcd, some, limits.changed_text, lambda: pauses.answer_of(server.port, query))
        return pauses.longest_pause_ms(server.http_port)
