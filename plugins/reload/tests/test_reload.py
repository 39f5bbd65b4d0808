"""How the Corefile is to be watched."""

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.settings import ReloadSettings


def settings(*lines):
    """What the server is told by a block of these lines."""
    text = "\n".join(lines)
    return assemble(parse(f".:1053 {{\n{text}\nwhoami\n}}", "Corefile")).settings.reload


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        (["reload"], ReloadSettings(30, 15)),
        (["reload 2s"], ReloadSettings(2, 1)),
        (["reload 1m"], ReloadSettings(60, 15)),
        (["reload 10s 0s"], ReloadSettings(10, 0)),
        (["reload 10s 2s"], ReloadSettings(10, 2)),
        (["reload 10s 20s"], ReloadSettings(10, 5)),
        (["reload 10s", "reload 20s"], ReloadSettings(10, 5)),
    ],
)
def test_interval_and_jitter(lines, expected):
    assert settings(*lines) == expected


def test_of_several_blocks_the_last_counts():
    corefile = parse("a.test:1053 {\nreload 10s 0\n}\nb.test:1053 {\nreload 20s 0\n}", "Corefile")
    assert assemble(corefile).settings.reload == ReloadSettings(20, 0)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("reload soon", "not a duration"),
        ("reload 1s", "too short"),
        ("reload 10s 500ms", "too short"),
        ("reload 10s 1s 1s", "unexpected"),
        ("reload -5s", "too short"),
    ],
)
def test_what_is_refused(line, cause):
    with pytest.raises(ConfigErrors, match=cause):
        settings(line)
