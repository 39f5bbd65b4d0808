"""The results as tables for people, in a terminal and in the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .latency import Latency
from .results import Figures, Result

BEGIN, END = "<!-- figures: written by benchmarks/run --readme -->", "<!-- end of figures -->"


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
    head = [
        "workload",
        "CoreDNS µs",
        "pycoredns µs",
        "ratio",
        "of rounds",
        "wanted",
        "beside, µs",
        "CoreDNS q/s",
        "pycoredns q/s",
        "",
    ]
    return _markdown(head, [_cost_row(each) for each in results])


def _cost_row(each: Result) -> list[str]:
    return [
        each.title,
        _number(each.first.cpu_us, 1),
        _number(each.ours.cpu_us, 1),
        f"**{each.ratio:.2f}**",
        f"{each.ratios[0]:.2f}-{each.ratios[-1]:.2f}",
        "" if each.goal is None else f"{each.goal:g}",
        ", ".join(
            [f"{name} {_number(peer.cpu_us, 1)}" for name, peer in each.peers.items()]
            + [f"{name}: not installed" for name in each.missing]
        ),
        _number(each.first.rate, 0),
        _number(each.ours.rate, 0),
        verdict(each),
    ]


def verdict(each: Result) -> str:
    """What was not reached, and how several workers do."""
    scaling = [f"{each.scaling:.2f} times one worker"] if each.scaling else []
    return "; ".join(scaling + each.shortfalls)


def latency_table(results: Sequence[Result]) -> str:
    """Quantiles at half of each one's own saturation, and at an equal rate."""
    head = [
        "workload",
        "CoreDNS at",
        "p50 / p99 / p99.9 µs",
        "pycoredns at",
        "p50 / p99 / p99.9 µs",
        "at CoreDNS's rate",
        "lost at 80 %",
    ]
    return _markdown(head, [_latency_row(each) for each in results])


def _latency_row(each: Result) -> list[str]:
    one, other = each.first, each.ours
    equal = _quantiles(other.equal) if other.equal else "the same"
    losses = f"{one.lost_pressed} / {other.lost_pressed}" if other.equal else f"{one.lost} / {other.lost}, of all"
    return [each.title, _rate(one.half), _quantiles(one.half), _rate(other.half), _quantiles(other.half), equal, losses]


def _rate(latency: Latency | None) -> str:
    return f"{latency.rate:,.0f}/s" if latency else ""


def _quantiles(latency: Latency | None) -> str:
    if not latency:
        return ""
    late = "" if latency.in_time else " (load was late)"
    return f"{latency.p50_us:,.0f} / {latency.p99_us:,.0f} / {latency.p999_us:,.0f}{late}"


def start_table(loads: Sequence[Result], starts: Sequence[Result]) -> str:
    """Time from exec to the first answer, and resident memory after the load, or at the start."""
    head = ["workload", "CoreDNS ms", "pycoredns ms", "at most", "CoreDNS MB", "pycoredns MB", "at most", "longest pause", ""]
    return _markdown(head, [_start_row(each) for each in (*starts, *loads)])


def _start_row(each: Result) -> list[str]:
    both: tuple[Figures, Figures] = each.first, each.ours
    limits = [f"{each.limits.first_answer_ms:g}", f"{each.limits.resident_mb:g}"] if each.limits else ["", ""]
    times, sizes = [f"{one.first_answer_ms:.0f}" for one in both], [f"{one.resident_mb:.0f}" for one in both]
    pause = each.ours.longest_pause_ms
    paused = f"{pause:g} ms" if pause else ""
    return [each.title, *times, limits[0], *sizes, limits[1], paused, verdict(each) if each.limits else ""]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
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
