"""The parts of `benchmarks/run` that can be wrong without being noticed."""

import os
import random
import socket
import sys
import threading
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from benchmarks.harness import evenness, interpreter, latency, load, sample
from benchmarks.harness.bench import Bench, Effort, part
from benchmarks.harness.command import main as run_comparisons
from benchmarks.harness.data import Records, write_key
from benchmarks.harness.laboratory import Commands
from benchmarks.harness.latency import Latency, frames
from benchmarks.harness.outcome import Comparison, Measured, Round
from benchmarks.harness.pauses import read_longest
from benchmarks.harness.processes import Process, family, free_port
from benchmarks.harness.questions import Kind, Style, messages
from benchmarks.harness.servers import filled_in
from benchmarks.harness.workload import Limits, Load, Peer, Workers, Workload, WorkloadError, load_workload
from pycoredns.check import check

ROOT = Path(__file__).parent.parent
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
SIGNATURE = "n1.test. 60 IN RRSIG A 13 2 60 20260102000000 20260101000000 4711 test. AAAA"


def test_all_workloads_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_comparisons(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in WORKLOADS)
    assert [line.split()[0] for line in lines if line.endswith("(only if named)")] == ["start-etcd-million"]


def test_a_workload_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_comparisons(["cached", "chached"]) == 2
    assert capsys.readouterr().err == 'there is no workload "chached"; benchmarks/run --list names those there are\n'


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_a_workload_is_well_formed(path: Path, tmp_path: Path) -> None:
    workload = load_workload(path).small(10)
    for name, records in workload.files.items():
        records.write(tmp_path / name)
    places = {"port": "1053", "http": "9153", "health": "8080", "ready": "8181", "etcd": "http://127.0.0.1:2379"}
    places |= {"upstream": "127.0.0.1:1054", "dir": str(tmp_path), "key": workload.key and write_key(tmp_path, workload.key)}
    assert not check(filled_in(workload.corefile, places), path.name)
    assert set(workload.messages(1, 20))


def test_the_example_of_the_readme_is_a_workload(tmp_path: Path) -> None:
    example = (ROOT / "benchmarks/README.md").read_text().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "example.toml").write_text(example)
    workload = load_workload(tmp_path / "example.toml")
    assert workload.style.dnssec_ok
    assert workload.peers["nsd"].at_most == 1.2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('speed = 3\n[questions]\nname = ""\ncount = 1\n', "speed"),
        ('[questions]\nname = ""\ncount = 1\ngenerator = "odd"\n', "odd"),
        ('[questions]\nname = ""\ncount = 1\n[load]\nprotocol = "dot"\n', "dot"),
    ],
)
def test_what_is_unknown_in_a_workload_is_named(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(f'title = ""\ncorefile = ""\n{text}')
    with pytest.raises(WorkloadError, match=rf"x\.toml.*{named}"):
        load_workload(tmp_path / "x.toml")


def asked(kinds: tuple[Kind, ...], count: int, style: Style | None = None, number: int = 1) -> list[dns.message.Message]:
    return [dns.message.from_wire(each) for each in messages(kinds, style or Style(), number, count)]


def names(found: list[dns.message.Message]) -> list[str]:
    return [str(each.question[0].name) for each in found]


def test_questions_of_a_round_are_those_of_no_other() -> None:
    kinds = (Kind("{}.test", 1, "unseen"),)
    assert len(set().union(*(names(asked(kinds, 100, number=number)) for number in range(-1, 4)))) == 500


def test_numbered_names_are_asked_in_one_order_over_and_over() -> None:
    kinds = (Kind("n{}.test", 100),)
    found = names(asked(kinds, 200))
    assert sorted(found[:100]) == sorted(f"n{number}.test." for number in range(100))
    assert found[:100] == found[100:]
    assert not set(found[:20]) & set(names(asked(kinds, 20, number=2)))  # a round begins with what others have not just asked


def test_few_names_are_asked_often() -> None:
    found = names(asked((Kind("n{}.test", 100, "zipf"),), 5000))
    assert found.count("n0.test.") > 5 * found.count("n20.test.") > 0


def test_a_search_list_comes_before_the_name_itself() -> None:
    found = asked((Kind("w{}.test", 1, types=("A", "AAAA"), search=("b.c", "c")),), 6)
    assert names(found) == ["w0.test.b.c."] * 2 + ["w0.test.c."] * 2 + ["w0.test."] * 2
    assert [dns.rdatatype.to_text(each.question[0].rdtype) for each in found] == ["A", "AAAA"] * 3


def test_kinds_come_as_often_as_their_shares_say() -> None:
    found = names(asked((Kind("a{}.test", 1, share=0.9), Kind("b{}.test", 1, share=0.1)), 2000))
    assert 120 < found.count("b0.test.") < 280


def test_a_client_writes_in_its_style() -> None:
    kinds = (Kind("abcdefgh{}.test", 1),)
    assert len(set(names(asked(kinds, 20, Style(mixed_case=True))))) > 15
    cookies = {each.options[0].to_text() for each in asked(kinds, 20, Style(cookies=True))}
    assert len(cookies) == 20
    (signed,) = asked(kinds, 1, Style(dnssec_ok=True))
    assert (signed.ednsflags, signed.options) == (0x8000, ())


def test_data_are_numbered_and_no_address_comes_twice() -> None:
    records = Records("{number} {copy} {address}", 2, key="/k{number}/{copy}", copies=2)
    assert [key for key, _ in records.items()] == ["/k0/0", "/k0/1", "/k1/0", "/k1/1"]
    assert [text for _, text in records.items()][-1] == "1 1 10.0.0.3"


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
        ("n1.test. IN A", "N1.test. IN A", True),
        ("flags QR AA RD", "flags QR AA RD\nedns 0\neflags DO\npayload 1232", True),
    ],
)
def test_answers_are_compared(change: str, with_what: str, differs: bool) -> None:
    texts = ANSWER, ANSWER.replace(change, with_what, 1)
    one, other = (dns.message.from_text(text, one_rr_per_rrset=True) for text in texts)
    assert bool(sample.compare(one, other, 2)) == differs


