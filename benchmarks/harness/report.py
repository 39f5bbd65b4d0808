"""The outcome as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .comparison import Comparison, Measured

BEGIN, END = "<!-- figures: written by benchmarks/run --readme -->", "<!-- end of figures -->"


def table(comparisons: Sequence[Comparison]) -> str:
    """Markdown tables of the workloads and of the starts."""
    loads = [each for each in comparisons if not each.workload.limits]
    starts = [each for each in comparisons if each.workload.limits]
    return "\n\n".join(part for part in (load_table(loads), start_table(starts)) if part)


def load_table(comparisons: Sequence[Comparison]) -> str:
    """CPU time per answer beside each other."""
    if not comparisons:
        return ""
    one, other = (comparisons[0].contenders[index].name for index in (0, -1))
    head = ["workload", f"{one} µs/answer", f"{other} µs/answer", "ratio", "of rounds", "wanted", f"{one} q/s", f"{other} q/s"]
    return _markdown([*head, "lost", "RSS MB", ""], [_load_row(each) for each in comparisons])


def _load_row(each: Comparison) -> list[str]:
    one, other = each.contenders[0], each.contenders[-1]
    ratios = each.ratios()
    return [
        each.workload.title,
        f"{one.cpu_us:.1f}",
        f"{other.cpu_us:.1f}",
        f"{statistics.median(ratios):.2f}",
        f"{ratios[0]:.2f}-{ratios[-1]:.2f}",
        "" if each.workload.goal is None else f"{each.workload.goal:g}",
        f"{one.rate:,.0f}",
        f"{other.rate:,.0f}",
        f"{one.lost} / {other.lost}",
        f"{one.resident_mb:.0f} / {other.resident_mb:.0f}",
        _verdict(each),
    ]


def start_table(comparisons: Sequence[Comparison]) -> str:
    """Time to the first answer and resident memory beside each other."""
    if not comparisons:
        return ""
    one, other = (comparisons[0].contenders[index].name for index in (0, -1))
    head = ["start", f"{one} ms", f"{other} ms", "at most", f"{one} MB", f"{other} MB", "at most", ""]
    return _markdown(head, [_start_row(each) for each in comparisons])


def _start_row(each: Comparison) -> list[str]:
    one, other, limits = each.contenders[0], each.contenders[-1], each.workload.limits
    times = [f"{measured.first_answer_ms:.0f}" for measured in (one, other)]
    sizes = [f"{measured.resident_mb:.0f}" for measured in (one, other)]
    most = [f"{limits.first_answer_ms:g}", f"{limits.resident_mb:g}"] if limits else ["", ""]
    return [each.workload.title, *times, most[0], *sizes, most[1], _verdict(each)]


def _verdict(each: Comparison) -> str:
    if each.problems:
        return "answers differ"
    return "" if each.reached() else "below the goal"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def machine() -> dict[str, str]:
    """What it was measured on."""
    models = {line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": ", ".join(sorted(models)) or platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write_json(comparisons: Sequence[Comparison], versions: dict[str, str], path: Path) -> None:
    """Puts the outcomes into a JSON file, each under its workload's name; those of other workloads stay."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for each in comparisons:
        known[each.workload.name] = _object(each, versions)
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False) + "\n")


def _object(each: Comparison, versions: dict[str, str]) -> dict[str, Any]:
    limits = each.workload.limits
    return {
        "title": each.workload.title,
        "machine": machine() | versions,
        "ratio": None if limits else round(statistics.median(each.ratios()), 3),
        "goal": asdict(limits) if limits else each.workload.goal,
        "reached": each.reached(),
        "problems": each.problems,
        "contenders": {measured.name: _measured(measured) for measured in each.contenders},
    }


def _measured(measured: Measured) -> dict[str, Any]:
    rounds = [{"cpu_us": round(each.cpu_us, 3), "rate": round(each.rate), **asdict(each.answers)} for each in measured.rounds]
    times = [round(each, 1) for each in measured.first_answers_ms]
    return {"resident_mb": round(measured.resident_mb, 1), "rounds": rounds, "first_answers_ms": times}


def write_readme(comparisons: Sequence[Comparison], versions: dict[str, str], path: Path) -> None:
    """Replaces the figures in a README, between their two comments."""
    text = path.read_text()
    place = ", ".join(f"{name} {value}" for name, value in (machine() | versions).items())
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n\n{place}\n\n{table(comparisons)}\n\n{END}{after}")
