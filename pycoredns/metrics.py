"""Counts of what the server does, kept in cells of their own and turned into Prometheus's text only when it is asked for.

A plugin declares its metrics as class attributes: ``hits = Counter("hits_total", "Answers from the cache.", "server")`` is
``coredns_cache_hits_total`` there. A cell costs an addition; ``labels`` are looked up once, where a plugin is set up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

DURATIONS = tuple(0.00025 * 2**power for power in range(16))
"""Upper bounds in seconds of CoreDNS's request durations: 0.25 ms to 8.192 s."""


class Cell:
    """A number that is counted or set."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Begins at zero."""
        self.value: float = 0


class HistogramCell:
    """Counts of observed values by bucket."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds`` are the buckets' inclusive upper ends."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum: float = 0

    def observe(self, value: float, times: int = 1) -> None:
        """Counts a value, so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


CellType = TypeVar("CellType", Cell, HistogramCell)


class Metric(Generic[CellType]):
    """A family of cells, one for each combination of label values. Declared once, it lives as long as the process."""

    kind: ClassVar[str]
    declared: ClassVar[list[Metric[Cell] | Metric[HistogramCell]]] = []

    def __init__(self, name: str, help: str, *labels: str, prefix: str | None = None) -> None:
        """``prefix`` stands for ``coredns_<plugin>_`` where the metric belongs to no plugin, e.g. ``coredns_dns_``."""
        self._name = name
        self._prefix = prefix
        self._owner: type | None = None
        self.help = help
        self.labels = labels
        self.cells: dict[tuple[str, ...], CellType] = {}
        Metric.declared.append(self)

    def __set_name__(self, owner: type, attribute: str) -> None:
        """Learns which plugin it was declared on."""
        self._owner = owner

    @property
    def name(self) -> str:
        """The full name, as Prometheus shows it."""
        if self._prefix is not None:
            return self._prefix + self._name
        return f"coredns_{getattr(self._owner, 'name', '')}_{self._name}"

    def new_cell(self) -> CellType:
        """A cell at zero."""
        raise NotImplementedError

    def cell(self, *values: str) -> CellType:
        """The cell of these label values, made when it is first asked for."""
        cell = self.cells.get(values)
        if cell is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} takes the labels {', '.join(self.labels) or 'none'}")
            cell = self.cells[values] = self.new_cell()
        return cell

    def remove(self, *values: str) -> None:
        """Forgets a cell, so that it is shown no more."""
        self.cells.pop(values, None)


class Counter(Metric[Cell]):
    """A number that only grows."""

    kind = "counter"

    def new_cell(self) -> Cell:
        """A cell at zero."""
        return Cell()


class Gauge(Counter):
    """A number that goes up and down."""

    kind = "gauge"

    def __init__(self, name: str, help: str, *labels: str, prefix: str | None = None, alike: bool = False) -> None:
        """``alike``: all workers have the same, so that the largest stands for all; otherwise they are added."""
        super().__init__(name, help, *labels, prefix=prefix)
        self.alike = alike


class Histogram(Metric[HistogramCell]):
    """Values counted by bucket."""

    kind = "histogram"

    def __init__(self, name: str, help: str, *labels: str, buckets: Sequence[float], prefix: str | None = None) -> None:
        """``buckets`` are the inclusive upper ends, without infinity."""
        super().__init__(name, help, *labels, prefix=prefix)
        self.buckets = tuple(buckets)

    def new_cell(self) -> HistogramCell:
        """Empty buckets."""
        return HistogramCell(self.buckets)


before_scrape: list[Callable[[], None]] = []
"""Called before the metrics are read: who counts lazily brings his cells up to date."""


class Family(Protocol):
    """A metric as it is shown."""

    @property
    def name(self) -> str:
        """The full name."""

    @property
    def kind(self) -> str:
        """``counter``, ``gauge`` or ``histogram``."""

    @property
    def help(self) -> str:
        """What it means."""

    @property
    def labels(self) -> Sequence[str]:
        """The names of its labels."""

    @property
    def cells(self) -> Mapping[tuple[str, ...], Cell | HistogramCell]:
        """The numbers by their labels' values."""


def forget() -> None:
    """Begins anew with nothing counted, as a forked worker must."""
    for metric in Metric.declared:
        metric.cells.clear()


def families() -> Iterator[Metric[Cell] | Metric[HistogramCell]]:
    """All metrics that have cells, and those without labels, by name and up to date."""
    for bring_up_to_date in tuple(before_scrape):
        bring_up_to_date()
    for metric in Metric.declared:
        if not metric.labels:
            metric.cell()  # shown from the beginning, as nothing is unknown about it
    yield from sorted((metric for metric in Metric.declared if metric.cells), key=lambda metric: metric.name)
