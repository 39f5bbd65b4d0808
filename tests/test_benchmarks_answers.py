"""A smoke test of `benchmarks/run`: on every workload, over little data, both servers answer alike. Nothing is measured."""

from collections.abc import Iterator

import pytest

from benchmarks.harness import programs
from benchmarks.harness.command import OURS, SMOKE, SMOKE_DATA, chosen
from benchmarks.harness.laboratory import Commands, Laboratory
from benchmarks.harness.workload import Workload


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    """With the real CoreDNS, which is built where there is Go."""
    try:
        coredns = programs.find_coredns()
    except programs.MissingProgram as missing:
        pytest.skip(f"the benchmarks' answers are compared with nothing: {missing}")
    with Laboratory(Commands(coredns, OURS), SMOKE) as it:
        yield it


@pytest.mark.parametrize("workload", chosen([]), ids=lambda workload: workload.name)
def test_both_servers_answer_alike(workload: Workload, laboratory: Laboratory) -> None:
    assert laboratory.differences(workload.small(SMOKE_DATA)) == []
