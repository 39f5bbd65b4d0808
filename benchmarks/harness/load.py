"""Load as fast as a server bears it, and what came back: by dnsperf, or for what it cannot ask by programs of our own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .processes import on_cores
from .workload import Load

PATIENCE = 30  # seconds a generator of load may take longer than it was told
OWN_PROGRAMS = {"connect": "connecting_load.py", "axfr": "transfer_load.py"}


@dataclass(frozen=True)
class Answers:
    """What came back in one run; of zone transfers the records."""

    asked: int
    answered: int
    lost: int
    seconds: float
    mean_latency_ms: float
    rcodes: dict[str, int]


@dataclass(frozen=True)
class Target:
    """Whom to ask, and the cores that the load comes from."""

    port: int
    cores: Collection[int]


def ask(dnsperf: str, target: Target, questions: Path, load: Load, seconds: float, rate: float | None = None) -> Answers:
    """Asks the questions of a file for so many seconds at most, over and over unless `once`; at most `rate` in a second.

    From each core comes an equal part of it.
    """
    if load.protocol in OWN_PROGRAMS:
        return _by_own_program(target, questions, load, seconds)
    share, rate = 1 / len(target.cores), rate or load.rate or 0
    common = [dnsperf, "-s", "127.0.0.1", "-p", str(target.port), "-d", str(questions), "-l", str(seconds)]
    with ThreadPoolExecutor(len(target.cores)) as pool:
        runs = [pool.submit(_by_dnsperf, common, core, load.part(share), seconds, rate * share) for core in target.cores]
        return together([run.result() for run in runs])


def _by_dnsperf(common: Sequence[str], core: int, load: Load, seconds: float, rate: float) -> Answers:
    command = [*common, "-B", "-m", load.protocol, "-T", "1", "-c", str(load.clients), "-t", str(load.patience)]
    command += ["-n", "1"] if load.once else []
    outstanding = load.outstanding
    if rate:
        command += ["-Q", f"{rate:.0f}"]
        outstanding = max(outstanding, min(int(rate * load.patience), 60_000))
    return parse(_run([*command, "-q", str(outstanding)], [core], seconds + load.patience))


def together(parts: Sequence[Answers]) -> Answers:
    """What came back to several at once."""
    answered = sum(each.answered for each in parts)
    return Answers(
        asked=sum(each.asked for each in parts),
        answered=answered,
        lost=sum(each.lost for each in parts),
        seconds=max(each.seconds for each in parts),
        mean_latency_ms=sum(each.mean_latency_ms * each.answered for each in parts) / max(answered, 1),
        rcodes=dict(sum((Counter(each.rcodes) for each in parts), Counter())),
    )


def _by_own_program(target: Target, questions: Path, load: Load, seconds: float) -> Answers:
    program = Path(__file__).with_name(OWN_PROGRAMS[load.protocol])
    command = [sys.executable, str(program), str(target.port), str(questions), str(load.outstanding), str(seconds)]
    return Answers(**json.loads(_run(command, target.cores, seconds)))


def _run(command: Sequence[str], cores: Collection[int], seconds: float) -> str:
    with on_cores(cores):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def parse(report: str) -> Answers:
    """Reads dnsperf's statistics."""
    return Answers(
        asked=int(_number("Queries sent", report)),
        answered=int(_number("Queries completed", report)),
        lost=int(_number("Queries lost", report)),
        seconds=_number(r"Run time \(s\)", report),
        mean_latency_ms=_number(r"Average Latency \(s\)", report) * 1000,
        rcodes={name: int(count) for name, count in re.findall(r"\b([A-Z]+\d*) (\d+) \(\d", report)},
    )


def _number(label: str, report: str) -> float:
    found = re.search(label + r":\s+([\d.]+)", report)
    if not found:
        raise RuntimeError(f"dnsperf's report lacks {label!r}")
    return float(found[1])
