import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.settings import BlockSettings
from pycoredns.testing import running


def settings_of(line: str) -> BlockSettings:
    return assemble(parse(f".:5353 {{\n{line}\nwhoami\n}}\n", "Corefile")).blocks[0].settings


@pytest.mark.parametrize(
    ("line", "patience"), [("cancel", 5.001), ("cancel 1s", 1.0), ("cancel 250ms", 0.25), ("cancel 1s\ncancel 2s", 2.0)]
)
def test_how_long_a_question_may_take(line: str, patience: float) -> None:
    assert settings_of(line).patience == patience


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("cancel quickly", "not a duration"),
        ("cancel -1s", "is negative"),
        ("cancel 0s", "leaves no time"),
        ("cancel 1s 2s", 'unexpected "2s"'),
        ("cancel {\n 1s\n}", "takes no block"),
    ],
)
def test_mistakes(line: str, complaint: str) -> None:
    with pytest.raises(ConfigErrors, match=complaint):
        settings_of(line)


async def test_an_answer_at_once_is_not_changed() -> None:
    async with running(".:{port} {\n cancel 1ms\n whoami\n}") as server:
        assert await server.rcode("example.org") == "NOERROR"


async def test_alone_it_has_no_answer() -> None:
    async with running(".:{port} {\n cancel\n}") as server:
        assert await server.rcode("example.org") == "SERVFAIL"
