"""The server's flags: as they are mostly written they are read without argparse, to the same options."""

import os
import subprocess
import sys
from signal import SIGPIPE

import pytest

from pycoredns import cli


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-conf", "Corefile", "-dns.port", "1053"],
        ["--conf", "Corefile", "-p", "5353", "-quiet", "--pidfile", "pid"],
        ["-version"],
        ["-plugins", "-workers", "2"],
        ["-conf", "first", "-conf", "second"],
        ["-waiting", "100", "--overload", "silence"],
    ],
    ids=" ".join,
)
def test_both_ways_lead_to_the_same_options(words):
    by_argparse = vars(cli.parser([]).parse_args(words))
    assert vars(cli._read_plain(words)) == by_argparse


@pytest.mark.parametrize(
    "words",
    [
        ["-conf"],
        ["-conf", "-quiet"],
        ["-conf=Corefile"],
        ["-p", "0"],
        ["-p", "x"],
        ["-workers", "-1"],
        ["-overload", "shout"],
        ["-waiting", "0"],
        ["check"],
        ["-help"],
        ["-con", "x"],
        ["-quiet", "x"],
    ],
    ids=" ".join,
)
def test_all_else_is_left_to_argparse(words):
    assert cli._read_plain(words) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "0"], 'argument -dns.port/--dns.port/-p: "0" is not a port; write 1 to 65535'),
        (["-workers", "0"], 'argument -workers/--workers: "0" is not a number of processes; write 1 to 256, or auto'),
        (["-waiting", "many"], 'argument -waiting/--waiting: "many" is not a number of questions; write 1 to 10000000'),
        (["-overload", "refuse"], 'argument -overload/--overload: "refuse" is neither servfail nor silence'),
        (["query", "-p", "x", "example.org"], 'argument -p/--port: "x" is not a port; write 1 to 65535'),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_those_that_can(words, said, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    assert capsys.readouterr().err.endswith(f"error: {said}\n")


@pytest.mark.parametrize("words", [["chek"], ["-conf", "Corefile", "chek"], ["-quiet", "-p=1", "chek"]], ids=" ".join)
def test_a_word_that_is_no_command_is_told_with_all_commands_there_are(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    assert "invalid choice: 'chek' (choose from 'check', 'plugins'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-quiet=true", "-conf=Corefile"], ["-quiet", "-conf=Corefile"]),
        (["--version=0", "-plugins=T", "-quiet=False"], ["-plugins"]),
        (["-quiet=maybe", "-quiet=", "--workers=1", "-p=1"], ["-quiet=maybe", "-quiet=", "--workers=1", "-p=1"]),
    ],
    ids=str,
)
def test_flags_that_stand_alone_may_say_whether_they_are_meant(words, expected):
    assert cli._without_truths(words) == expected


def test_the_version_is_shown_rather_than_the_plugins(capsys):
    assert cli.main(["-plugins", "-version=1"]) == 0
    assert capsys.readouterr().out.startswith("CoreDNS-")


@pytest.mark.parametrize("words", [["plugins"], ["-plugins"], ["-version"], ["help", "forward"]], ids=" ".join)
def test_a_reader_that_has_gone_is_no_mistake(words):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        command = [sys.executable, "-m", "pycoredns", *words]
        result = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (128 + SIGPIPE, b"")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", rb"wh\xf6\u20ac"), ("latin-1", b"wh\xf6\\u20ac"), ("utf-8", "whö€".encode())]
)
def test_what_the_locale_cannot_write_is_shown_by_its_number(encoding, shown):
    result = subprocess.run(
        [sys.executable, "-m", "pycoredns", "check", "-"],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        input="x {\n whö€\n}\n".encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (1, b"")
    assert b'stdin:2: unknown directive "%b"' % shown in result.stdout
