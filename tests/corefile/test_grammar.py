"""A Corefile without mistakes is read without pyparsing, to the same lines as by the grammar; what is wrong the grammar says."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from pycoredns.corefile import grammar
from pycoredns.errors import ConfigError

WHOLE = """\
# a comment
(common) {
    errors "stack\\"trace" # and another
}
a.test., b.test.:1053 {
    import common
    hosts { 192.0.2.1 a.test
      fallthrough }
    template IN A {
        answer "{{ .Name }} 60 IN A {$HERE}"
    }
} c.test
{
    log
}
"""
PIECES = ('"{"', '"}"', "{", "}", "\n", " ", '"', "#", "\\", "{ ", " }", "}\n", '\\"', "{\n", "\t", "w")


def by_grammar(text: str) -> object:
    """The lines, or why there are none."""
    try:
        return grammar._parse(text, "Corefile", None)
    except ConfigError as error:
        return str(error)


def changed(text: str, chance: random.Random) -> str:
    """The text with something too much, or too little."""
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(text) + 1)
        end = place + chance.randrange(3)
        text = text[:place] + chance.choice(PIECES) * chance.randrange(2) + text[end:]
    return text


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_lead_to_the_same_lines(seed: int) -> None:
    chance, refused = random.Random(seed), 0
    for _ in range(200):
        text = changed(WHOLE, chance)
        parsed, expected = grammar._read_quickly(text), by_grammar(text)
        assert isinstance(expected, str) if parsed is None else grammar._Placed(text, "Corefile").lines(parsed) == expected, text
        refused += parsed is None
    assert 10 < refused < 190


def test_blocks_are_not_nested_without_end() -> None:
    assert len(grammar.parse_lines("a {\n" * 50 + "}\n" * 50, "Corefile")) == 1
    with pytest.raises(ConfigError, match="nested too deeply"):
        grammar.parse_lines("a {\n" * 5000 + "}\n" * 5000, "Corefile")


def test_a_corefile_without_mistakes_needs_no_pyparsing() -> None:
    code = "import sys; from pycoredns.corefile.expand import parse; parse(sys.argv[1]); assert 'pyparsing' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, ".:1053 {\n whoami\n}\n"], check=True, timeout=20)