@pytest.mark.parametrize(
    ("change", "with_what", "differs"), [("AAAA", "BBBB", False), ("20260102", "20260103", False), ("4711", "4712", True)]
)
def test_of_a_signature_its_key_must_be_alike(change: str, with_what: str, differs: bool) -> None:
    texts = ANSWER + SIGNATURE, ANSWER + SIGNATURE.replace(change, with_what)
    one, other = (dns.message.from_text(text, one_rr_per_rrset=True) for text in texts)
    assert bool(sample.compare(one, other, 2)) == differs


def rounds(cpu_seconds: list[float]) -> list[Round]:
    return [Round(load.parse(REPORT), each, each) for each in cpu_seconds]


@pytest.mark.parametrize(
    ("goal", "problems", "reached"), [(3.0, [], True), (3.1, [], False), (3.0, ["an answer differs"], False)]
)
def test_the_median_of_the_rounds_counts_and_only_with_right_answers(goal: float, problems: list[str], reached: bool) -> None:
    workload = replace(load_workload(WORKLOADS[0]), goal=goal)
    contenders = [Measured("one", rounds([0.3, 0.9, 0.3])), Measured("other", rounds([0.1, 0.1, 0.2]))]
    outcome = Comparison(workload, contenders, problems)
    assert outcome.ratios() == pytest.approx([1.5, 3.0, 9.0])
    assert outcome.reached() == reached


def test_latencies_are_taken_at_a_load_that_is_always_borne() -> None:
    calm = load.parse(REPORT)
    two = [Round(replace(calm, seconds=seconds), 0.1) for seconds in (calm.seconds, calm.seconds * 2)]
    assert Measured("ours", two).least_rate == pytest.approx(calm.answered / calm.seconds / 2)


@pytest.mark.parametrize(("worst_us", "warns"), [(128, False), (150, False), (254, True)])
def test_an_uneven_core_is_told(worst_us: float, warns: bool) -> None:
    found = evenness.Evenness(128, worst_us)
    assert ("128 to 254 µs" in found.warning()) == warns


