"""The command line of `benchmarks/run`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pycoredns.etcd_server import EtcdServerError

from . import programs, report
from .bench import Effort
from .chart import write_chart
from .evenness import Evenness, evenness_of
from .interpreter import interpreter_of
from .laboratory import Commands, Laboratory
from .processes import LOAD_CORE, SERVER_CORE
from .programs import BENCHMARKS, MissingProgram
from .results import SAME_WORK, Result, ResultsError, read_results, result_of, write_results
from .workload import Workload, WorkloadError, load_workload

WORKLOADS = BENCHMARKS / "workloads"
OURS = f"{Path(sys.prefix) / 'bin/pycoredns'} -conf {{corefile}}"
PROBLEMS_SHOWN, PROBLEM_LENGTH = 10, 400
SMOKE, SMOKE_DATA = Effort(0, 0, sample=20), 200


def parser() -> argparse.ArgumentParser:
    """The options."""
    it = argparse.ArgumentParser(prog="benchmarks/run", description="Measure pycoredns beside CoreDNS on one core.")
    it.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="names of files in benchmarks/workloads; default: all")
    it.add_argument("--rounds", type=int, default=5, help="rounds of each workload (default: %(default)s)")
    it.add_argument("--seconds", type=float, default=3.0, help="load of one server in one round (default: %(default)s)")
    it.add_argument("--server", default=OURS, metavar="COMMAND", help="measure this instead; {corefile} is replaced")
    it.add_argument("--json", type=Path, default=BENCHMARKS / "results.json", metavar="FILE", help="where the figures go")
    it.add_argument("--readme", action="store_true", help="put tables and chart of all figures in the JSON into benchmarks/")
    it.add_argument("--smoke", action="store_true", help="compare answers over little data, and measure nothing")
    it.add_argument("--list", action="store_true", help="name the workloads and end")
    return it


def main(words: Sequence[str]) -> int:
    """0: every goal reached and all answers alike; 1: not so; 2: something could not be measured."""
    options = parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.list:
            print("\n".join(f"{each.name:20} {each.title}{'' if each.default else ' (only if named)'}" for each in everything()))
            return 0
        workloads = chosen(options.workloads)
        return smoke(workloads, options.server) if options.smoke else measure(workloads, options)
    except KeyboardInterrupt:
        print("stopped; all servers have been ended", file=sys.stderr)
        return 130
    except (MissingProgram, WorkloadError, ResultsError, EtcdServerError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def chosen(names: Sequence[str]) -> list[Workload]:
    """The workloads of these names, or all that run by default."""
    if not names:
        return [each for each in everything() if each.default]
    for name in names:
        if not (WORKLOADS / f"{name}.toml").is_file():
            raise WorkloadError(f'there is no workload "{name}"; benchmarks/run --list names those there are')
    return [load_workload(WORKLOADS / f"{name}.toml") for name in names]


def everything() -> list[Workload]:
    """All workloads, by name."""
    return [load_workload(path) for path in sorted(WORKLOADS.glob("*.toml"), key=lambda path: path.stem)]


def smoke(workloads: Sequence[Workload], server: str) -> int:
    """Whether both servers answer alike, over little data."""
    found = 0
    with Laboratory(Commands(programs.find_coredns(), server), SMOKE) as laboratory:
        for workload in workloads:
            problems = laboratory.differences(workload.small(SMOKE_DATA))
            print(f"{workload.name}: {'answers differ' if problems else 'alike'}")
            tell(problems)
            found += bool(problems)
    return 1 if found else 0


def measure(workloads: Sequence[Workload], options: argparse.Namespace) -> int:
    """Runs the comparisons, tells each as it comes and all in the end."""
    take_cores()
    read_results(options.json)  # rather now than after an hour
    missing = missing_peers(workloads)
    if missing:
        print(f"not compared with, for they are not installed: apt install {' '.join(missing)}", file=sys.stderr)
    commands = Commands(programs.find_coredns(), options.server, programs.find_dnsperf())
    versions = versions_of(options.server, {name for each in workloads for name in each.peers} - set(missing))
    versions |= {SAME_WORK: str(evenness())}
    results = []
    with Laboratory(commands, Effort(options.rounds, options.seconds)) as laboratory:
        for workload in workloads:
            print(f"{workload.name} ...", file=sys.stderr, flush=True)
            comparison = laboratory.compare(workload)
            tell(comparison.problems)
            results.append(result_of(comparison, versions))
            known = write_results(results, options.json)
    print(report.tables(results))
    if options.readme:
        show(list(known.values()))
    return 1 if any(each.shortfalls for each in results) else 2 if missing else 0


def show(results: Sequence[Result]) -> None:
    """Writes the README's figures and the chart."""
    report.write_readme(results, BENCHMARKS / "README.md")
    write_chart(results, BENCHMARKS / "chart.svg")


def tell(problems: Sequence[str]) -> None:
    """Differences between answers, not too many."""
    for problem in problems[:PROBLEMS_SHOWN]:
        print(f"  {problem:.{PROBLEM_LENGTH}}", file=sys.stderr)
    if len(problems) > PROBLEMS_SHOWN:
        print(f"  … and {len(problems) - PROBLEMS_SHOWN} more", file=sys.stderr)


def missing_peers(workloads: Sequence[Workload]) -> list[str]:
    """Names of what is compared with and not installed."""
    return sorted({name for each in workloads for name in each.peers if not programs.peer_command(name)})


def versions_of(server: str, peers: set[str]) -> dict[str, str]:
    """What is compared, and the Python below it; says so if that is a slow one."""
    versions = {"CoreDNS": programs.COREDNS_VERSION, "pycoredns": metadata.version("pycoredns")}
    if interpreter := interpreter_of(server):
        versions["Python"] = str(interpreter)
        if warning := interpreter.warning():
            print(f"warning: {warning}", file=sys.stderr)
    return versions | {name: programs.peer_version(name) for name in sorted(peers)}


def evenness() -> Evenness:
    """How evenly the measured core runs; says so if it does not."""
    found = evenness_of(SERVER_CORE)
    if warning := found.warning():
        print(f"warning: {warning}", file=sys.stderr)
    return found


def take_cores() -> None:
    """Keeps this program off the measured core."""
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise RuntimeError(f"cores {SERVER_CORE} and {LOAD_CORE} are needed: one for the server, one for the load")
    os.sched_setaffinity(0, {LOAD_CORE})
