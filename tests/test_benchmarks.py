"""The parts of `benchmarks/run` that can be wrong without being noticed."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import dns.message
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.harness import load, sample  # noqa: E402
from benchmarks.harness.comparison import Comparison, Measured, Round  # noqa: E402
from benchmarks.harness.processes import Process, family, free_port  # noqa: E402
from benchmarks.harness.servers import filled_in  # noqa: E402
from benchmarks.harness.workload import Limits, Workload, WorkloadError, load_workload  # noqa: E402
from pycoredns.check import check  # noqa: E402

WORKLOADS = sorted((ROOT / "benchmarks/workloads").glob("*.toml"))
REPORT = """
  Queries sent:         1003
  Queries completed:    1000 (99.70%)
  Queries lost:         3 (0.30%)

  Response codes:       NOERROR 900 (90.00%), NXDOMAIN 100 (10.00%)
  Average packet size:  request 24, response 76
  Run time (s):         2.000000
  Queries per second:   500.000000

  Average Latency (s):  0.002490 (min 0.000023, max 0.016334)
"""
ANSWER = """id 1
opcode QUERY
rcode NOERROR
flags QR AA RD
;QUESTION
n1.test. IN A
;ANSWER
n1.test. 60 IN A 192.0.2.1
n1.test. 60 IN A 192.0.2.2
"""


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_a_workload_is_well_formed(path: Path) -> None:
    workload = load_workload(path)
    places = {"port": "1053", "http": "9153", "etcd": "http://127.0.0.1:2379", "upstream": "127.0.0.1:1054", "dir": "/tmp"}
    assert not check(filled_in(workload.corefile, places), path.name)
    assert workload.goal or workload.limits
    assert len(next(iter(workload.questions.lines(1))).split()) == 2


def test_a_word_that_is_unknown_in_a_workload_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('title = ""\ncorefile = ""\nspeed = 3\n[questions]\nname = ""\ncount = 1\n')
    with pytest.raises(WorkloadError, match=r"x\.toml.*speed"):
        load_workload(tmp_path / "x.toml")


def test_questions_of_a_round_are_those_of_no_other() -> None:
    questions = load_workload(ROOT / "benchmarks/workloads/etcd-nxdomain.toml").questions
    few = replace(questions, count=100)
    rounds = [set(few.lines(number)) for number in range(-1, 4)]
    assert len(set().union(*rounds)) == 500


def test_dnsperfs_report_is_read() -> None:
    answers = load.parse(REPORT)
    assert (answers.asked, answers.answered, answers.lost, answers.seconds) == (1003, 1000, 3, 2.0)
    assert answers.rcodes == {"NOERROR": 900, "NXDOMAIN": 100}


@pytest.mark.parametrize(
    ("change", "with_what", "differs"),
    [
        ("", "", False),
        ("n1.test. 60", "N1.test. 60", False),
        ("60 IN A 192.0.2.1", "61 IN A 192.0.2.1", False),
        ("60 IN A 192.0.2.1", "90 IN A 192.0.2.1", True),
        ("192.0.2.1", "192.0.2.3", True),
        ("n1.test. 60 IN A 192.0.2.2\n", "", True),
        ("NOERROR", "NXDOMAIN", True),
        ("QR AA RD", "QR RD", True),
    ],
)
def test_answers_are_compared(change: str, with_what: str, differs: bool) -> None:
    texts = ANSWER, ANSWER.replace(change, with_what, 1)
    one, other = (dns.message.from_text(text, one_rr_per_rrset=True) for text in texts)
    assert bool(sample.compare(one, other, 2)) == differs


def rounds(cpu_seconds: list[float]) -> list[Round]:
    return [Round(load.parse(REPORT), each) for each in cpu_seconds]


@pytest.mark.parametrize(
    ("goal", "problems", "reached"), [(3.0, [], True), (3.1, [], False), (3.0, ["an answer differs"], False)]
)
def test_the_median_of_the_rounds_counts_and_only_with_right_answers(goal: float, problems: list[str], reached: bool) -> None:
    workload = replace(load_workload(WORKLOADS[0]), goal=goal)
    contenders = [Measured("one", rounds([0.3, 0.9, 0.3])), Measured("other", rounds([0.1, 0.1, 0.2]))]
    outcome = Comparison(workload, contenders, problems)
    assert outcome.ratios() == pytest.approx([1.5, 3.0, 9.0])
    assert outcome.reached() == reached


@pytest.mark.parametrize(("first_ms", "resident", "reached"), [(190, 50, True), (210, 50, False), (190, 61, False)])
def test_a_start_has_limits(first_ms: float, resident: float, reached: bool) -> None:
    workload: Workload = replace(load_workload(WORKLOADS[0]), limits=Limits(200, 60))
    measured = Measured("one", first_answers_ms=[first_ms], resident_mb=resident)
    assert Comparison(workload, [measured]).reached() == reached


def test_children_are_measured_and_ended(tmp_path: Path) -> None:
    program = "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print('up', flush=True); child.wait()"
    process = Process([sys.executable, "-c", program], 0, tmp_path, tmp_path / "output")
    try:
        while "up" not in process.last_words():
            assert not process.ended()
        members = family(process._child.pid)
        assert len(members) == 2
        assert process.cpu_seconds() >= 0
        assert process.resident_bytes() > 1 << 20
    finally:
        process.stop(patience=0)
    end = time.monotonic() + 5  # SIGKILL takes effect a moment after it was sent
    while any(alive(pid) for pid in members):
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_free_port_is_free_for_both() -> None:
    assert 1024 < free_port() < 65536
