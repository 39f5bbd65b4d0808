"""Signed requests are verified, and their answers signed, as dnspython does it (RFC 8945)."""

import logging
import os
import random
import time

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import pytest

from pycoredns.answer import Pending
from pycoredns.assemble import assemble
from pycoredns.chain import Block
from pycoredns.corefile.expand import parse
from pycoredns.errors import Dropped, FormatError, ServerFailure
from pycoredns.memo import Memo
from pycoredns.plugin import Plugin
from pycoredns.query import AA, AD
from pycoredns.relayed import Relayed
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.service import Service, panics
from pycoredns.stream import Stream
from pycoredns.testing import Last, SilentListener, exchange_tcp, exchange_udp, running
from pycoredns.tsig import find
from pycoredns.wire import names, types
from pycoredns.wire.message import record

NAME, SECRET = "key.test.", "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
COUNT = int(os.environ.get("PYCOREDNS_FUZZ", "5000"))
ORIGIN = names.from_text("test")
WWW = names.from_text("www.test")
ANSWER = Response(answer=record(WWW, types.A, 60, b"\xc0\0\2\1"), answers=1)


def tsig(*lines, zones=""):
    """The plugin, with a key and these lines."""
    block = "\n".join((f"secret {NAME} {SECRET}", *lines))
    (plugin,) = assemble(parse(f"test:1053 {{\ntsig {zones} {{\n{block}\n}}\n}}")).blocks[0].plugins
    return plugin


class Asked:
    """A question to a block with the plugin, and what became of it."""

    def __init__(self, plugin, answer=ANSWER, *, key=NAME, secret=SECRET, qname="www.test", qtype="A", **options):
        """Signed unless ``key`` is empty; ``options`` are those of the question, of its listener, and ``raw``, a message."""
        protocol, raw, before = (options.pop(each, None) for each in ("protocol", "raw", "before"))
        self.last = Last(answer)
        block = Block([ORIGIN], [*([before] if before else []), plugin, self.last])
        plugin.configure(block.settings)
        self.service = Service("dns://:53", [(ORIGIN, block)])
        self.listener = SilentListener(self.service, protocol or "udp")
        self.listener.memo = Memo()
        self.query = dns.message.make_query(qname, qtype, **options)
        if key:
            self.query.use_tsig(dns.tsigkeyring.from_text({key: secret}), fudge=300)
        self.wire = raw or self.query.to_wire()

    def serve(self, wire=b""):
        """The reply as octets, with its ID; empty where none was sent."""
        wire = wire or self.wire
        reply = self.service.serve(wire, b"", self.listener, 0)
        return b"" if reply is None else wire[:2] + reply

    def reply(self, wire=b""):
        """The reply, verified."""
        return self.read(self.serve(wire))

    def read(self, wire):
        return dns.message.from_wire(wire, keyring=self.query.keyring, request_mac=self.query.mac or b"")


def outcome(asked):
    """The response code of the reply, and what its record says: a code, or None without a record."""
    wire = asked.serve()
    try:
        reply = asked.read(wire)
    except dns.tsig.PeerError as error:
        return dns.rcode.to_text(wire[3] & 15), type(error).__name__
    return dns.rcode.to_text(reply.rcode()), dns.rcode.to_text(reply.tsig_error) if reply.had_tsig else None


# --- who gets what


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("edns", [{}, {"use_edns": True, "payload": 1400}])
def test_a_signed_question_gets_a_signed_answer(protocol, edns):
    asked = Asked(tsig("require all"), protocol=protocol, **edns)
    reply = asked.reply()
    assert (reply.had_tsig, reply.tsig_error, len(reply.answer), reply.edns) == (True, 0, 1, 0 if edns else -1)


