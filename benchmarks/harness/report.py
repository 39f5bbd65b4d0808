"""The results as tables for people, in a terminal and in the README."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .latency import Latency
from .results import Result

BEGIN, END = "<!-- figures: written by benchmarks/run --readme -->", "<!-- end of figures -->"

Columns = list[tuple[str, Callable[[Result], str]]]
"""Of a table: each with its title, and what stands there of a result."""


def tables(results: Sequence[Result]) -> str:
    """Cost, latencies, memory and starts, in Markdown."""
    loads = [each for each in results if each.ratios]
    steady = [each for each in loads if each.ours.half]
    starts = [each for each in results if each.limits]
    parts = []
    if loads:
        parts += ["### CPU time per answer", cost_table(loads)]
    if steady:
        parts += ["### Latency and losses", latency_table(steady)]
    parts += ["### Memory and the first answer", start_table(loads, starts)]
    return "\n\n".join(parts)


def cost_table(results: Sequence[Result]) -> str:
    """User and system time, and how much one core answers."""
    columns: Columns = [
        ("workload", lambda each: each.title),
        ("CoreDNS µs", lambda each: _number(each.first.cpu_us, 1)),
        ("pycoredns µs", lambda each: _number(each.ours.cpu_us, 1)),
        ("ratio", lambda each: f"**{each.ratio:.2f}**"),
        ("of rounds", lambda each: f"{each.ratios[0]:.2f}-{each.ratios[-1]:.2f}"),
        ("wanted", lambda each: "" if each.goal is None else f"{each.goal:g}"),
        ("beside, µs", _others),
        ("CoreDNS q/s", lambda each: _number(each.first.rate, 0)),
        ("pycoredns q/s", lambda each: _number(each.ours.rate, 0)),
        ("", verdict),
    ]
    return _markdown(columns, results)


def _others(each: Result) -> str:
    measured = [f"{name} {_number(peer.cpu_us, 1)}" for name, peer in each.peers.items()]
    return ", ".join(measured + [f"{name}: not installed" for name in each.missing])


def verdict(each: Result) -> str:
    """What was not reached, and how several workers do."""
    scaling = [f"{each.scaling:.2f} times one worker"] if each.scaling else []
    return "; ".join(scaling + each.shortfalls)


def latency_table(results: Sequence[Result]) -> str:
    """Quantiles at half of each one's own saturation, and at an equal rate."""
    columns: Columns = [
        ("workload", lambda each: each.title),
        ("CoreDNS at", lambda each: _rate(each.first.half)),
        ("p50 / p99 / p99.9 µs", lambda each: _quantiles(each.first.half)),
        ("pycoredns at", lambda each: _rate(each.ours.half)),
        ("p50 / p99 / p99.9 µs", lambda each: _quantiles(each.ours.half)),
        ("at CoreDNS's rate", lambda each: _quantiles(each.ours.equal) if each.ours.equal else "the same"),
        ("lost at 80 %", _losses),
    ]
    return _markdown(columns, results)


def _losses(each: Result) -> str:
    one, other = each.first, each.ours
    return f"{one.lost_pressed} / {other.lost_pressed}" if other.equal else f"{one.lost} / {other.lost}, of all"


def _rate(latency: Latency | None) -> str:
    return f"{latency.rate:,.0f}/s" if latency else ""


def _quantiles(latency: Latency | None) -> str:
    if not latency:
        return ""
    late = "" if latency.in_time else " (load was late)"
    return f"{latency.p50_us:,.0f} / {latency.p99_us:,.0f} / {latency.p999_us:,.0f}{late}"


def start_table(loads: Sequence[Result], starts: Sequence[Result]) -> str:
    """Time from exec to the first answer, and resident memory after the load, or at the start."""
    columns: Columns = [
        ("workload", lambda each: each.title),
        ("CoreDNS ms", lambda each: _number(each.first.first_answer_ms, 0)),
        ("pycoredns ms", lambda each: _number(each.ours.first_answer_ms, 0)),
        ("at most", lambda each: f"{each.limits.first_answer_ms:g}" if each.limits else ""),
        ("CoreDNS MB", lambda each: _number(each.first.resident_mb, 0)),
        ("pycoredns MB", lambda each: _number(each.ours.resident_mb, 0)),
        ("at most", lambda each: f"{each.limits.resident_mb:g}" if each.limits else ""),
        ("longest pause", lambda each: f"{each.ours.longest_pause_ms:g} ms" if each.ours.longest_pause_ms else ""),
        ("", lambda each: verdict(each) if each.limits else ""),
    ]
    return _markdown(columns, [*starts, *loads])


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _markdown(columns: Columns, results: Sequence[Result]) -> str:
    head = [title for title, _ in columns]
    rows = [[cell(each) for _, cell in columns] for each in results]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def places(results: Sequence[Result]) -> str:
    """Machines and versions: one line for all workloads, or one for those that were measured alike."""
    alike: dict[str, list[str]] = {}
    common = {name for name, _ in set.intersection(*(set(each.machine.items()) for each in results))} if results else set()
    for each in results:
        own = {name: value for name, value in each.machine.items() if name not in common}
        alike.setdefault(_listed(own), []).append(each.name)
    shared = {name: value for name, value in results[0].machine.items() if name in common} if results else {}
    lines = [_listed(shared) + "."]
    lines += [f"{', '.join(names)}: {own}." for own, names in alike.items() if own]
    return "  \n".join(lines)


def _listed(properties: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in properties.items())


def write_readme(results: Sequence[Result], path: Path) -> None:
    """Replaces the figures in a README, between their two comments."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    chart = "![CPU time per answer beside CoreDNS and servers in C](chart.svg)"
    path.write_text(f"{before}{BEGIN}\n\n{places(results)}\n\n{chart}\n\n{tables(results)}\n\n{END}{after}")
