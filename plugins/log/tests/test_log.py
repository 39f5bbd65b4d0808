"""Lines as CoreDNS writes them, and which answers get one."""

import re

import dns.message
import dns.rrset
import dns.tsigkeyring
import pytest

from pycoredns.errors import ConfigErrors, ServerFailure
from pycoredns.metadata import ProvidesMetadata, RequestMetadata
from pycoredns.plugin import Outcome
from pycoredns.plugins.log import Log
from pycoredns.query import RA
from pycoredns.relayed import Relayed
from pycoredns.request import Request
from pycoredns.response import NO_ANSWER, Response
from pycoredns.testing import request_for, running
from pycoredns.tsig import find, verify
from pycoredns.wire import edns, types
from pycoredns.wire.message import record
from pycoredns.wire.names import from_text

SOA = record(from_text("test"), types.SOA, 30, bytes(22))
A = record(from_text("a.test"), types.A, 30, bytes(4))
SHORT_SOA = record(b"\xc0\x0c", types.SOA, 5, b"\xc0\x0c\xc0\x0c" + bytes(20))


@pytest.fixture
def lines(monkeypatch):
    written = []
    monkeypatch.setattr("pycoredns.output.writer.write", written.append)
    return written


def outcome_of(response, name="a.test", qtype="A", duration=2_999_881, **options):
    outcome = Outcome(request_for(name, qtype, **options), response, None)
    outcome.duration, outcome.number = duration, 10884
    return outcome


def logged(lines, outcome, *words, classes=("all",)):
    Log(words, classes).observe(outcome)
    return lines[-1] if lines else None


ANSWER = Response(answer=A, answers=1)


@pytest.mark.parametrize(
    ("response", "options", "line"),
    [
        (ANSWER, {}, '"A IN a.test. udp 24 false 512" NOERROR qr,aa,rd 46'),
        (ANSWER, {"name": "A.TEST", "do": True, "size": 4096}, '"A IN a.test. udp 35 true 4096" NOERROR qr,aa,rd 46'),
        (ANSWER, {"size": 100}, '"A IN a.test. udp 35 false 512" NOERROR qr,aa,rd 46'),
        (ANSWER, {"protocol": "tcp", "size": 100}, '"A IN a.test. tcp 35 false 65535" NOERROR qr,aa,rd 46'),
        (ANSWER, {"flags": 0x0110}, '"A IN a.test. udp 24 false 512" NOERROR qr,aa,rd,cd 46'),
        (ANSWER, {"flags": 0x2000, "qtype": "SOA"}, '"SOA IN a.test. udp 24 false 512" NOERROR qr,aa 46'),
        (Response(rcode=3, flags=RA), {"qtype": "TYPE65280"}, '"TYPE65280 IN a.test. udp 24 false 512" NXDOMAIN qr,rd,ra 24'),
        (ANSWER, {"qclass": "ANY"}, '"A CLASS255 a.test. udp 24 false 512" NOERROR qr,aa,rd 46'),
        (ANSWER, {"qtype": "TYPE0"}, '"None IN a.test. udp 24 false 512" NOERROR qr,aa,rd 46'),
        (ANSWER, {"qtype": "TYPE65535"}, '"Reserved IN a.test. udp 24 false 512" NOERROR qr,aa,rd 46'),
        (Response(rcode=24, flags=0), {"qclass": "CH"}, '"A CH a.test. udp 24 false 512" 24 qr,rd 24'),
        (Response(answer=A * 40, answers=40), {}, '"A IN a.test. udp 24 false 512" NOERROR qr,aa,tc,rd 904'),
        (NO_ANSWER, {}, '"A IN a.test. udp 24 false 512" - - 0'),
    ],
)
def test_common_format(lines, response, options, line):
    expected = f"[INFO] 192.0.2.77:40000 - 10884 {line} 0.002999881s"
    outcome = outcome_of(response, **options)
    assert logged(lines, outcome) == expected
    assert logged(lines, outcome, ".", "{common}") == expected
    outcome.note = None
    assert logged(lines, outcome, ".", "{combined}") == f'{expected} "{outcome.request.header.opcode}"'


@pytest.mark.parametrize(
    ("response", "error", "size"),
    [
        (ANSWER, None, 35 + 12),
        (ANSWER.replace(opt=edns.opt(1232)), None, 35 + 12 + 11),
        (Response(rcode=types.SERVFAIL), ServerFailure(), 35 + 12 + 11),
    ],
    ids=["answered", "with an OPT record of its own", "failed"],
)
def test_options_that_mean_nothing_to_the_server_are_left_out_of_the_size_where_the_answer_leaves_them_out(
    lines, response, error, size
):
    asked = request_for("a.test", size=1232)
    options = edns.option(edns.COOKIE, bytes(8)) + edns.option(edns.SUBNET, b"\0\1\x18\0\xc0\0\2")
    wire = asked.wire[:-2] + len(options).to_bytes(2, "big") + options
    outcome = Outcome(Request.read(wire, b"", asked.listener, 0), response, None, error)
    outcome.duration, outcome.number = 0, 7
    assert f'"A IN a.test. udp {size} false 1232" ' in logged(lines, outcome)


