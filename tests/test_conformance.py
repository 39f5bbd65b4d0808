"""Each case starts a server, which must answer as the real CoreDNS did when it was recorded (conformance/FORMAT.md)."""

import multiprocessing
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "conformance"
sys.path.insert(0, str(FOLDER))

from runner.case import Case, Outcome, run_case  # noqa: E402

CASES = [Case(steps.parent) for steps in sorted(FOLDER.glob("cases/*/*/steps.json"))]
COMMAND = f"{shlex.quote(sys.executable)} -m pycoredns -conf {{corefile}}"
AT_ONCE = 4  # most of a case's time is waiting
NEEDED = {r"\{\{upstream53\}\}": ("127.77.77.77", 53), r"(bind|local_addr|@) ?::1\b|\"::1\"": ("::1", 0)}
"""What a case that contains this must be able to bind."""


def can_bind(host: str, port: int) -> bool:
    """Whether this machine, and this user, may."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, port))
    except OSError:
        return False
    return True


def obstacle(case: Case) -> str:
    """Why a case cannot be run here; empty if it can."""
    text = (case.folder / "Corefile").read_text() + (case.folder / "steps.json").read_text()
    lacking = [
        f"{host} port {port}" for wanted, (host, port) in NEEDED.items() if re.search(wanted, text) and not can_bind(host, port)
    ]
    return f"cannot bind {', '.join(lacking)}" if lacking else ""


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """What will come of the cases whose tests are to be run: some at a time, in the tests' order, ahead of them."""
    names = {item.callspec.id for item in request.session.items if getattr(item, "originalname", "") == test_case.__name__}
    # Processes rather than threads: pytest changes os.environ between tests, which every started server is given a copy of.
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        yield {case.name: pool.submit(run_case, case, COMMAND) for case in CASES if case.name in names and not obstacle(case)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_case(case: Case, outcomes: dict[str, Future[Outcome]]) -> None:
    if why := obstacle(case):
        pytest.skip(why)
    outcome = outcomes[case.name].result()
    if outcome.failures:
        pytest.fail("\n".join([*outcome.failures, "--- the server's output", outcome.output]), pytrace=False)


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 257
