"""Flags of questions and answers are set and cleared."""

import pytest

from pycoredns.answer import Pending
from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors, Refused
from pycoredns.plugins.header import Header
from pycoredns.query import AA, RA, RD
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.testing import Last, query_wire, request_for
from pycoredns.wire import types

ALL = AA | RA | RD


def header(*lines):
    """The plugin with these lines in its block."""
    block = "\n".join(lines)
    found = assemble(parse(f".:1053 {{\nheader {{\n{block}\n}}\n}}")).blocks[0].find(Header)
    assert isinstance(found[0], Header)
    return found[0]


def bits_of(reply):
    return int.from_bytes(reply[:2], "big") & ALL


def exchange(plugin, flags=RD, answer=None):
    """The flags of the question as it came through, and those of the reply."""
    last = Last(answer or Response(flags=0))
    request = request_for("a.test", plugins=[plugin, last], flags=flags)
    reply = plugin.handle(request).reply(request)
    return last.seen[0].header.bits & ALL, bits_of(reply)


@pytest.mark.parametrize(
    ("lines", "asked", "expected"),
    [
        (["response set ra aa"], RD, AA | RA | RD),
        (["response clear rd"], RD, 0),
        (["response set rd"], 0, RD),
        (["response set aa", "response clear aa"], RD, RD),
        (["response clear aa ra rd", "response set ra"], RD, RA),
        (["RESPONSE Set RA"], RD, RA | RD),
    ],
)
def test_flags_of_answers(lines, asked, expected):
    assert exchange(header(*lines), asked) == (asked, expected)


@pytest.mark.parametrize("own", [AA, RA, AA | RA, 0])
def test_flags_of_answers_are_cleared_whoever_set_them(own):
    assert exchange(header("response clear aa ra"), 0, Response(flags=own))[1] == 0


@pytest.mark.parametrize(
    ("lines", "asked", "seen", "repeated"),
    [
        (["query clear rd"], RD, 0, 0),
        (["query set rd"], 0, RD, RD),
        (["query set aa ra"], RD, ALL, RD),
        (["query clear rd", "response set rd"], RD, 0, RD),
    ],
)
def test_flags_of_questions(lines, asked, seen, repeated):
    assert exchange(header(*lines), asked) == (seen, repeated)


def test_a_question_keeps_all_else():
    last = Last(Response())
    plugin = header("query clear rd")
    request = request_for("A.test", "TXT", plugins=[plugin, last], do=True, size=1400)
    plugin.handle(request)
    assert last.seen[0].wire == request.wire[:2] + b"\0\0" + request.wire[4:]
    assert last.seen[0].origin is request


def test_an_error_is_answered_with_the_changed_question():
    last = Last(Refused("no"))
    request = request_for("a.test", plugins=[header("query clear rd", "response set ra"), last])
    service = request.listener.service
    assert isinstance(service, Service)
    reply = service.serve(query_wire("a.test"), b"", request.listener, 0)
    assert (bits_of(reply), reply[1] & 15) == (0, types.REFUSED)


def test_a_later_answer_is_changed_too():
    pending, plugin = Pending(), header("response set ra")
    request = request_for("a.test", plugins=[plugin, Last(lambda request: pending)])
    later = plugin.handle(request)
    pending.resolve(Response(flags=AA))
    assert bits_of(later.result().reply(request)) == ALL


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "there is nothing to set or clear"),
        (["response flip ra"], 'unknown flag action "flip"'),
        (["response"], "set or clear is missing"),
        (["query set"], "FLAGS are missing"),
        (["query set tc"], 'unknown flag "tc"; choose from aa, ra, rd'),
        (["answer set ra"], 'unknown option "answer"'),
    ],
)
def test_mistakes(lines, told):
    with pytest.raises(ConfigErrors, match=told):
        header(*lines)


def test_of_several_the_first_counts():
    text = ".:1053 {\nheader {\nresponse set ra\n}\nheader {\nresponse set aa\n}\n}"
    found = assemble(parse(text)).blocks[0].find(Header)
    assert [exchange(each)[1] for each in found] == [RA | RD]
