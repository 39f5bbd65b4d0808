"""The metrics of several processes as those of one server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pycoredns.metrics import Cell, Family, Gauge, HistogramCell, families

Written: TypeAlias = list[Any]
"""Metrics as JSON can hold them: see ``written``."""


@dataclass
class Sum:
    """One metric of several processes."""

    name: str
    kind: str
    help: str
    labels: Sequence[str]
    alike: bool = False
    """Does the largest value stand for all?"""
    cells: dict[tuple[str, ...], Cell | HistogramCell] = field(default_factory=dict)

    def add(self, values: tuple[str, ...], numbers: list[Any]) -> None:
        """Adds the cell of one process: its value, or its buckets' counts, sum and bounds."""
        cell = self.cells.get(values)
        if self.kind == "histogram":
            counts, total, bounds = numbers
            if not isinstance(cell, HistogramCell):
                cell = self.cells[values] = HistogramCell(bounds)
            cell.counts = [one + other for one, other in zip(cell.counts, counts, strict=True)]
            cell.sum += total
            return
        (value,) = numbers
        if not isinstance(cell, Cell):
            cell = self.cells[values] = Cell()
            cell.value = value
        else:
            cell.value = max(cell.value, value) if self.alike else cell.value + value


def written() -> Written:
    """The metrics of this process, brought up to date: head and cells of each."""
    return [
        [
            [metric.name, metric.kind, metric.help, metric.labels, isinstance(metric, Gauge) and metric.alike],
            _cells(metric.cells),
        ]
        for metric in families()
    ]


def _cells(cells: Mapping[tuple[str, ...], Cell | HistogramCell]) -> list[Any]:
    """Labels' values, and then the numbers."""
    return [[values, *_numbers(cell)] for values, cell in list(cells.items())]


def _numbers(cell: Cell | HistogramCell) -> list[Any]:
    return [cell.value] if isinstance(cell, Cell) else [cell.counts, cell.sum, cell.bounds]


class Figures:
    """What was counted by all processes, and by those that are gone: a counter of the server never goes back."""

    def __init__(self) -> None:
        """Nobody has gone yet."""
        self._gone: list[Written] = []

    def bury(self, last: Written) -> None:
        """Keeps what a process had counted when it was last asked; its gauges are gone with it."""
        self._gone.append([metric for metric in last if metric[0][1] != "gauge"])
        if len(self._gone) > 1:
            self._gone = [_rewritten(add_up(self._gone))]

    def total(self, living: Iterable[Written]) -> Sequence[Family]:
        """The metrics of the whole server, by name."""
        return add_up([*living, *self._gone])


def add_up(several: Iterable[Written]) -> list[Sum]:
    """The sum of the metrics of several processes, by name."""
    sums: dict[str, Sum] = {}
    for one in several:
        for (name, kind, help_text, labels, alike), cells in one:
            if name not in sums:
                sums[name] = Sum(name, kind, help_text, tuple(labels), alike)
            for values, *numbers in cells:
                sums[name].add(tuple(values), numbers)
    return sorted(sums.values(), key=lambda each: each.name)


def _rewritten(sums: Iterable[Sum]) -> Written:
    return [[[each.name, each.kind, each.help, each.labels, each.alike], _cells(each.cells)] for each in sums]
