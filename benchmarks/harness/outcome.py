"""What a comparison found: the figures of each contender, and whether the goals were reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from .latency import Latency
from .load import Answers
from .workload import Workload


@dataclass(frozen=True)
class Round:
    """One contender's part of one round."""

    answers: Answers
    cpu_seconds: float
    busiest_seconds: float = 0.0  # of them, those of its busiest process

    @property
    def cpu_us(self) -> float:
        """User and system time per answer, in microseconds."""
        return self.cpu_seconds * 1e6 / self.answers.answered if self.answers.answered else float("nan")

    @property
    def busiest_us(self) -> float:
        """The busiest process's time per answer of all: on cores enough, what the rate is bound by."""
        return self.busiest_seconds * 1e6 / self.answers.answered if self.answers.answered else float("nan")

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers.answered / self.answers.seconds


@dataclass
class Measured:
    """All that was measured of one contender."""

    name: str
    rounds: list[Round] = field(default_factory=list)
    half: list[Latency] = field(default_factory=list)  # at half of its own saturation, or the workload's rate
    equal: list[Latency] = field(default_factory=list)  # at half of the first contender's saturation
    pressed: list[Answers] = field(default_factory=list)  # at 80 % of its own saturation
    first_answers_ms: list[float] = field(default_factory=list)
    resident_mb: float = 0.0
    longest_pause_ms: float | None = None  # of the event loop; None where the server does not tell

    @property
    def cpu_us(self) -> float:
        """The median round's CPU time per answer."""
        return statistics.median(each.cpu_us for each in self.rounds)

    @property
    def busiest_us(self) -> float:
        """The median round's time of the busiest process per answer."""
        return statistics.median(each.busiest_us for each in self.rounds)

    @property
    def rate(self) -> float:
        """The median round's answers a second."""
        return statistics.median(each.rate for each in self.rounds)

    @property
    def least_rate(self) -> float:
        """Answers a second in the worst round: that much is borne all the time."""
        return min(each.rate for each in self.rounds)

    @property
    def lost(self) -> int:
        """Questions without an answer at saturation, or at the workload's rate, of all rounds."""
        return sum(each.answers.lost for each in self.rounds)

    @property
    def lost_pressed(self) -> int:
        """Questions without an answer at 80 % of saturation."""
        return sum(each.lost for each in self.pressed)

    @property
    def first_answer_ms(self) -> float:
        """The median time from exec to the first answer."""
        return statistics.median(self.first_answers_ms)


def typical(latencies: Sequence[Latency]) -> Latency | None:
    """Medians of several rounds; None of none."""
    if not latencies:
        return None
    columns = {name: round(statistics.median(getattr(each, name) for each in latencies), 1) for name in QUANTILES}
    return Latency(latencies[0].rate, sum(each.asked for each in latencies), sum(each.lost for each in latencies), **columns)


QUANTILES = ("p50_us", "p99_us", "p999_us", "behind_us")


@dataclass
class Comparison:
    """A workload's outcome; the first contender is CoreDNS, the last ours, between them peers."""

    workload: Workload
    contenders: list[Measured]
    problems: list[str] = field(default_factory=list)  # answers that differ
    missing: list[str] = field(default_factory=list)  # peers that are not installed

    def ratios(self) -> list[float]:
        """The first contender's CPU time per answer by the last one's, for each round, the least first."""
        pairs = zip(self.contenders[0].rounds, self.contenders[-1].rounds, strict=True)
        return sorted(one.cpu_us / other.cpu_us for one, other in pairs)

    def scaling(self) -> float:
        """How many times as much as one worker several bear, on cores of their own: what bounds them is the busiest."""
        return self.contenders[-2].cpu_us / self.contenders[-1].busiest_us

    def shortfalls(self) -> list[str]:
        """What was not reached, and by how much."""
        workload, ours = self.workload, self.contenders[-1]
        if self.problems:
            return ["answers differ"]
        if limits := workload.limits:
            found = [] if ours.first_answer_ms <= limits.first_answer_ms else [f"starts in {ours.first_answer_ms:.0f} ms"]
            found += [] if ours.resident_mb <= limits.resident_mb else [f"takes {ours.resident_mb:.0f} MB"]
            paused = ours.longest_pause_ms or 0 if limits.pause_ms else 0
            return found + ([f"stands still for up to {paused:g} ms"] if paused > limits.pause_ms else [])
        return [*self._too_dear(), *self._too_late(), *self._lost()]

    def _too_dear(self) -> list[str]:
        workload, found = self.workload, []
        if workload.goal and statistics.median(self.ratios()) < workload.goal:
            found.append(f"ratio below {workload.goal:g}")
        for peer in self.contenders:
            most = workload.peers[peer.name].at_most if peer.name in workload.peers else None
            if most and (ratio := self.contenders[-1].cpu_us / peer.cpu_us) > most:
                found.append(f"{ratio:.2f} times {peer.name}'s cost")
        if workload.workers and self.scaling() < workload.workers.scaling:
            found.append(f"below {workload.workers.scaling:g} times one worker")
        return found

    def _too_late(self) -> list[str]:
        """Of the 99th percentiles: those of questions that left in time."""
        one, other = typical(self.contenders[0].half), typical(self.contenders[-1].half)
        if not one or not other or not other.in_time or other.p99_us <= one.p99_us:
            return []
        return [f"p99 {other.p99_us:.0f} µs against {one.p99_us:.0f}"]

    def _lost(self) -> list[str]:
        ours = self.contenders[-1]
        lost = ours.lost_pressed + (ours.lost if self.workload.load.rate else 0)
        return [f"{lost} lost"] if lost else []

    def reached(self) -> bool:
        """Whether the answers were alike and every goal was met."""
        return not self.shortfalls()
