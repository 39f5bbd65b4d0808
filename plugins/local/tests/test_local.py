"""Which names are local, and what they get."""

import dns.message
import pytest

from pycoredns.errors import ConfigErrors
from pycoredns.plugins.local import Local
from pycoredns.response import Response
from pycoredns.testing import Last, request_for, running

SOA = "604800 IN SOA localhost. root.localhost. 1 0 0 0 604800"
PASSED = Response(rcode=5)


def answered(plugin, name, qtype):
    """Response code, answer and authority as text, parsed by dnspython; None where the question was passed on."""
    request = request_for(name, qtype, plugins=[plugin, Last(PASSED)])
    response = plugin.handle(request)
    if response is PASSED:
        return None
    assert not response.authoritative
    reply = dns.message.from_wire(bytes(2) + response.reply(request))
    return dns.rcode.to_text(reply.rcode()), *(" ".join(map(str, section)) for section in (reply.answer, reply.authority))


@pytest.mark.parametrize(
    ("name", "qtype", "expected"),
    [
        ("localhost", "A", ("NOERROR", "localhost. 604800 IN A 127.0.0.1", "")),
        ("LocalHost", "AAAA", ("NOERROR", "LocalHost. 604800 IN AAAA ::1", "")),
        ("localhost", "NS", ("NOERROR", "localhost. 604800 IN NS localhost.", "")),
        ("localhost", "SOA", ("NOERROR", f"localhost. {SOA}", "")),
        ("localhost", "MX", ("NOERROR", "", f"localhost. {SOA}")),
        ("x.localhost", "A", ("NOERROR", "x.localhost. 604800 IN A 127.0.0.1", "")),
        ("x.localhost", "NS", ("NOERROR", "", f"x.localhost. {SOA}")),
        ("localhost.Some.test", "AAAA", ("NOERROR", "localhost.Some.test. 604800 IN AAAA ::1", "")),
        ("localhost.some.test", "MX", ("NOERROR", "", f"localhost.some.test. {SOA}")),
        ("127.in-addr.arpa", "SOA", ("NOERROR", f"127.in-addr.arpa. {SOA}", "")),
        ("0.in-addr.arpa", "NS", ("NOERROR", "0.in-addr.arpa. 604800 IN NS localhost.", "")),
        ("255.in-addr.arpa", "A", ("NOERROR", "", f"255.in-addr.arpa. {SOA}")),
        ("1.0.0.127.in-addr.arpa", "PTR", ("NOERROR", "1.0.0.127.in-addr.arpa. 604800 IN PTR localhost.", "")),
        ("1.0.0.127.IN-ADDR.arpa", "A", ("NOERROR", "", f"127.IN-ADDR.arpa. {SOA}")),
        ("2.0.0.127.in-addr.arpa", "PTR", ("NXDOMAIN", "", f"127.in-addr.arpa. {SOA}")),
        ("1.2.255.in-addr.arpa", "PTR", ("NXDOMAIN", "", f"255.in-addr.arpa. {SOA}")),
        ("xlocalhost", "A", None),
        (r"x\009localhost", "A", None),
        ("a.localhost.some.test", "A", None),
        ("localhosts.some.test", "A", None),
        ("1.0.0.10.in-addr.arpa", "PTR", None),
        (".", "NS", None),
    ],
)
def test_answers(name, qtype, expected):
    assert answered(Local(), name, qtype) == expected


def test_debug_tells_who_asks_for_localhost_each_time(caplog):
    caplog.set_level("DEBUG")
    for _ in range(2):
        answered(Local(), "x.localhost", "AAAA")
    assert caplog.messages == ['Intercepting localhost query for "x.localhost." AAAA, from 192.0.2.77'] * 2


@pytest.mark.parametrize(("name", "local"), [("localhost.some.test", False), ("x.localhost", True), ("localhost", True)])
def test_names_that_only_begin_so_may_be_left_to_others(name, local):
    assert (answered(Local(localhost_prefix=False), name, "A") is not None) == local


async def test_special_names_are_counted_also_when_given_from_memory():
    counted = Local.requests.cell()
    before = counted.value
    async with running(".:{port} {\nbind 127.0.0.1\nlocal\n}") as server:
        for _ in range(5):
            await server.query("x.localhost")
            await server.query("localhost")
    assert counted.value - before == 5


@pytest.mark.parametrize("block", ["localhost_prefix maybe", "localhost_prefix", "other on"])
async def test_options_that_are_refused(block):
    with pytest.raises(ConfigErrors, match="local"):
        async with running(f".:{{port}} {{\nlocal {{\n{block}\n}}\n}}"):
            pass
