"""Questions by dnsperf, and what it says about the answers."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .processes import LOAD_CORE, on_core
from .workload import Load

ANSWER_TIMEOUT = 2  # seconds until dnsperf counts a question as lost


@dataclass(frozen=True)
class Answers:
    """What came back in one run of dnsperf."""

    asked: int
    answered: int
    lost: int
    seconds: float
    mean_latency_ms: float
    rcodes: dict[str, int]


def ask(dnsperf: str, port: int, questions: Path, load: Load, seconds: float) -> Answers:
    """Lets dnsperf ask the questions of a file for so many seconds at most, over and over unless `once`."""
    command = [dnsperf, "-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-m", load.protocol, "-T", "1"]
    command += ["-c", str(load.clients), "-q", str(load.outstanding), "-t", str(ANSWER_TIMEOUT), "-l", str(seconds)]
    command += ["-n", "1"] if load.once else []
    with on_core(LOAD_CORE):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    if done.returncode:
        raise RuntimeError(f"dnsperf failed: {done.stderr.strip()[-500:]}")
    return parse(done.stdout)


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
