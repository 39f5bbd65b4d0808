"""The outcomes as they are kept in results.json, from which tables and chart are made."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .latency import Latency
from .outcome import Comparison, Measured, typical
from .workload import Limits

SAME_WORK = "same work in"
"""How evenly the measured core runs, among what else is known of the machine."""
PROBLEMS_KEPT, PROBLEM_LENGTH = 20, 400


class ResultsError(Exception):
    """A file that holds no results as they are written now."""


@dataclass(frozen=True)
class Figures:
    """One contender's: medians, and of each round CPU time per answer and answers a second."""

    cpu_us: float | None
    rate: float | None
    lost: int
    lost_pressed: int
    first_answer_ms: float
    resident_mb: float
    longest_pause_ms: float | None
    half: Latency | None
    equal: Latency | None
    rounds: list[tuple[float, float]]


@dataclass(frozen=True)
class Result:
    """A workload's; the first contender is CoreDNS, the last ours."""

    name: str
    title: str
    machine: dict[str, str]
    contenders: dict[str, Figures]
    ratios: list[float]  # of each round, the least first
    goal: float | None
    limits: Limits | None
    scaling: float | None
    shortfalls: list[str]
    problems: list[str]
    missing: list[str]

    @property
    def ratio(self) -> float:
        """The first contender's CPU time per answer by ours, in the median round."""
        return statistics.median(self.ratios)

    @property
    def first(self) -> Figures:
        """CoreDNS's."""
        return next(iter(self.contenders.values()))

    @property
    def ours(self) -> Figures:
        """Those of the last."""
        return list(self.contenders.values())[-1]

    @property
    def peers(self) -> dict[str, Figures]:
        """Those between first and last."""
        return dict(list(self.contenders.items())[1:-1])


def machine() -> dict[str, str]:
    """What it is measured on."""
    models = {line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": ", ".join(sorted(models)) or platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
    }


def result_of(comparison: Comparison, versions: Mapping[str, str]) -> Result:
    """The figures of a comparison, measured now on this machine."""
    workload = comparison.workload
    names = {"CoreDNS", comparison.contenders[-1].name, "Python", SAME_WORK, *workload.peers}
    return Result(
        name=workload.name,
        title=workload.title,
        machine=machine() | {name: version for name, version in versions.items() if name in names},
        contenders={each.name: _figures(each) for each in comparison.contenders},
        ratios=[] if workload.limits else [round(each, 3) for each in comparison.ratios()],
        goal=workload.goal,
        limits=workload.limits,
        scaling=round(comparison.scaling(), 3) if workload.workers else None,
        shortfalls=comparison.shortfalls(),
        problems=[each[:PROBLEM_LENGTH] for each in comparison.problems[:PROBLEMS_KEPT]],
        missing=comparison.missing,
    )


def _figures(measured: Measured) -> Figures:
    return Figures(
        cpu_us=round(measured.cpu_us, 3) if measured.rounds else None,
        rate=round(measured.rate) if measured.rounds else None,
        lost=measured.lost,
        lost_pressed=measured.lost_pressed,
        first_answer_ms=round(measured.first_answer_ms, 1),
        resident_mb=round(measured.resident_mb, 1),
        longest_pause_ms=measured.longest_pause_ms,
        half=typical(measured.half),
        equal=typical(measured.equal),
        rounds=[(round(each.cpu_us, 3), round(each.rate)) for each in measured.rounds],
    )


def read_results(path: Path) -> dict[str, Result]:
    """What is known already, by the workloads' names."""
    try:
        known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return {name: _result(content) for name, content in known.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{path} was not written by this version of the benchmarks; remove it, or give another by --json"
        ) from error


def _result(content: dict[str, Any]) -> Result:
    limits = content["limits"] and Limits(**content["limits"])
    contenders = {name: _read_figures(each) for name, each in content["contenders"].items()}
    return Result(**{**content, "limits": limits, "contenders": contenders})


def _read_figures(content: dict[str, Any]) -> Figures:
    latencies = {name: content[name] and Latency(**content[name]) for name in ("half", "equal")}
    return Figures(**{**content, **latencies, "rounds": [(cpu, rate) for cpu, rate in content["rounds"]]})


def write_results(results: Sequence[Result], path: Path) -> dict[str, Result]:
    """Puts results into the file, each under its workload's name; those of other workloads stay. Gives all."""
    known = read_results(path) | {each.name: each for each in results}
    known = dict(sorted(known.items()))
    lines = [f"{json.dumps(name)}: {_json(asdict(each))}" for name, each in known.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return known


def _json(content: dict[str, Any]) -> str:
    """One line for each part, so that a difference between two versions can be read."""
    contenders = content.pop("contenders")
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    figures = ",\n".join(f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in contenders.items())
    return "{\n" + ",\n".join([*lines, f' "contenders": {{\n{figures}\n }}']) + "\n}"