@pytest.mark.parametrize(
    ("lines", "question", "expected"),
    [
        ((), {"key": ""}, ("NOERROR", None)),
        (("require none",), {"key": ""}, ("NOERROR", None)),
        (("require all",), {"key": ""}, ("REFUSED", None)),
        (("require all",), {}, ("NOERROR", "NOERROR")),
        (("require A",), {"key": ""}, ("REFUSED", None)),
        (("require A AXFR",), {"key": "", "qtype": "AAAA"}, ("NOERROR", None)),
        (("require A", "require none"), {"key": ""}, ("NOERROR", None)),
        (("require_opcode all",), {"key": ""}, ("REFUSED", None)),
        (("require_opcode QUERY",), {"key": ""}, ("REFUSED", None)),
        (("require_opcode NOTIFY UPDATE",), {"key": ""}, ("NOERROR", None)),
        (("require_opcode none",), {"key": ""}, ("NOERROR", None)),
        ((), {"key": "other."}, ("NOTAUTH", "PeerBadKey")),
        ((), {"secret": "AAAA"}, ("NOTAUTH", "PeerBadSignature")),
        (("require none",), {"key": "other."}, ("NOTAUTH", "PeerBadKey")),
    ],
)
def test_who_gets_what(lines, question, expected):
    assert outcome(Asked(tsig(*lines), **question)) == expected


@pytest.mark.parametrize("later", [-301, 301])
def test_another_time_is_told(monkeypatch, later):
    asked = Asked(tsig())
    monkeypatch.setattr("pycoredns.plugins.tsig.tsig.time", lambda: time.time() + later)
    assert outcome(asked) == ("NOTAUTH", "PeerBadTime")


def test_a_notification_can_be_required_to_be_signed():
    asked = Asked(tsig("require_opcode NOTIFY"), key="")
    wire = bytearray(asked.wire)
    wire[2] |= dns.opcode.NOTIFY << 3
    assert asked.reply(bytes(wire)).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("key", ["", NAME, "other."])
def test_other_zones_are_left_alone(key):
    asked = Asked(tsig("require all", zones="sub.test"), key=key)
    reply = dns.message.from_wire(asked.serve(), keyring=None)
    assert (reply.rcode(), reply.had_tsig, len(asked.last.seen)) == (0, False, 1)
    assert asked.last.seen[0].verified is None


def test_a_malformed_record_is_a_format_error():
    asked = Asked(tsig())
    request = Request.read(asked.wire[:-2] + b"\0\1", b"", asked.listener, 0)
    with pytest.raises(FormatError):
        asked.service.zones[ORIGIN][0].handle(request)
    assert asked.last.seen == []


# --- the plugins behind


def test_the_plugins_behind_see_no_record_but_know_who_asks():
    asked = Asked(tsig(), use_edns=True, payload=1400, ednsflags=dns.flags.DO)
    asked.reply()
    (seen,) = asked.last.seen
    read = dns.message.from_wire(seen.wire)
    assert (read.had_tsig, read.payload, bool(read.ednsflags & dns.flags.DO), read.flags) == (False, 1400, True, dns.flags.RD)
    assert (seen.verified.good, seen.verified.key.name) == (True, names.from_text(NAME))


def test_what_a_plugin_before_changes_is_signed_too():
    class Before(Plugin):
        def handle(self, request):
            return self.next(request).replace(rcode=types.NXDOMAIN, opt=b"")

    assert outcome(Asked(tsig(), before=Before())) == ("NXDOMAIN", "NOERROR")


def test_ad_is_not_signed():
    reply = Asked(tsig(), Response(flags=AD | AA)).reply()
    assert not reply.flags & dns.flags.AD
    assert reply.flags & dns.flags.AA


def test_signed_answers_are_not_remembered():
    asked = Asked(tsig())
    for number in range(4):
        reply = asked.reply(bytes((0, number)) + asked.wire[2:])
        assert reply.id == number
    assert not asked.listener.memo.entries
    assert len(asked.last.seen) == 4


def test_refusals_of_unsigned_questions_may_be_remembered():
    asked = Asked(tsig("require all"), key="")
    for _ in range(3):
        asked.serve()
    assert asked.listener.memo.entries


@pytest.mark.parametrize(
    ("key", "told"), [("", "rejecting 'A' request without TSIG"), ("other.", "TSIG validation failed: A BADKEY")]
)
def test_debug_tells_what_is_rejected(caplog, key, told):
    caplog.set_level("DEBUG")
    Asked(tsig("require all"), key=key).serve()
    assert told in caplog.messages


# --- errors and answers that come later