def test_evenness_is_of_the_work_and_not_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.thread_time_ns
    turns = cycle([0.002, 0.004])

    def busy() -> int:
        until = begun() + next(turns) * 1e9
        time.sleep(0.01)
        while begun() < until:
            pass
        return 0

    monkeypatch.setattr(evenness, "work", busy)
    found = evenness.evenness_of(min(os.sched_getaffinity(0)), seconds=0.3)
    assert 1900 < found.best_us < 3900 < found.worst_us < 10_000


def test_a_peer_may_cost_so_much_less() -> None:
    workload = replace(load_workload(WORKLOADS[0]), goal=None, peers={"nsd": Peer("", at_most=1.2)})
    contenders = [Measured(name, rounds([seconds])) for name, seconds in (("one", 0.9), ("nsd", 0.1), ("ours", 0.13))]
    assert Comparison(workload, contenders).shortfalls() == ["1.30 times nsd's cost"]


def test_of_several_workers_the_busiest_bounds_what_they_bear() -> None:
    workload = replace(load_workload(WORKLOADS[0]), goal=None, workers=Workers(2, 1.9))
    one, two = Round(load.parse(REPORT), 0.2, 0.2), Round(load.parse(REPORT), 0.2, 0.125)
    outcome = Comparison(workload, [Measured("CoreDNS", [one]), Measured("one worker", [one]), Measured("ours", [two])])
    assert outcome.scaling() == pytest.approx(1.6)
    assert outcome.shortfalls() == ["below 1.9 times one worker"]


def test_one_worker_bears_what_each_of_several_does() -> None:
    workload = load_workload(ROOT / "benchmarks/workloads/workers.toml")
    contenders, _ = Commands("coredns", "ours").contenders(workload)
    loads = {each.name: (part({0, 1}, each.share), workload.load.part(each.share)) for each in contenders}
    assert {name: (cores, load.clients, load.outstanding) for name, (cores, load) in loads.items()} == {
        "CoreDNS": ({0, 1}, 40, 400),
        "one worker": ({0}, 20, 200),
        "pycoredns": ({0, 1}, 40, 400),
    }


@pytest.mark.parametrize(("once", "counts"), [(True, [20, 200]), (False, [300, 300])])
def test_a_quicker_server_gets_more_questions_to_ask_once(once: bool, counts: list[int], tmp_path: Path) -> None:
    kinds = (Kind("n{}.test", 300),)
    workload = Workload("some", "some", ".", kinds, load=Load(once=once))
    bench = Bench(
        workload, [], lambda contender, cores: pytest.fail("none is to be started"), "dnsperf", Effort(1, 2.0, sample=1), tmp_path
    )
    found = [list(frames(bench.questions(7, rate).read_bytes())) for rate in (9.5, 99.5)]
    assert [len(each) for each in found] == counts
    assert found[1][:20] == found[0][:20]


def test_late_and_lost_answers_are_told() -> None:
    slow, quick = (Latency(100, 10, 0, 50, p99, 900, behind_us=20) for p99 in (300, 200))
    contenders = [Measured("one", rounds([0.3]), half=[quick]), Measured("ours", rounds([0.3]), half=[slow])]
    contenders[1].pressed = [load.parse(REPORT)]
    outcome = Comparison(replace(load_workload(WORKLOADS[0]), goal=None), contenders)
    assert outcome.shortfalls() == ["p99 300 µs against 200", "3 lost"]


@pytest.mark.parametrize(
    ("first_ms", "resident", "pause_ms", "reached"),
    [(190, 50, 5, True), (190, 50, None, True), (210, 50, 5, False), (190, 61, 5, False), (190, 50, 10, False)],
)
def test_a_start_has_limits(first_ms: float, resident: float, pause_ms: float | None, reached: bool) -> None:
    workload: Workload = replace(load_workload(WORKLOADS[0]), limits=Limits(200, 60, pause_ms=5))
    measured = Measured("one", first_answers_ms=[first_ms], resident_mb=resident, longest_pause_ms=pause_ms)
    assert Comparison(workload, [measured]).reached() == reached


