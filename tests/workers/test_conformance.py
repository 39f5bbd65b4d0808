"""With two workers the server answers as CoreDNS does, too: the cases in which it could matter that there are several."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.test_conformance import AT_ONCE, CASES, COMMAND, Outcome, obstacle, run_case

TOPICS = (
    "cache/",
    "dnssec/metrics",
    "health/",
    "loadbalance/",
    "log/order",
    "loop/",
    "metrics/",
    "pipeline/every",
    "ready/",
    "reload/",
)
CANNOT = {
    "dnssec/metrics": "each worker signs for itself what answers of several names have in common, such as the zone's NS records",
    "metrics/forward": "each worker has its own connections to upstreams, and counts them",
    "pipeline/everything-together": "an alias's target that the server has looked up is in the cache of the alias's worker",
}
CHOSEN = [case for case in CASES if case.name.startswith(TOPICS) and case.name not in CANNOT]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Future[Outcome]]]:
    """What comes of the cases, some at a time."""
    command = COMMAND.replace(" -conf", " -workers 2 -conf")
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        yield {case.name: pool.submit(run_case, case, command) for case in CHOSEN if not obstacle(case)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CHOSEN])
def test_case(case, outcomes):
    if why := obstacle(case):
        pytest.skip(why)
    outcome = outcomes[case.name].result()
    if outcome.failures:
        pytest.fail("\n".join([*outcome.failures, "--- the server's output", outcome.output]), pytrace=False)


def test_what_cannot_be_the_same_is_still_there():
    assert CANNOT.keys() <= {case.name for case in CASES}