def test_errors_are_signed_and_logged_here(caplog):
    with caplog.at_level(logging.ERROR):
        assert outcome(Asked(tsig(), ServerFailure("no luck"))) == ("SERVFAIL", "NOERROR")
    assert "request handler returned an error: no luck" in caplog.text
    assert not any(record.name.startswith("plugin/") for record in caplog.records)


def late(asked, end):
    """The reply to a question whose answer comes later: ``end`` gives it."""
    assert asked.serve() == b""
    end(asked.last.pending)
    return asked.listener.sent


def later(plugin, **options):
    pending = Pending()
    asked = Asked(plugin, lambda request: pending, **options)
    asked.last.pending = pending
    return asked


def test_a_later_answer_is_signed():
    asked = later(tsig())
    (wire,) = late(asked, lambda pending: pending.resolve(ANSWER))
    assert (asked.read(wire).had_tsig, len(asked.read(wire).answer)) == (True, 1)


def test_a_later_error_is_signed():
    asked = later(tsig())
    (wire,) = late(asked, lambda pending: pending.fail(ServerFailure("no luck")))
    assert (asked.read(wire).had_tsig, asked.read(wire).rcode()) == (True, dns.rcode.SERVFAIL)


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_that_cannot_be_read_is_a_signed_error(waits):
    question = WWW + b"\0\1\0\1"
    alias = b"\xc0\x0c" + types.CNAME.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\2\xff\xff"  # its target points to nowhere
    answer = Relayed.read(b"\0\0\x80\0\0\1\0\1\0\0\0\0" + question + alias, WWW)
    pending = Pending()
    asked = Asked(tsig(), (lambda request: pending) if waits else answer)
    reply = asked.serve()
    if waits:
        pending.resolve(answer)
        reply = asked.listener.sent[0]
    assert (asked.read(reply).had_tsig, asked.read(reply).rcode()) == (True, dns.rcode.SERVFAIL)


def test_an_unforeseen_error_is_the_server_s():
    asked = later(tsig())
    (wire,) = late(asked, lambda pending: pending.fail(ZeroDivisionError()))
    assert wire[3] & 15 == types.SERVFAIL


def test_what_is_dropped_stays_unanswered():
    assert Asked(tsig(), Dropped()).serve() == b""
    assert late(later(tsig()), lambda pending: pending.fail(Dropped())) == []


# --- room


def many(count):
    """An answer of so many records, each of 115 octets when its name is compressed."""
    texts = (b"\x66%0102d" % number for number in range(count))
    return Response(answer=b"".join(record(WWW, types.TXT, 60, text) for text in texts), answers=count)


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("edns", [{}, {"use_edns": True, "payload": 700}])
def test_the_signature_fits_the_datagram(count, edns):
    asked = Asked(tsig(), many(count), qtype="TXT", **edns)
    wire = asked.serve()
    reply = dns.message.from_wire(wire, keyring=asked.query.keyring, request_mac=asked.query.mac, ignore_trailing=True)
    assert len(wire) <= (700 if edns else 512)
    assert reply.had_tsig
    present = sum(len(each) for each in reply.answer)
    assert (present < count) == bool(reply.flags & dns.flags.TC)


def test_where_nothing_fits_the_question_is_signed_alone():
    name = ".".join(["k" * 63] * 3)
    plugin = tsig(f"secret {name} {SECRET}")
    asked = Asked(plugin, many(9), key=name, qname=f"{'w' * 63}.{'w' * 63}.test", qtype="TXT")
    reply = asked.reply()
    assert (reply.answer, bool(reply.flags & dns.flags.TC), reply.had_tsig) == ([], True, True)


@pytest.mark.parametrize("count", [560, 566, 567, 568, 569, 700])
def test_the_signature_fits_a_message_over_tcp(count):
    asked = Asked(tsig(), many(count), qtype="TXT", protocol="tcp")
    wire = asked.serve()
    assert len(wire) <= 65535
    assert asked.read(wire).had_tsig