EXPOSITION = """# TYPE coredns_pycoredns_loop_pause_seconds histogram
coredns_pycoredns_loop_pause_seconds_bucket{le="0.001"} 90
coredns_pycoredns_loop_pause_seconds_bucket{le="0.005"} 93
coredns_pycoredns_loop_pause_seconds_bucket{le="0.01"} 93
coredns_pycoredns_loop_pause_seconds_bucket{le="+Inf"} 93
"""


@pytest.mark.parametrize(("text", "longest"), [(EXPOSITION, 5.0), (EXPOSITION.replace(" 90", " 93"), 1.0), ("", None)])
def test_the_longest_pause_is_read(text: str, longest: float | None) -> None:
    assert read_longest(text) == longest


def answer_with_a_pause(sock: socket.socket, seconds: float) -> None:
    """Sends each query back; after the hundredth it pauses."""
    for number in range(300):
        query, client = sock.recvfrom(512)
        if number == 100:
            time.sleep(seconds)
        sock.sendto(query, client)


@pytest.mark.parametrize("protocol", ["udp"])
def test_all_that_a_pause_delays_counts(protocol: str, tmp_path: Path) -> None:
    """A client that waits for answers would see one late: this asks on, and sees a third or more (coordinated omission)."""
    (tmp_path / "questions").write_bytes(b"\0\x04\0\0ab")
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = threading.Thread(target=answer_with_a_pause, args=(sock, 0.3))
        server.start()
        arguments = (sock.getsockname()[1], tmp_path / "questions", protocol, 4, 500, 0.6, 2.0)
        found = latency.measured_by_process(*arguments, seconds=3)
        server.join()
    assert (found.asked, found.lost) == (300, 0)
    assert found.p99_us > 150_000
    assert found.p50_us < 290_000


@pytest.mark.parametrize(
    ("arguments", "spread", "text"),
    [
        ("'--enable-optimizations' '--with-lto'", 100, "3.11.2 (PGO, LTO)"),
        ("'--enable-shared'", 1_900_000, "3.11.2 (PGO)"),
        ("'--enable-shared'", 20_000, "3.11.2 (not optimised)"),
    ],
)
def test_a_python_without_a_profile_is_seen(arguments: str, spread: int, text: str) -> None:
    python = interpreter.Interpreter("3.11.2", "/usr/bin/python3", arguments, spread)
    assert str(python) == text
    assert bool(python.warning()) == ("not optimised" in text)


def test_the_python_of_a_server_is_found() -> None:
    found = interpreter.interpreter_of(f"{Path(sys.prefix) / 'bin/pycoredns'} -conf x")
    assert found
    assert found.version.startswith("3.")
    assert interpreter.interpreter_of("/bin/cat") is None


def test_children_are_measured_and_ended(tmp_path: Path) -> None:
    program = "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print('up', flush=True); child.wait()"
    process = Process([sys.executable, "-c", program], {0}, tmp_path, tmp_path / "output")
    try:
        while "up" not in process.last_words():
            assert not process.ended()
        members = family(process._child.pid)
        assert len(members) == 2
        assert set(process.cpu_seconds()) == set(members)
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


def test_what_goes_through_a_pipe_blocks_nobody(tmp_path: Path) -> None:
    program = "import sys; [print('x' * 1000) for _ in range(1000)]; print('done', file=sys.stderr)"
    process = Process([sys.executable, "-c", program], {0}, tmp_path, tmp_path / "output", piped=True)
    try:
        process._child.wait(10)
    finally:
        process.stop()
    assert process.last_words() == "done\n"


def test_a_free_port_is_free_for_both() -> None:
    assert 1024 < free_port() < 65536


def test_a_message_has_a_random_case_that_is_the_same_for_both_servers() -> None:
    style = Style(mixed_case=True, cookies=True)
    assert style.message("abc.test", "A", random.Random(3)) == style.message("abc.test", "A", random.Random(3))


def test_what_came_back_to_several_generators_is_put_together() -> None:
    one = load.Answers(10, 9, 1, 2.0, 1.0, {"NOERROR": 9})
    other = load.Answers(4, 3, 1, 2.5, 5.0, {"NOERROR": 1, "NXDOMAIN": 2})
    assert load.together([one, other]) == load.Answers(14, 12, 2, 2.5, 2.0, {"NOERROR": 10, "NXDOMAIN": 2})
