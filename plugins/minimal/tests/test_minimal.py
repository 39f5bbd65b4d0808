"""What is left of an answer."""

import dns.message
import dns.rrset
import pytest

from pycoredns.answer import Pending
from pycoredns.errors import ServerFailure
from pycoredns.plugins.minimal import Minimal
from pycoredns.relayed import Relayed
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import record

NAME = names.from_text("a.test")
ADDRESS = record(NAME, types.A, 60, b"\xc0\0\2\1")
SERVER = record(NAME, types.NS, 60, NAME)
SOA = record(NAME, types.SOA, 60, NAME + NAME + bytes(20))


def minimal(response, qtype="A"):
    """What becomes of an answer."""
    request = request_for("a.test", qtype, plugins=[plugin := Minimal(), Last(response)])
    return plugin.handle(request)


def counts(response):
    return response.answers, response.authorities, response.additionals


@pytest.mark.parametrize(
    ("response", "qtype", "expected"),
    [
        pytest.param(Response(0, ADDRESS, 1, SERVER, 1, ADDRESS, 1), "A", (1, 0, 0), id="positive"),
        pytest.param(Response(0, b"", 0, b"", 0, ADDRESS, 1), "A", (0, 0, 0), id="whoami"),
        pytest.param(Response(0, b"", 0, SOA, 1), "A", (0, 1, 0), id="nodata"),
        pytest.param(Response(3, b"", 0, SOA, 1), "A", (0, 1, 0), id="nxdomain"),
        pytest.param(Response(0, b"", 0, SERVER, 1, ADDRESS, 1), "A", (0, 1, 1), id="referral"),
        pytest.param(Response(2, b"", 0, SOA, 1), "A", (0, 1, 0), id="servfail"),
        pytest.param(Response(5, b"", 0, SERVER, 1), "A", (0, 1, 0), id="refused"),
        pytest.param(Response(0, SOA, 1, SERVER, 1), "AXFR", (1, 1, 0), id="transfer"),
        pytest.param(
            Response(0, ADDRESS, 1).alike(error=ServerFailure("x"), authority=SOA, authorities=1), "A", (1, 1, 0), id="error"
        ),
    ],
)
def test_only_positive_answers_lose_what_was_not_asked_for(response, qtype, expected):
    assert counts(minimal(response, qtype)) == expected


def test_a_relayed_answer_is_cut_without_its_opt():
    query = dns.message.make_query("a.test", "A", use_edns=0)
    reply = dns.message.make_response(query)
    reply.use_edns(0, 0, 1232)
    reply.answer.append(dns.rrset.from_text("a.test.", 60, "IN", "A", "192.0.2.1"))
    reply.authority.append(dns.rrset.from_text("test.", 60, "IN", "NS", "ns.test."))
    reply.additional.append(dns.rrset.from_text("ns.test.", 60, "IN", "A", "192.0.2.2"))
    response = minimal(Relayed.read(reply.to_wire(), NAME))
    sent = dns.message.from_wire(bytes(2) + response.reply(request_for("a.test")))
    assert (len(sent.answer), sent.authority, sent.additional, sent.edns) == (1, [], [], -1)
    assert response.plain().additional == b""


def test_an_answer_that_comes_later_is_shortened_too():
    later = Pending()
    answer = minimal(lambda request: later)
    later.resolve(Response(0, ADDRESS, 1, SERVER, 1))
    assert counts(answer.result()) == (1, 0, 0)
