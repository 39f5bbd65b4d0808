"""The server's flags: as they are mostly written they are read without argparse, to the same options."""

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
    by_argparse.pop("command")
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
