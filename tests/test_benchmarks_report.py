"""What `benchmarks/run` writes: results.json, the README's tables, the chart."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness import report
from benchmarks.harness.chart import chart
from benchmarks.harness.latency import Latency
from benchmarks.harness.results import Figures, Result, ResultsError, read_results, write_results
from benchmarks.harness.workload import Limits

CALM = Latency(rate=9000, asked=9000, lost=0, p50_us=90.5, p99_us=1234.5, p999_us=2000, behind_us=10)


def figures(cpu_us: float, rate: float) -> Figures:
    return Figures(cpu_us, rate, 0, 0, 41.5, 38.0, None, CALM, CALM, [(cpu_us, rate)])


RESULT = Result(
    name="cached",
    title="names <cached>",
    machine={"date": "2026-01-02", "kernel": "6.1", "CoreDNS": "1.14.7", "nsd": "4.6.1"},
    contenders={"CoreDNS": figures(16, 60_000), "nsd": figures(5, 200_000), "pycoredns": figures(4, 250_000)},
    ratios=[3.9, 4.0, 4.2],
    goal=4.5,
    limits=None,
    scaling=None,
    shortfalls=["ratio below 4.5"],
    problems=[],
    missing=["unbound"],
)
START = replace(RESULT, name="start", title="start", ratios=[], goal=None, limits=Limits(120, 60), shortfalls=[], missing=[])


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results([RESULT, START], path)
    assert read_results(path) == {"cached": RESULT, "start": START}


def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"cached": {"title": "x"}}')
    with pytest.raises(ResultsError, match=r"results\.json"):
        read_results(tmp_path / "results.json")


def test_results_of_other_workloads_stay(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results([START], path)
    assert list(write_results([RESULT], path)) == ["cached", "start"]


@pytest.mark.parametrize("part", ["**4.00**", "3.90-4.20", "nsd 5.0, unbound: not installed", "ratio below 4.5", "1,234", "120"])
def test_tables_show(part: str) -> None:
    assert part in report.tables([RESULT, START])


def test_the_readme_keeps_what_is_around_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_readme([RESULT], path)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "kernel 6.1" in text


def test_what_was_measured_elsewhere_says_so() -> None:
    other = replace(START, machine={**RESULT.machine, "kernel": "6.2"})
    assert report.places([RESULT, other]).splitlines()[1:] == ["cached: kernel 6.1.  ", "start: kernel 6.2."]


def test_the_chart_shows_ratios_and_costs() -> None:
    picture = ElementTree.fromstring(chart([RESULT, START]))
    words = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "4.0 times   (4.0 against 16.0 µs)" in words
    assert "nsd 4.6.1" in words
    assert not chart([START])
