"""What is told of errors, by themselves and consolidated."""

import logging

import pytest

from pycoredns.corefile.kinds import RegularExpression
from pycoredns.corefile.model import Place, Token
from pycoredns.corefile.options import Context
from pycoredns.errors import ConfigErrors, Refused, ServerFailure
from pycoredns.plugin import Outcome
from pycoredns.plugins.errors import Errors
from pycoredns.plugins.errors.consolidation import Consolidation
from pycoredns.response import Response
from pycoredns.testing import eventually, request_for, running


def consolidation(expression, period=60.0, **options):
    token = Token(expression, Place("Corefile", 1))
    return Consolidation(period, RegularExpression.parse(token, Context()), expression, **options)


def failed(error=None, response=None, name="X.example.org", qtype="AAAA"):
    """An outcome with an error in place of an answer, or beside one."""
    outcome = Outcome(request_for(name, qtype), response or Response(error.rcode, flags=0), None)
    outcome.error = error
    return outcome


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.DEBUG, "plugin/errors")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "plugin/errors"]


def test_lines(told):
    plugin = Errors()
    plugin.observe_failure(failed(ServerFailure("plugin/cache: no next plugin found")))
    plugin.observe_failure(failed(Refused("not here"), qtype="TYPE65280"))
    plugin.observe_failure(failed(Refused("not here"), qtype="TYPE0"))
    plugin.observe_failure(failed(Refused("not here"), qtype="TYPE65535"))
    answer = Response(3)
    answer.error = ServerFailure("broken record")
    plugin.observe_failure(failed(response=answer))
    assert told() == [
        ("ERROR", "2 x.example.org. AAAA: plugin/cache: no next plugin found"),
        ("ERROR", "5 x.example.org. TYPE65280: not here"),
        ("ERROR", "5 x.example.org. None: not here"),
        ("ERROR", "5 x.example.org. Reserved: not here"),
        ("ERROR", "0 x.example.org. AAAA: broken record"),
    ]


def test_what_nobody_foresaw_is_told_by_the_server(told):
    plugin, outcome = Errors(), failed(response=Response(2))
    outcome.error = ZeroDivisionError("oh")
    plugin.observe_failure(outcome)
    assert told() == []


async def test_errors_of_one_kind_are_counted_and_told_once(told):
    plugin = Errors(consolidate=(consolidation("^read .* timeout$", 0.05), consolidation("timeout", 60.0)))
    for _ in range(3):
        plugin.observe_failure(failed(ServerFailure("read udp: timeout")))
    plugin.observe_failure(failed(ServerFailure("other")))
    await eventually(lambda: len(told()) == 2)
    assert told() == [
        ("ERROR", "2 x.example.org. AAAA: other"),
        ("ERROR", "3 errors like '^read .* timeout$' occurred in last 50ms"),
    ]
    plugin.observe_failure(failed(ServerFailure("read udp: timeout")))
    await eventually(lambda: len(told()) == 3)
    assert told()[2][1].startswith("1 errors like ")


@pytest.mark.parametrize("times", [1, 3])
async def test_the_first_may_be_shown_by_itself(told, times):
    plugin = Errors(consolidate=(consolidation("x", 90.0, level=logging.WARNING, show_first=True),))
    async with plugin.running():
        for _ in range(times):
            plugin.observe_failure(failed(ServerFailure("x")))
    lines = [("WARNING", "2 x.example.org. AAAA: x")]
    assert told() == (lines if times == 1 else [*lines, ("WARNING", "3 errors like 'x' occurred in last 1m30s")])


async def test_at_the_end_what_was_counted_is_told(told):
    plugin = Errors(consolidate=(consolidation("x"), consolidation("never")))
    async with plugin.running():
        plugin.observe_failure(failed(ServerFailure("x")))
        assert told() == []
    assert told() == [("ERROR", "1 errors like 'x' occurred in last 1m0s")]
    plugin.observe_failure(failed(ServerFailure("x")))
    assert told()[1:] == [("ERROR", "2 x.example.org. AAAA: x")]


async def test_in_a_server(told):
    corefile = """.:{port} {
        errors stdout {
            stacktrace
            consolidate 10m "^plugin/.* found$" info show_first
        }
        cache
    }"""
    async with running(corefile) as server:
        assert server.server.blocks[0].settings.stacktrace
        for _ in range(3):
            assert await server.rcode("a.test") == "SERVFAIL"
    assert told() == [
        ("INFO", "2 a.test. A: plugin/cache: no next plugin found"),
        ("INFO", "3 errors like '^plugin/.* found$' occurred in last 10m0s"),
    ]


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("errors file.log", "file.log"),
        ("errors stdout stdout", "unexpected"),
        ("errors {\n other\n}", "other"),
        ("errors {\n consolidate 1m\n}", "Wrong argument count"),
        ("errors {\n consolidate 1m x error show_first y\n}", "Wrong argument count"),
        ("errors {\n consolidate x y\n}", "not a duration"),
        ("errors {\n consolidate 1m (\n}", "not a regular expression"),
        (f"errors {{\n consolidate 1m {'x' * 10_001}\n}}", "10001 > 10000"),
        ("errors {\n consolidate 1m x loud\n}", "loud"),
        ("errors {\n consolidate 1m x show_first error\n}", "before show_first"),
        ("errors {\n consolidate 1m x error info\n}", "one level only"),
        ("errors\n errors", "once"),
    ],
)
async def test_mistakes(block, complaint):
    with pytest.raises(ConfigErrors, match=rf"Corefile:[123]: .*{complaint}"):
        async with running(f".:0 {{\n{block}\n}}"):
            pass
