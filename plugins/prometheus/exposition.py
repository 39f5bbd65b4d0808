"""All metrics as text, by prometheus_client; imported at the first scrape, because it takes long to import."""

from __future__ import annotations

import asyncio
import resource
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from pycoredns import metrics
from pycoredns.metrics import Cell, HistogramCell

_NETWORK = Path("/proc/self/net/netstat")
_UNLIMITED = float(2**64 - 1)
_ADDED = {"process_cpu_seconds", "process_virtual_memory_bytes", "process_resident_memory_bytes", "process_open_fds"}


def text(
    metrics: Iterable[metrics.Family], processes: Sequence[int], runtime: bool = False, names: Collection[str] = ()
) -> bytes:
    """The text format, version 0.0.4; ``runtime`` adds what the Python interpreter knows of itself.

    ``processes`` are the IDs of all that make up the server, the present one first; ``names`` are the metrics to be shown, none
    stands for all.
    """
    return generate_latest(_Everything(metrics, processes, runtime, names))


class _Everything(Collector):
    """The server's metrics, those of its process and, if wanted, of its interpreter, by name."""

    def __init__(
        self, metrics: Iterable[metrics.Family], processes: Sequence[int], runtime: bool, names: Collection[str]
    ) -> None:
        self._metrics = metrics
        self._processes = processes
        self._runtime = runtime
        self._names = names

    def collect(self) -> list[Family]:
        found = [_family(metric) for metric in self._metrics]
        found += [*_processes(self._processes), *PlatformCollector(registry=None).collect(), *_process()]
        if self._runtime:
            found += [*GCCollector(CollectorRegistry()).collect(), *_interpreter()]
        wanted = [family for family in found if not self._names or _shown_name(family) in self._names]
        return sorted(wanted, key=lambda family: str(family.name))


def _shown_name(family: Family) -> str:
    """The name as the text has it."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def _family(metric: metrics.Family) -> Family:
    """One of the server's metrics in prometheus_client's terms."""
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for values, cell in list(metric.cells.items()):
            if isinstance(cell, HistogramCell):
                histogram.add_metric(values, list(_buckets(cell)), cell.sum)
        return histogram
    made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = made(metric.name, metric.help, labels=metric.labels)
    for values, cell in list(metric.cells.items()):
        if isinstance(cell, Cell):
            family.add_metric(values, cell.value)
    return family


def _buckets(cell: HistogramCell) -> Iterator[tuple[str, float]]:
    """Upper ends and how many values do not exceed them; a number has no ``.0`` at its end, as in Go."""
    total = 0
    for bound, count in zip(cell.bounds, cell.counts, strict=False):
        total += count
        yield f"{bound:.15g}", total
    yield "+Inf", total + cell.counts[-1]


def _processes(processes: Sequence[int]) -> list[Family]:
    """The time, memory and descriptors that all processes use; when the first one began, and how many files one may open."""
    found = {family.name: family for family in ProcessCollector(registry=None).collect()}
    if len(processes) > 1:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        _add(found["process_cpu_seconds"], ended.ru_utime + ended.ru_stime)
    for process in processes[1:]:
        for family in ProcessCollector(pid=partial(int, process), registry=None).collect():
            if family.name in _ADDED:
                _add(found[family.name], family.samples[0].value)
    return list(found.values())


def _add(family: Family, value: float) -> None:
    """Adds to the only number of a metric."""
    family.samples = [sample._replace(value=sample.value + value) for sample in family.samples]


def _process() -> Iterator[Family]:
    """What Go's client shows of a process beyond prometheus_client's figures."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    value = _UNLIMITED if limit == resource.RLIM_INFINITY else float(limit)
    yield GaugeMetricFamily("process_virtual_memory_max_bytes", "Most virtual memory the process may have.", value)
    try:
        names, values = [line.split() for line in _NETWORK.read_text().splitlines() if line.startswith("IpExt:")]
    except (OSError, ValueError):
        return
    octets = dict(zip(names, values, strict=False))
    for direction, name in (("receive", "InOctets"), ("transmit", "OutOctets")):
        if name in octets:
            help_text = f"Octets of IP that the process's network name space did {direction}."
            yield CounterMetricFamily(f"process_network_{direction}_bytes_total", help_text, float(octets[name]))


def _interpreter() -> Iterator[Family]:
    """What the interpreter does, in place of Go's runtime metrics."""
    yield GaugeMetricFamily("python_threads", "Threads that run Python code.", threading.active_count())
    yield GaugeMetricFamily("python_asyncio_tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
    yield GaugeMetricFamily("python_allocated_blocks", "Blocks of memory in use.", sys.getallocatedblocks())
    yield GaugeMetricFamily("python_modules", "Modules that are loaded.", len(sys.modules))
