"""The client's address, port and transport, as the additional section tells them."""

import dns.message
import pytest

from pycoredns.plugins.whoami import Whoami
from pycoredns.testing import request_for, running
from pycoredns.wire.names import from_text


def told(request):
    """The additional section of the reply, parsed by dnspython."""
    reply = dns.message.from_wire(bytes(2) + Whoami().handle(request).reply(request))
    assert not reply.answer
    return [rrset.to_text() for rrset in reply.additional]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["A.test. 0 IN A 192.0.2.77", "_udp.A.test. 0 IN SRV 0 0 40000 ."]),
        ({"protocol": "tcp"}, ["A.test. 0 IN A 192.0.2.77", "_tcp.A.test. 0 IN SRV 0 0 40000 ."]),
        ({"client": ("2001:db8::7", 53)}, ["A.test. 0 IN AAAA 2001:db8::7", "_udp.A.test. 0 IN SRV 0 0 53 ."]),
        ({"qclass": "CH"}, None),
    ],
)
def test_records_tell_address_port_and_transport(options, expected):
    request = request_for("A.test", "MX", **options)
    if expected is None:
        assert Whoami().handle(request).additional.count(b"\0\3\0\0\0\0") == 2  # both of the question's class
    else:
        assert told(request) == expected


def test_at_the_root_the_label_stands_alone():
    assert told(request_for("."))[1] == "_udp. 0 IN SRV 0 0 40000 ."


@pytest.mark.parametrize(("last", "count"), [(54, 2), (55, 1)])
def test_a_name_that_leaves_no_room_gets_no_srv(last, count):
    name = ".".join(["a" * 63] * 3 + ["b" * last, "c"])
    assert len(from_text(name)) == 196 + last
    assert len(told(request_for(name))) == count


def test_the_answer_is_for_this_client_only():
    request = request_for("a.test")
    Whoami().handle(request)
    assert request.personal


@pytest.mark.parametrize("tcp", [False, True])
async def test_over_real_sockets(tcp):
    async with running(".:{port} {\nbind 127.0.0.1\nwhoami\n}") as server:
        reply = await server.query("a.test", tcp=tcp)
    assert [str(rr.rname) for rr in reply.ar] == ["a.test.", "_tcp.a.test." if tcp else "_udp.a.test."]
    assert str(reply.ar[0].rdata) == "127.0.0.1"
    assert reply.ar[1].rdata.port > 1023
