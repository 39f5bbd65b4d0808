"""What the server says of itself in class CH."""

import socket

import dns.message
import pytest

from pycoredns.plugins.chaos import AUTHORS, VERSION, Chaos
from pycoredns.response import Response
from pycoredns.testing import Last, request_for, running


def texts(plugin, name):
    """The TXT records that a question of class CH gets, sorted, parsed by dnspython."""
    request = request_for(name, "TXT", qclass="CH", size=4096)
    reply = dns.message.from_wire(bytes(2) + plugin.handle(request).reply(request))
    (rrset,) = reply.answer
    assert (rrset.ttl, rrset.rdclass) == (0, dns.rdataclass.CH)
    return sorted(b"".join(rdata.strings).decode() for rdata in rrset)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("version.bind", ["v1"]),
        ("VERSION.Server", ["v1"]),
        ("authors.bind", ["one", "two"]),
        ("hostname.bind", [socket.gethostname()]),
        ("id.server", [socket.gethostname()]),
    ],
)
def test_names_that_are_answered(name, expected):
    assert texts(Chaos("v1", ("two", "one", "two")), name) == expected


def test_without_arguments_the_texts_are_the_projects():
    assert texts(Chaos(), "version.bind") == [VERSION]
    assert texts(Chaos(), "authors.bind") == sorted(AUTHORS)


def test_texts_are_cut_at_255_octets():
    plugin = Chaos("v" * 300, ("a" * 256,))
    assert texts(plugin, "version.bind") == ["v" * 255]
    assert texts(plugin, "authors.bind") == ["a" * 255]


def test_authors_come_in_any_order_and_are_not_remembered():
    plugin = Chaos("v", tuple("abcdef"))
    requests = [request_for("authors.bind", "TXT", qclass="CH") for _ in range(50)]
    assert len({plugin.handle(request).answer for request in requests}) > 1
    assert all(request.personal for request in requests)


@pytest.mark.parametrize(
    ("name", "qtype", "qclass"),
    [("version.bind", "A", "CH"), ("version.bind", "TXT", "IN"), ("other.bind", "TXT", "CH"), ("x.version.bind", "TXT", "CH")],
)
def test_other_questions_are_passed_on(name, qtype, qclass):
    plugin, passed = Chaos(), Response(rcode=3)
    request = request_for(name, qtype, qclass=qclass, plugins=[plugin, Last(passed)])
    assert plugin.handle(request) is passed


@pytest.mark.parametrize(("line", "expected"), [("chaos v", "NOERROR"), ("whoami", "REFUSED")])
async def test_class_ch_is_let_through_by_chaos(line, expected):
    async with running(f".:{{port}} {{\nbind 127.0.0.1\n{line}\n}}") as server:
        assert await server.rcode("version.bind", "TXT", qclass="CH") == expected
