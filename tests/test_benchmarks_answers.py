"""A smoke test of `benchmarks/run`: on every workload, over little data, both servers answer alike. Nothing is measured."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.harness import programs  # noqa: E402
from benchmarks.harness.command import OURS, SMOKE, SMOKE_DATA, chosen  # noqa: E402
from benchmarks.harness.laboratory import Commands, Laboratory  # noqa: E402
from benchmarks.harness.workload import Workload  # noqa: E402


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
