"""Lines leave whole and in order, whoever does not read them."""

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pycoredns import output
from pycoredns.output import WHOLE_IN_PIPES, Writer


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def read_all(descriptor):
    """What comes until the other end is closed, read by read."""
    return list(iter(lambda: os.read(descriptor, 1 << 20), b""))


def test_lines_keep_their_order(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        writer = Writer(file.fileno())
        lines = [f"line {number} \u00fc" for number in range(5000)]
        for line in lines:
            writer.write(line)
        writer.flush(10)
    assert (tmp_path / "log").read_text("utf-8").splitlines() == lines


def test_lines_wait_for_a_thread_where_the_system_gives_none(pipe, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    reading, writing = pipe
    writer = Writer(writing)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        writer.write("first")
    writer.write("second")
    writer.flush(10)
    assert os.read(reading, 100) == b"first\nsecond\n"


def test_each_write_to_a_pipe_has_whole_lines_that_others_cannot_mix_with(pipe, monkeypatch):
    reading, writing = pipe
    written = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, octets: written.append(octets) or write(descriptor, octets))
    writer = Writer(writing)
    for number in range(300):
        writer.write(f"{number} " + "x" * 90)
    writer.flush(10)
    assert len(written) > 1
    assert all(chunk.endswith(b"\n") and len(chunk) <= WHOLE_IN_PIPES for chunk in written)
    os.close(writing)
    assert b"".join(read_all(reading)).count(b"\n") == 300


def test_a_line_longer_than_a_pipe_takes_at_once(pipe):
    reading, writing = pipe
    writer = Writer(writing)
    writer.write("y" * 3 * WHOLE_IN_PIPES)
    writer.write("end")
    writer.flush(10)
    os.close(writing)
    assert b"".join(read_all(reading)) == b"y" * 3 * WHOLE_IN_PIPES + b"\nend\n"


@pytest.mark.parametrize("bound", [{"BOUND": 2000}, {"MOST_OCTETS": 200_000}])
def test_a_pipe_nobody_reads_stops_nobody(pipe, monkeypatch, bound):
    for name, value in bound.items():
        monkeypatch.setattr(output, name, value)
    reading, writing = pipe
    writer = Writer(writing)
    before = output.dropped.cell().value
    started = time.perf_counter()
    for _ in range(20_000):
        writer.write("z" * 100)
    assert time.perf_counter() - started < 2
    assert output.dropped.cell().value > before
    lost = int(output.dropped.cell().value - before)
    reader = threading.Thread(target=lambda: received.extend(read_all(reading)))
    received = []
    reader.start()
    writer.flush(10)
    os.close(writing)
    reader.join()
    assert b"".join(received).count(b"\n") == 20_000 - lost


def test_a_descriptor_that_does_not_block_loses_nothing(pipe):
    reading, writing = pipe
    os.set_blocking(writing, False)
    writer = Writer(writing)
    lines = [f"{number:06d}" + "a" * 93 for number in range(5000)]
    for line in lines:
        writer.write(line)
    received = []
    reader = threading.Thread(target=lambda: received.extend(read_all(reading)))
    reader.start()
    writer.flush(10)
    os.close(writing)
    reader.join()
    assert b"".join(received).decode().splitlines() == lines


def test_lines_for_a_closed_pipe_are_counted(pipe):
    reading, writing = pipe
    os.close(reading)
    before = output.dropped.cell().value
    writer = Writer(writing)
    for _ in range(10):
        writer.write("nobody is there")
    writer.flush(10)
    assert output.dropped.cell().value - before == 10


def test_lines_gather_before_they_are_written(pipe, monkeypatch):
    monkeypatch.setattr(output, "GATHERING", 0.2)
    written = []
    monkeypatch.setattr(os, "write", lambda descriptor, octets: written.append(octets) or len(octets))
    writer = Writer(pipe[1])
    for _ in range(5):
        writer.write("one of five")
        time.sleep(0.01)
    writer.flush(10)
    assert written == [b"one of five\n" * 5]


def test_lines_that_are_held_come_in_their_order(pipe):
    reading, writing = pipe
    writer = Writer(writing)
    writer.write("before")
    writer.hold()
    assert os.read(reading, 1000) == b"before\n"
    for line in ("one", "two"):
        writer.write(line)
    writer.release()
    writer.write("three")
    writer.flush(10)
    assert os.read(reading, 1000) == b"one\ntwo\nthree\n"


def test_what_is_held_is_written_before_the_end(pipe):
    reading, writing = pipe
    writer = Writer(writing)
    writer.hold()
    writer.write("held")
    writer.flush(10)
    assert os.read(reading, 1000) == b"held\n"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # there are threads here, of other tests
def test_a_child_leaves_the_lines_to_its_parent(pipe):
    reading, writing = pipe
    writer = Writer(writing)
    writer.write("before")
    writer.hold()  # the thread that writes is the parent's, too
    assert os.read(reading, 1000) == b"before\n"
    writer.write("of the parent")
    if not (child := os.fork()):
        try:
            writer.forget()
            writer.write("of the child")
            writer.flush(10)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000) == b"of the child\n"
    writer.flush(10)
    assert os.read(reading, 1000) == b"of the parent\n"


@pytest.mark.parametrize(
    ("name", "level", "debug", "expected"),
    [
        ("plugin/health", logging.INFO, False, "[INFO] plugin/health: it is 1"),
        ("pycoredns", logging.ERROR, False, "[ERROR] it is 1"),
        ("plugin/x", logging.WARNING, False, "[WARNING] plugin/x: it is 1"),
        ("plugin/x", logging.DEBUG, False, None),
        ("plugin/x", logging.DEBUG, True, "[DEBUG] plugin/x: it is 1"),
        ("asyncio", logging.DEBUG, True, None),
        ("grpc", logging.WARNING, False, "[WARNING] it is 1"),
    ],
)
def test_records(monkeypatch, name, level, debug, expected):
    lines = []
    monkeypatch.setattr(output.writer, "write", lines.append)
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    try:
        output.set_up()
        output.show_debug(debug)
        output.logger(name).log(level, "it is %d", 1)
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
    assert lines == ([expected] if expected else [])


@pytest.mark.parametrize("last", ["output.fatal('no more')", "output.complain('no more'); os._exit(1)"])
def test_what_ends_the_process_does_so_where_the_reason_cannot_be_written(last):
    goes_on = f"import os\nfrom pycoredns import output\ntry:\n {last}\nexcept BaseException:\n os._exit(7)"
    with Path("/dev/full").open("w") as full:
        assert subprocess.run([sys.executable, "-c", goes_on], stdout=full, stderr=full, check=False).returncode == 1


def test_what_ends_the_process_is_the_last_line_of_the_log():
    """On standard output, as with CoreDNS: where its log is read, the reason is found."""
    ends = "from pycoredns import output\noutput.writer.write('before')\noutput.fatal('no more')\noutput.writer.write('behind')"
    ended = subprocess.run([sys.executable, "-c", ends], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "before\n[FATAL] no more\n", "")