def test_a_notification_that_is_passed_on_shows_the_flags_of_the_answer(lines):
    outcome = outcome_of(ANSWER, flags=0x2100)
    asked = outcome.request
    message = asked.wire[:2] + b"\xa1\x84" + asked.wire[4:]
    outcome.response = Relayed.read(message, asked.asked)
    assert logged(lines, outcome, ".", "{rcode} {>rflags}") == "[INFO] NOTIMP qr,rd,ra"


@pytest.mark.parametrize(
    ("sections", "behind", "size"),
    [
        ((1, 0, 0), SHORT_SOA, 66),
        ((0, 1, 0), SHORT_SOA, 66),
        ((0, 1, 1), SHORT_SOA + edns.opt(1232), 77),
        ((0, 0, 2), edns.opt(512) + edns.opt(1232), 43),
        ((0, 0, 1), record(b"\xc0\x0c", types.A, 30, bytes(4)), 40),
        ((1, 0, 0), b"", 21),
        ((1, 0, 0), SHORT_SOA + b"behind the end", 66),
    ],
)
def test_a_question_with_records_is_as_long_as_without_compression(lines, sections, behind, size):
    asked = request_for("a.x")
    counts = b"".join(count.to_bytes(2, "big") for count in sections)
    request = Request.read(asked.wire[:6] + counts + asked.wire[12:] + behind, b"", asked.listener, 0)
    assert logged(lines, Outcome(request, ANSWER, None), ".", "{size}") == f"[INFO] {size}"


@pytest.mark.parametrize("missing", [2, 4])
def test_a_question_that_ends_before_its_class_or_type_has_no_records_whatever_it_counts(lines, missing):
    asked = request_for("a.x")
    request = Request.read(asked.wire[:6] + b"\0\1\0\0\0\2" + asked.wire[12:-missing], b"", asked.listener, 0)
    assert logged(lines, Outcome(request, ANSWER, None), ".", "{size}") == "[INFO] 21"


def test_an_answer_given_again_differs_in_client_id_and_duration(lines):
    log, outcome = Log(), outcome_of(ANSWER)
    for number, duration in ((1, 1000), (2, 1000), (3, 1_000_000_000)):
        outcome.number, outcome.duration, outcome.peer = number, duration, bytes([number])
        log.observe(outcome)
    ends = [(line.split()[3], line.split()[-1]) for line in lines]
    assert ends == [("1", "0.000001s"), ("2", "0.000001s"), ("3", "1s")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{remote}|{port}|{local}", "[2001:db8::1]|53|192.0.2.1"),
        ("{remote}:{port}!", "[2001:db8::1]:53!"),
        ("{>id} {duration} {remote}:{port}", "10884 0.002999881s [2001:db8::1]:53"),
        ("{name}{name}", "a.test.a.test."),
        ("{ {type} } } {", "{ A } } {"),
        ("}{nothing}{type", "}{nothing}{type"),
        ("{/metadata/x}-{>rflags}", "--qr,aa,rd"),
        ("% {rcode} %s {{rsize}}", "% NOERROR %s {46}"),
    ],
)
def test_own_formats(lines, text, expected):
    outcome = outcome_of(ANSWER, client=("2001:db8::1", 53))
    assert logged(lines, outcome, ".", text) == f"[INFO] {expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{/some/thing}", "known"),
        ("{/noted}{name}", "found a.test."),
        ("{/nobody/knows} {/}", "- -"),
        ("{/log/type} {/log/class}", "NXDOMAIN denial"),
        ("{/zone/wildcard}", "*.test."),
        ("{/some/{name}", "{/some/a.test."),
        ("{/some/thing", "{/some/thing"),
    ],
)
def test_metadata(lines, text, expected):
    outcome = outcome_of(Response(rcode=3).alike(wildcard=from_text("*.test")))
    outcome.request.metadata = RequestMetadata(outcome.request, [Told()])
    outcome.request.metadata.note("noted", "found ")
    assert logged(lines, outcome, ".", text) == f"[INFO] {expected}"


class Told(ProvidesMetadata):
    def metadata(self, request):
        return {"some/thing": lambda: "known"}