@pytest.mark.parametrize(("secret", "surplus"), [(SECRET, 0), ("AAAA", 32)])
def test_what_is_logged_is_the_size_with_a_signature_as_long_as_the_questions(secret, surplus):
    asked = Asked(tsig(), secret=secret, use_edns=True, payload=1400)
    seen = []

    class Observer(Plugin):
        step = False

        def observe(self, outcome):
            seen.append(outcome.size)

    plugin = tsig()
    block = Block([ORIGIN], [Observer(), plugin, Last(Response())])
    service = Service("dns://:53", [(ORIGIN, block)])
    reply = service.serve(asked.wire, b"", SilentListener(service), 0)
    service.settle(1)
    assert seen == [len(reply) + 2 + surplus]


# --- transfers


def test_each_message_of_a_transfer_is_signed():
    records = [(WWW, record(b"", types.TXT, 60, b"\xc8" + b"x" * 200))] * 600
    asked = later(tsig("require AXFR"), qname="test", qtype="AXFR", protocol="tcp")
    streamed = []
    asked.listener.stream = lambda peer, messages, ended: streamed.extend(messages)
    late(asked, lambda pending: pending.resolve(Stream(lambda form: form.lists(records), ORIGIN)))
    assert len(streamed) > 3
    context = None
    for wire in streamed:
        read = dns.message.from_wire(
            wire, keyring=asked.query.keyring, request_mac=asked.query.mac, xfr=True, multi=True, tsig_ctx=context
        )
        assert read.had_tsig
        context = read.tsig_ctx


# --- blocks


CORE = f"""
test:{{port}} {{
    bind 127.0.0.1
    tsig {{
        secret {NAME} {SECRET}
        require all
    }}
    whoami
}}
other:{{port}} {{
    bind 127.0.0.1
    tsig {{
        secret own. AAAAAAAA
        require all
    }}
    whoami
}}
plain:{{port}} {{
    bind 127.0.0.1
    whoami
}}
"""


@pytest.mark.parametrize(
    ("qname", "key", "expected"),
    [
        ("www.test", NAME, ("NOERROR", True)),
        ("www.other", NAME, ("NOERROR", True)),
        ("www.other", "", ("REFUSED", False)),
        ("www.plain", NAME, ("NOERROR", False)),
        ("www.plain", "", ("NOERROR", False)),
    ],
)
@pytest.mark.parametrize("exchange", [exchange_udp, exchange_tcp])
async def test_keys_are_those_of_all_blocks_on_the_same_port(qname, key, expected, exchange):
    query = dns.message.make_query(qname, "A", use_edns=True)
    if key:
        query.use_tsig(dns.tsigkeyring.from_text({key: SECRET}))
    async with running(CORE) as server:
        wire = await exchange(query.to_wire(), ("127.0.0.1", server.port))
        keys = {"keyring": query.keyring, "request_mac": query.mac} if expected[1] else {}
        reply = dns.message.from_wire(wire, **keys)
        assert (dns.rcode.to_text(reply.rcode()), reply.had_tsig) == expected


@pytest.mark.parametrize(("key", "expected"), [(NAME, types.NOERROR), ("", types.REFUSED)])
def test_what_the_server_asks_itself_is_as_good_as_the_question_that_led_to_it(key, expected):
    asked = Asked(tsig("require AAAA"), key=key)
    asked.serve()
    block = asked.service.zones[ORIGIN][0]
    (seen,) = asked.last.seen
    inner = seen.replace(WWW, seen.tail.replace(qtype=types.AAAA), deeper=True)
    assert block.handle(inner).rcode == expected


def test_hostile_requests_raise_nothing_unforeseen_and_get_no_answer():
    asked, rng, refused = Asked(tsig("require all"), use_edns=True), random.Random(8945), set()
    before = panics.cell().value
    start = find(asked.wire).start
    for number in range(COUNT):
        wire = bytearray(asked.wire)
        for _ in range(rng.randint(1, 3)):
            wire[rng.randrange(start, len(wire))] ^= rng.randrange(1, 256)
        wire = bytes(wire[:start] + rng.randbytes(60) if number % 7 == 0 else wire[: rng.randint(start, len(wire))] + b"\0")
        same = wire.lower().startswith(asked.wire.lower())  # names of keys are, and what stands behind does not matter
        if not same and (reply := asked.serve(wire)):
            refused.add(types.rcode_text(reply[3] & 15))
    assert (panics.cell().value, asked.last.seen) == (before, [])
    assert refused == {"FORMERR", "NOTAUTH", "REFUSED"}
