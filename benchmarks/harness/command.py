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
from .comparison import Comparison, Laboratory
from .processes import LOAD_CORE, SERVER_CORE
from .programs import BENCHMARKS, MissingProgram
from .servers import Contender
from .workload import Workload, WorkloadError, load_workload

WORKLOADS = BENCHMARKS / "workloads"
OURS = f"{Path(sys.prefix) / 'bin/pycoredns'} -conf {{corefile}}"


def parser() -> argparse.ArgumentParser:
    """The options."""
    it = argparse.ArgumentParser(prog="benchmarks/run", description="Measure pycoredns beside CoreDNS on one core.")
    it.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="names of files in benchmarks/workloads; default: all")
    it.add_argument("--rounds", type=int, default=5, help="rounds of each workload (default: %(default)s)")
    it.add_argument("--seconds", type=float, default=3.0, help="load of one server in one round (default: %(default)s)")
    it.add_argument("--server", default=OURS, metavar="COMMAND", help="measure this instead; {corefile} is replaced")
    it.add_argument("--json", type=Path, default=BENCHMARKS / "results.json", metavar="FILE", help="where the figures go")
    it.add_argument("--readme", action="store_true", help="put the table into benchmarks/README.md")
    it.add_argument("--list", action="store_true", help="name the workloads and end")
    return it


def main(words: Sequence[str]) -> int:
    """0: every goal reached and all answers alike; 1: not so; 2: it could not be measured."""
    options = parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        workloads = chosen(options.workloads)
        if options.list:
            print("\n".join(f"{each.name:20} {each.title}" for each in workloads))
            return 0
        return measure(workloads, options)
    except KeyboardInterrupt:
        print("stopped; all servers have been ended", file=sys.stderr)
        return 130
    except (MissingProgram, WorkloadError, EtcdServerError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def chosen(names: Sequence[str]) -> list[Workload]:
    """The workloads of these names, or all."""
    paths = sorted(WORKLOADS.glob("*.toml")) if not names else [WORKLOADS / f"{name}.toml" for name in names]
    return [load_workload(path) for path in paths]


def measure(workloads: Sequence[Workload], options: argparse.Namespace) -> int:
    """Runs the comparisons, prints each as it comes and all in the end."""
    take_cores()
    contenders = [Contender("CoreDNS", f"{programs.find_coredns()} -conf {{corefile}}"), Contender("pycoredns", options.server)]
    versions = {"CoreDNS": programs.COREDNS_VERSION, "pycoredns": metadata.version("pycoredns")}
    comparisons: list[Comparison] = []
    with Laboratory(contenders, programs.find_dnsperf(), options.rounds, options.seconds) as laboratory:
        for workload in workloads:
            print(f"{workload.name} ...", file=sys.stderr, flush=True)
            comparisons.append(laboratory.compare(workload))
            for problem in comparisons[-1].problems[:10]:
                print(f"  {problem}", file=sys.stderr)
            report.write_json(comparisons, versions, options.json)
    print(report.table(comparisons))
    if options.readme:
        report.write_readme(comparisons, versions, BENCHMARKS / "README.md")
    return 0 if all(each.reached() for each in comparisons) else 1


def take_cores() -> None:
    """Keeps this program off the measured core."""
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise RuntimeError(f"cores {SERVER_CORE} and {LOAD_CORE} are needed: one for the server, one for the load")
    os.sched_setaffinity(0, {LOAD_CORE})