@pytest.mark.parametrize("label", ["some/thing", "log/type", "log/class", "zone/wildcard"])
def test_no_metadata_without_the_plugin(lines, label):
    outcome = outcome_of(Response().alike(wildcard=from_text("*.test")))
    assert logged(lines, outcome, ".", f"{{/{label}}}") == "[INFO] -"


@pytest.mark.parametrize("beside", [[], ["a.test. 0 IN SOA a.test. b.test. 1 2 3 4 5"]])
def test_a_signed_question_is_as_long_as_without_its_signature(lines, beside):
    query = dns.message.make_query("a.test", "A", use_edns=True, payload=1232)
    query.authority += [dns.rrset.from_text(*line.split(" ", 4)) for line in beside]
    size = len(query.to_wire()) + len(beside) * (6 + 6 + 4)  # before compression
    query.use_tsig(dns.tsigkeyring.from_text({"key.": "AAAA"}))
    listener = request_for("a.test").listener
    request = Request.read(query.to_wire(), b"", listener, 0)
    request.signed_with(verify(request.wire, find(request.wire), {}, 0))
    assert logged(lines, Outcome(request, ANSWER, None), ".", "{size}") == f"[INFO] {size}"


@pytest.mark.parametrize(
    ("response", "options", "name"),
    [
        (ANSWER, {}, "success"),
        (Response(authority=record(b"\0", types.NS, 30, b"\0"), authorities=1), {}, "success"),
        (Response(), {}, "success"),
        (Response(authority=SOA, authorities=1), {}, "denial"),
        (Response(rcode=3), {}, "denial"),
        (Response(rcode=3, answer=A, answers=1), {}, "error"),
        (Response(rcode=2), {}, "error"),
        (Response(rcode=5), {}, "error"),
        (ANSWER, {"qtype": "AXFR"}, "error"),
        (ANSWER, {"flags": 0x2000}, "error"),
        (NO_ANSWER, {}, "error"),
    ],
)
def test_classes(lines, response, options, name):
    for classes in (("success",), ("denial",), ("error",), ("success", "denial", "error"), ("all", "error")):
        lines.clear()
        wanted = name in classes or "all" in classes
        assert bool(logged(lines, outcome_of(response, **options), classes=classes)) is wanted


async def test_the_first_rule_that_covers_a_name_counts(lines):
    corefile = """.:{port} {
        log lab.test "lab {name}"
        log obs.test other.test "obs {name}" {
            class denial
            class error
        }
        log . "all {name}"
        hosts {
            192.0.2.1 x.lab.test x.obs.test x.other.test x.nowhere notlab.test
        }
    }"""
    async with running(corefile) as server:
        for name in ("x.lab.test", "lab.test", "x.obs.test", "missing.other.test", "X.Nowhere", "notlab.test"):
            await server.query(name)
    assert lines == [
        "[INFO] lab x.lab.test.",
        "[INFO] lab lab.test.",
        "[INFO] obs missing.other.test.",
        "[INFO] all x.nowhere.",
        "[INFO] all notlab.test.",
    ]


async def test_each_question_has_a_line_also_when_its_answer_is_remembered(lines):
    corefile = """.:{port} {
        log
        hosts {
            192.0.2.1 a.test
        }
    }"""
    async with running(corefile) as server:
        for tcp in (False, True):
            for _ in range(4):
                await server.query("a.test", tcp=tcp)
        await server.query("b.test")
    pattern = r'\[INFO\] 127\.0\.0\.1:\d+ - \d+ "A IN [ab]\.test\. (udp 24 false 512|tcp 24 false 65535)" \w+ \S+ \d+ 0\.\d+s'
    assert len(lines) == 9
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert "SERVFAIL qr,rd 24 " in lines[-1]
    assert len({line.split()[3] for line in lines}) == 9


def test_an_error_has_the_answer_of_the_server(lines):
    outcome = outcome_of(Response(2, flags=0))
    outcome.error = ServerFailure("no next plugin found")
    assert logged(lines, outcome, ".", "{rcode} {>rflags} {rsize}") == "[INFO] SERVFAIL qr,rd 24"


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("log {\n class\n}", "class"),
        ("log {\n class some\n}", "some"),
        ("log {\n klass all\n}", "klass"),
        (f"log {'a' * 64}.test", "label"),
    ],
)
async def test_mistakes(block, complaint):
    with pytest.raises(ConfigErrors, match=rf"Corefile:[123]: .*{complaint}"):
        async with running(f".:0 {{\n{block}\n whoami\n}}"):
            pass


@pytest.mark.parametrize("words", [("{common}",), ("a.test",)])
def test_a_single_word_is_a_name(lines, words):
    assert bool(logged(lines, outcome_of(ANSWER), *words)) is (words == ("a.test",))
