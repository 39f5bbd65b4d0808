"""The server's identifier, for those who ask."""

import socket

import dns.edns
import dns.flags
import dns.message
import pytest

from pycoredns.answer import Pending
from pycoredns.plugins.nsid import Nsid
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import edns

COOKIE = dns.edns.GenericOption(10, b"12345678")
WANTED = dns.edns.NSIDOption(b"")


def asked(plugins, *options, flags=0):
    """A question with EDNS options, made by dnspython."""
    query = dns.message.make_query("a.test", "A", use_edns=0, payload=1232, options=options, ednsflags=flags)
    listener = request_for("a.test", plugins=plugins).listener
    return Request.read(query.to_wire(), b"", listener, 0)


def reply_to(plugin, *options, answer=None, flags=0):
    request = asked([plugin, Last(answer or Response())], *options, flags=flags)
    return dns.message.from_wire(bytes(2) + plugin.handle(request).reply(request))


@pytest.mark.parametrize(("data", "expected"), [(("Beet", "Root", "7"), b"Beet Root 7"), ((), socket.gethostname().encode())])
def test_the_identifier_comes_alone_and_with_do(data, expected):
    reply = reply_to(Nsid(data), COOKIE, WANTED)
    assert [option.to_wire() for option in reply.options] == [expected]
    assert (reply.payload, bool(reply.ednsflags & dns.flags.DO)) == (1232, True)


def test_the_option_counts_whatever_its_value():
    assert reply_to(Nsid(("x",)), dns.edns.NSIDOption(b"abc")).options[0].to_wire() == b"x"


@pytest.mark.parametrize("flags", [0, dns.flags.DO])
def test_an_answer_with_an_opt_record_keeps_it(flags):
    own = edns.opt(512, 0, edns.option(15, b"\0\x09why") + edns.option(edns.NSID, b"upstream"))
    reply = reply_to(Nsid(("x",)), WANTED, answer=Response().replace(opt=own), flags=flags)
    assert [(option.otype, option.to_wire()) for option in reply.options] == [(15, b"\0\x09why"), (3, b"x")]
    assert reply.ednsflags & dns.flags.DO == flags


@pytest.mark.parametrize("own", [None, edns.opt(512)], ids=["none", "its own"])
def test_log_and_metrics_measure_the_answer_without_it(own):
    answer, plugin = Response().replace(opt=own), Nsid(("x",))
    request = asked([plugin, Last(answer)], WANTED)
    assert plugin.handle(request).size(request) == answer.size(request)


def test_who_does_not_ask_sees_nothing():
    assert [option.otype for option in reply_to(Nsid(("x",)), COOKIE).options] == [10]
    plugin, answer = Nsid(("x",)), Response()
    assert plugin.handle(request_for("a.test", plugins=[plugin, Last(answer)])) is answer


async def test_an_answer_that_comes_later_is_named_too():
    pending, plugin = Pending(), Nsid(("x",))
    answer = plugin.handle(asked([plugin, Last(lambda request: pending)], WANTED))
    pending.resolve(Response())
    assert (await answer).opt.endswith(edns.option(edns.NSID, b"x"))
