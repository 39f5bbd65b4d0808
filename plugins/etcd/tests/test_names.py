"""What is answered for what stands in etcd."""

import asyncio
import json
import re
from itertools import count

import dns.flags
import dns.message
import dns.rcode
import pytest

from pycoredns.corefile.kinds import Fallthrough
from pycoredns.plugins.etcd import Etcd
from pycoredns.plugins.etcd import answers as answers_module
from pycoredns.plugins.etcd import zone as zone_module
from pycoredns.plugins.etcd.options import SkyDNS
from pycoredns.plugins.etcd.source import Source
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names
from pycoredns.wire.message import Record

LAB = "/skydns/internal/lab/"
_revisions = count(1)


def put(source, key, value, lease=0):
    """As the mirror does it."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    source.mirror.copy.held.put(key.encode(), next(_revisions), octets)
    source.tree.put(key.encode(), octets, lease)


def delete(source, key):
    """As the mirror does it."""
    source.mirror.copy.held.delete(key.encode())
    source.tree.delete(key.encode())


def etcd(content=(), synced=True, **options):
    """A plugin for lab.internal with values below /skydns/internal/lab/ (or at whole keys), without an etcd."""
    plugin = Etcd(zones=(names.from_text("lab.internal"),), **options)
    plugin._source = Source(plugin._identity)
    plugin._below, plugin._records = plugin._source.tree.below.parts, plugin._source.tree.records.parts
    for key, value in dict(content).items():
        put(plugin._source, key if key.startswith("/") else LAB + key, value)
    if synced:
        plugin._source.mirror.synced_event.set()
    return plugin


def message(plugin, name, qtype="A", behind=None):
    """The reply, twice asked: once by the way of what is seen first, once by the usual one."""
    replies = []
    for _ in range(2):
        request = request_for(name, qtype, plugins=[plugin, behind or Last(Response(5))], protocol="tcp")
        reply = plugin.handle(request).reply(request)
        replies.append(dns.message.from_wire(bytes(2) + reply, one_rr_per_rrset=True))
    first, second = (re.sub(r" \d{10} ", " SERIAL ", str(reply)).partition("\n")[2] for reply in replies)
    assert first == second
    return replies[0]


def answer(plugin, name, qtype="A", **options):
    """The response code if it is an error, else the answer section as text."""
    reply = message(plugin, name, qtype, **options)
    return texts(reply.answer) if reply.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(reply.rcode())


def texts(section):
    """Records as text without owner, TTL and class."""
    return [rrset.to_text().split(" ", 3)[3] for rrset in section]


HOST = {"host": "10.0.0.1"}
OTHER = {"host": "10.0.0.2"}
A, B = "A 10.0.0.1", "A 10.0.0.2"

TABLE = {
    "an address": ({"a": HOST}, "a", [A]),
    "whatever the case": ({"a": HOST}, "A", [A]),
    "no such name": ({"a": HOST}, "b", "NXDOMAIN"),
    "not this type": ({"a": HOST}, "a AAAA", []),
    "not this type at all": ({"a": HOST}, "a HTTPS", []),
    "no such name, whatever the type": ({"a": HOST}, "b HTTPS", "NXDOMAIN"),
    "a type whose number is a mark of ours": ({"a": {"text": "t"}}, "a TYPE0", []),
    "another one": ({"a": b"{"}, "a MAILA", "SERVFAIL"),
    "a key with capitals is not found": ({"A": HOST}, "a", "NXDOMAIN"),
    "a record below the name": ({"a/x": HOST}, "a", [A]),
    "below it, capitals do not matter": ({"a/X": HOST}, "a", [A]),
    "far below the name": ({"a/x/y/z": HOST}, "a", [A]),
    "children hide their parent": ({"a": OTHER, "a/x": HOST}, "a", [A]),
    "a-b is not below a": ({"a-b/x": HOST, "a": OTHER}, "a", [B]),
    "equal addresses once": ({"a/x": HOST, "a/y": HOST, "a/z": OTHER}, "a", [A, B]),
    "equal addresses written otherwise": ({"a/x": {"host": "::ffff:10.0.0.1"}, "a/y": HOST}, "a", [A, A]),
    "both families": ({"a/x": {"host": "2001:DB8::1"}, "a/y": HOST}, "a AAAA", ["AAAA 2001:db8::1"]),
    # aliases
    "no address": ({"a": {"host": "10.0.02.4"}}, "a CNAME", ["CNAME 10.0.02.4."]),
    "no address with a zone": ({"a": {"host": "fe80::1%eth0"}}, "a CNAME", ["CNAME fe80::1%eth0."]),
    "an address is no alias": ({"a": HOST}, "a CNAME", []),
    "aliases by exact key only": ({"a/x": {"host": "b.lab.internal"}}, "a CNAME", "NXDOMAIN"),
    "an alias": ({"a": {"host": "B.lab.internal"}, "b": HOST}, "a", ["CNAME B.lab.internal.", A]),
    "an alias to nothing": ({"a": {"host": "b.lab.internal"}}, "a", []),
    "an alias to a bad value": ({"a": {"host": "b.lab.internal"}, "b": b"{"}, "a", []),
    "a loop": ({"a": {"host": "b.lab.internal"}, "b": {"host": "a.lab.internal"}}, "a", []),
    "an alias to below itself": ({"a/x": {"host": "y.a.lab.internal"}, "a/y": HOST}, "a", [A]),
    "a pointer": ({"a": {"host": "b.test"}}, "a PTR", ["PTR b.test."]),
    "pointers by exact key only": ({"a/x": {"host": "b.test"}}, "a PTR", "NXDOMAIN"),
    # wildcards
    "a stored * is none": ({"*": HOST, "b": OTHER}, "c", "NXDOMAIN"),
    "a * that is asked for": ({"*": HOST, "b": OTHER}, "*", [A, B]),
    "any is one, too": ({"b/any": HOST, "b/c": OTHER, "d": HOST}, "ANY.b", [A, B]),
    "further up": ({"b/c": HOST, "d": OTHER}, "c.*", [A]),
    "one that matches nothing": ({"b/c": HOST}, "d.*", []),
    "one below nothing": ({}, "d.*", "NXDOMAIN"),
    "it has no key of its own": ({"b/c": HOST}, "* CNAME", "NXDOMAIN"),
    # unusual keys
    "a dot in a label has a backslash": ({"a.b": HOST}, r"a\.b", "NXDOMAIN"),
    "and so it is found": ({r"a\.b": HOST}, r"a\.b", [A]),
    "a slash divides": ({"q/r": HOST}, "q/r", [A]),
    "a slash at the end": ({"q/r": HOST}, "q/", [A]),
    "a slash above": ({"q/r/s": HOST}, "s.q/r", [A]),
    "an empty segment": ({"a/": HOST}, "a", [A]),
    "an empty segment within": ({"a//b": HOST}, "a", [A]),
    # texts
    "a text": ({"a": {"text": "t"}, "b": HOST}, "a TXT", ['TXT "t"']),
    "equal texts once": ({"a/x": {"text": "t"}, "a/y": {"text": "t"}}, "a TXT", ['TXT "t"']),
    "a text beside an address": ({"a": {"text": "t"} | HOST}, "a TXT", []),
    "a text beside a name": ({"a": {"text": "t", "host": "b.test"}}, "a TXT", ['TXT "t"']),
    "which then is no alias": ({"a": {"text": "t", "host": "b.test"}}, "a", []),
    "except for those who ask": ({"a": {"text": "t", "host": "b.test"}}, "a CNAME", ["CNAME b.test."]),
    "a text of 255 octets": ({"a": {"text": "x" * 255}}, "a TXT", [f'TXT "{"x" * 255}" ""']),
    "escapes": ({"a": {"text": r"\065\x" + "\\"}}, "a TXT", ['TXT "Ax"']),
    # the zone itself
    "no name server": ({}, "@ NS", "NXDOMAIN"),
    "a name server": ({"dns/ns": HOST}, "@ NS", ["NS ns.dns.lab.internal."]),
    "several": ({"dns/ns/a": HOST, "dns/ns/b": OTHER}, "@ NS", ["NS a.ns.dns.lab.internal.", "NS b.ns.dns.lab.internal."]),
    "which must have an address": ({"dns/ns": {"host": "a.test"}}, "@ NS", "SERVFAIL"),
    "name servers elsewhere": ({"dns/ns": HOST}, "ns.dns NS", []),
    "all of the zone": ({"a": HOST, "b": OTHER, "c": HOST}, "@", [A, B]),
    "only dns/apex": ({"a": HOST, "dns/apex/x": OTHER}, "@", [B]),
    "dns/apex is for addresses": ({"a": {"text": "t"}, "dns/apex/x": OTHER}, "@ TXT", ['TXT "t"']),
    # services
    "a service": ({"a": {"port": 80} | HOST}, "a SRV", ["SRV 10 100 80 a.lab.internal."]),
    "one below": ({"a/x": HOST}, "a SRV", ["SRV 10 100 0 x.a.lab.internal."]),
    "two below": ({"a/x/Y": HOST}, "a SRV", ["SRV 10 100 0 Y.x.a.lab.internal."]),
    "two below, one stripped": ({"a/x/y": {"targetstrip": 1} | HOST}, "a SRV", ["SRV 10 100 0 x.a.lab.internal."]),
    "one below, stripped": ({"a/x": {"targetstrip": 1} | HOST}, "a SRV", ["SRV 10 100 0 a.lab.internal."]),
    "stripped of all": ({"a": {"targetstrip": 3} | HOST}, "a SRV", ["SRV 10 100 0 a.lab.internal."]),
    "stripped of nearly all": ({"a": {"targetstrip": 2} | HOST}, "a SRV", ["SRV 10 100 0 internal."]),
    "a name, stripped": ({"a": {"host": "b.c.lab.internal", "targetstrip": 1}}, "a SRV", ["SRV 10 100 0 c.lab.internal."]),
    "a slash in the question": ({"q/r": HOST}, "q/r SRV", ["SRV 10 100 0 r.q.lab.internal."]),
    "port -1": ({"a": {"port": -1} | HOST}, "a SRV", []),
    "17 bits": ({"a": {"port": 65616, "priority": 70000} | HOST}, "a SRV", ["SRV 4464 100 80 a.lab.internal."]),
    "no name can be made": ({"a/" + "y" * 70: HOST}, "a SRV", []),
    "mail": ({"a/x": {"mail": True} | HOST, "a/y": HOST}, "a MX", ["MX 10 x.a.lab.internal."]),
    "no mail": ({"a": HOST}, "a MX", []),
    # values
    "null": ({"a": b"null"}, "a", []),
    "an empty object": ({"a": b"{}"}, "a", []),
    "a bad value among good ones": ({"a/x": b"{", "a/y": HOST}, "a", [A]),
    "nothing but bad values": ({"a/x": b"{", "a/y": b"[]"}, "a", "SERVFAIL"),
    "a host that is no name": ({"a": {"host": "a..b"}}, "a", "SERVFAIL"),
}


@pytest.mark.parametrize(("content", "question", "expected"), TABLE.values(), ids=TABLE)
def test_answers(content, question, expected):
    name, _, qtype = question.partition(" ")
    assert answer(etcd(content), f"{name}.lab.internal".removeprefix("@."), qtype or "A") == expected


def test_owners_are_written_as_they_were_asked_for_and_as_they_stand_in_etcd():
    reply = message(etcd({"a": {"host": "B.lab.internal"}, "b": {"host": "10.0.0.1"}}), "A.Lab.internal")
    assert [str(rrset.name) for rrset in reply.answer] == ["A.Lab.internal.", "B.lab.internal."]


def test_an_address_goes_with_the_target_that_is_made_up_for_it():
    reply = message(etcd({"a": {"host": "10.0.0.1", "ttl": 9}}), "A.lab.internal", "SRV")
    assert [rrset.to_text() for rrset in reply.additional] == ["a.lab.internal. 9 IN A 10.0.0.1"]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0, 0, 0], [33, 33, 33]),
        ([120, 100, 130], [34, 28, 37]),
        ([100000, 1], [99, 1]),
        ([97], [99]),
        ([-5, 10], [65436, 200]),
        ([-100, 0], [1, 1]),
        ([(1 << 63) - 1, 1], [65436, 65535]),
    ],
)
def test_weights_are_shares_of_their_priority(weights, expected):
    content = {f"w/{place}": {"host": "10.0.0.1", "port": place, "weight": weight} for place, weight in enumerate(weights)}
    records = answer(etcd(content), "w.lab.internal", "SRV")
    assert [int(text.split()[2]) for text in records] == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"a": "g1", "a/b": "g2"}, "1"),
        ({"a/b": "g2", "c": "g1"}, "2"),
        ({"a/b": "g2", "c": ""}, "12"),
        ({"a": "g1", "b": "g2"}, "12"),
        ({"a/b": "", "c": "g1", "d/e": "g2"}, "12"),
        ({"a/b/c": "x", "d/e": "y", "f": "z", "g": "z"}, "34"),
        ({"a/b/c": "x", "d/e": "y", "f": "z", "g": "w"}, "1234"),
    ],
)
def test_groups(groups, expected):
    content = {f"g/{key}": {"host": f"10.0.0.{place}", "group": group} for place, (key, group) in enumerate(groups.items(), 1)}
    assert "".join(text[-1] for text in answer(etcd(content), "g.lab.internal")) == expected


def test_a_chain_of_eleven_aliases_is_followed_and_no_longer_one():
    content = {f"c{place}": {"host": f"c{place + 1}.lab.internal"} for place in range(12)} | {"c12": HOST}
    assert len(answer(etcd(content), "c1.lab.internal")) == 12
    assert answer(etcd(content), "c0.lab.internal") == []


def test_denials_carry_the_soa_whose_serial_is_the_time(monkeypatch):
    clock = [1_000_000.25]
    monkeypatch.setattr(zone_module, "time", lambda: clock[0])
    monkeypatch.setattr(zone_module, "monotonic", lambda: clock[0])
    plugin = etcd({"a": HOST})
    expected = "SOA ns.dns.lab.internal. hostmaster.lab.internal. {} 7200 1800 86400 30"
    assert texts(message(plugin, "no.lab.internal").authority) == [expected.format(1_000_000)]
    assert plugin.handle(request_for("no.lab.internal", plugins=[plugin])).until == 1_000_001
    clock[0] += 0.75
    assert texts(message(plugin, "a.lab.internal", "TXT").authority) == [expected.format(1_000_001)]
    assert answer(plugin, "no.lab.internal", "SOA") == [expected.format(1_000_001)]


@pytest.mark.parametrize(
    ("remaining", "ttl", "bounds", "expected"),
    [
        (60, 0, {}, 60),
        (10, 0, {}, 30),
        (200_000, 0, {}, 86400),
        (600, 60, {}, 60),
        (60, 600, {}, 60),
        (10, 5, {}, 5),
        (None, 0, {}, 300),
        (None, 7, {}, 7),
        (10, 0, {"min_lease_ttl": 5}, 10),
        (10, 0, {"min_lease_ttl": 0}, 30),
        (100, 0, {"max_lease_ttl": 50}, 50),
    ],
)
def test_the_ttl_of_a_lease(remaining, ttl, bounds, expected, monkeypatch):
    plugin = etcd(**bounds)
    monkeypatch.setattr(plugin._source.mirror, "lease_ttl", {7: remaining}.get)
    monkeypatch.setattr(answers_module, "monotonic", lambda: 100.0)
    put(plugin._source, LAB + "a", {"host": "10.0.0.1", "ttl": ttl}, lease=7)
    assert message(plugin, "a.lab.internal").answer[0].ttl == expected
    assert plugin.handle(request_for("a.lab.internal", plugins=[plugin])).until == 101.0


def test_changes_show_at_once():
    plugin = etcd()
    seen = []
    for act in (
        lambda: put(plugin._source, LAB + "a/x", HOST),
        lambda: put(plugin._source, LAB + "a/y", {"host": "10.0.0.2"}),
        lambda: put(plugin._source, LAB + "a/y", {"host": "10.0.0.3"}),
        lambda: put(plugin._source, LAB + "a/z/z", b"{"),
        lambda: delete(plugin._source, LAB + "a/x"),
        lambda: delete(plugin._source, LAB + "a/y"),
        lambda: delete(plugin._source, LAB + "a/z/z"),
    ):
        act()
        found = answer(plugin, "a.lab.internal")
        seen.append("".join(text[-1] for text in found) if isinstance(found, list) else found)
    assert seen == ["1", "12", "13", "13", "3", "SERVFAIL", "NXDOMAIN"]
    tree = plugin._source.tree
    assert (len(tree.records), len(tree.below), tree.spoiled) == (0, 0, 0)


def test_the_last_key_below_a_name_is_found_at_once_again():
    plugin = etcd({"a/x": HOST, "a/y": HOST, "a/z/z": HOST})
    place = f"{LAB}a".encode()
    assert plugin._source.tree.below[place] == b""
    delete(plugin._source, LAB + "a/y")
    delete(plugin._source, LAB + "a/x")
    assert plugin._source.tree.below[place] == place + b"/z/z"


def test_fallthrough_passes_on_missing_names_only():
    plugin = etcd({"a": HOST, "b/c": HOST}, through=Fallthrough((names.from_text("b.lab.internal"),)))
    behind = Last(Response(answer=Record(names.from_text("x"), 1, 1, 5, bytes(4)).wire(), answers=1))
    assert answer(plugin, "x.b.lab.internal", behind=behind) == ["A 0.0.0.0"]
    assert answer(plugin, "x.lab.internal", behind=behind) == "NXDOMAIN"
    assert answer(plugin, "c.b.lab.internal", "TXT", behind=behind) == []
    assert answer(plugin, "x.b.lab.internal", "SOA", behind=behind) != ["A 0.0.0.0"]


def test_before_etcd_has_been_read():
    plugin = etcd(synced=False)
    reply = message(plugin, "a.lab.internal")
    assert (reply.rcode(), reply.flags & dns.flags.AA, len(reply.authority)) == (dns.rcode.SERVFAIL, dns.flags.AA, 1)
    assert len(answer(plugin, "lab.internal", "SOA")) == 1
    assert answer(plugin, "a.example.org") == "REFUSED"
    assert not plugin.ready()


async def test_questions_right_after_the_start_wait():
    plugin = etcd({"a": HOST}, synced=False)
    plugin._deadline = asyncio.get_running_loop().time() + 5
    waiting = asyncio.ensure_future(plugin.handle(request_for("a.lab.internal", plugins=[plugin])))
    await asyncio.sleep(0)
    assert not waiting.done()
    plugin._source.mirror.synced_event.set()
    assert (await waiting).answers == 1
    plugin._source.mirror.synced_event.clear()
    plugin._places.clear()
    plugin._deadline = asyncio.get_running_loop().time() + 0.01
    assert (await plugin.handle(request_for("a.lab.internal", plugins=[plugin]))).rcode == dns.rcode.SERVFAIL


def test_a_bad_value_is_named_in_the_log_but_not_endlessly(caplog):
    plugin = etcd({f"bad{place}": b"{" for place in range(50)})
    assert len(caplog.records) == 20
    assert caplog.messages[0].startswith(f"bad value in etcd, left out: {LAB}bad0: not JSON")
    assert plugin._source.tree.spoiled == 50


@pytest.mark.parametrize(
    "key",
    [
        "/skydns",
        "/skydns/",
        "/skydns//",
        "/skydns/" + "a/" * 500,
        "/skydns/" + "x" * 5000,
        "/skydns/\udcff/x",
        "/other/x",
        "/skydnsx/y",
    ],
)
def test_odd_keys_do_no_harm(key, caplog):
    plugin = etcd({"a": HOST})
    octets = key.encode("utf-8", "surrogateescape")
    for value in (b'{"host": "10.0.0.2"}', b"\xff\x00"):
        plugin._source.mirror.copy.held.put(octets, next(_revisions), value)
        plugin._source.tree.put(octets, value, 0)
        for qtype in ("A", "SRV", "MX", "TXT", "CNAME"):
            answer(plugin, "lab.internal", qtype)
    plugin._source.mirror.copy.held.delete(octets)
    plugin._source.tree.delete(octets)
    assert answer(plugin, "lab.internal") == ["A 10.0.0.1"]


def test_a_question_does_not_read_without_end():
    plugin = etcd({f"n{place}": {"host": f"10.1.{place >> 8}.{place & 255}"} for place in range(5000)})
    response = plugin.handle(request_for("lab.internal", plugins=[plugin]))
    assert response.answers == 4096
    content = {f"{level}/{branch}": {"host": f"{level + 1}.lab.internal"} for level in range(10) for branch in range(10)}
    assert answer(etcd(content | {"10": HOST}), "0.lab.internal") != "SERVFAIL"


@pytest.mark.parametrize("name", ["no.*.lab.internal", "*.lab.internal", "any.no.*.lab.internal"])
def test_a_wildcard_does_not_read_without_end(name, monkeypatch):
    plugin = etcd({f"n{place}": HOST for place in range(5000)})
    read, matches = [], plugin._source.tree._matches
    monkeypatch.setattr(plugin._source.tree, "_matches", lambda *both: read.append(both) or matches(*both))
    response = plugin.handle(request_for(name, plugins=[plugin]))
    assert len(read) == 4096
    assert response.truncated, "what was not read may match"


def test_a_wildcard_that_has_read_all_misses_nothing():
    reply = message(etcd({f"n{place}": HOST for place in range(4096)}), "no.*.lab.internal")
    assert (reply.flags & dns.flags.TC, reply.answer) == (0, [])


def test_a_text_that_fits_no_message_is_told_as_truncated():
    reply = message(etcd({"a": {"text": "x" * 70_000}}), "a.lab.internal", "TXT")
    assert (reply.flags & dns.flags.TC, reply.answer) == (dns.flags.TC, [])


def test_texts_are_gathered_only_until_a_message_is_full(monkeypatch):
    made = []
    monkeypatch.setattr(answers_module, "text_rdata", lambda text: made.append(text) or text)
    plugin = etcd({f"t{place}": {"text": f"{place:03}" + "x" * 9997} for place in range(100)})
    response = plugin.handle(request_for("lab.internal", "TXT", plugins=[plugin]))
    assert (response.answers, response.truncated, len(made)) == (6, True, 7)


@pytest.mark.parametrize(
    ("path", "key", "target"),
    [
        ("/dns", "/dns/internal/lab/a", "a.lab.internal."),
        ("dns/", "/dns/internal/lab/a", "a.lab.internal."),
        ("/team/dns", "/team/dns/internal/lab/a", "a.lab.internal.dns."),
        ("/x/../b//c/", "/b/c/internal/lab/a", "a.lab.internal.c."),
        ("", "/internal/lab/a", "a.lab."),
    ],
)
def test_paths(path, key, target):
    plugin = etcd({key: HOST}, path=path)
    assert answer(plugin, "a.lab.internal") == ["A 10.0.0.1"]
    assert answer(plugin, "a.lab.internal", "SRV") == [f"SRV 10 100 0 {target}"]


def test_skydns():
    plugin = etcd(
        {"a": HOST, "dns/apex/x": {"host": "10.0.0.2"}, "/skydns/arpa/in-addr/10/0/0/1": {"host": "a.lab.internal"}},
        skydns=SkyDNS(names.from_text("a.lab.internal")),
    )
    assert len(answer(plugin, "lab.internal")) == 2
    assert message(plugin, "LOCAL.dns.lab.internal").answer[0].to_text() == "LOCAL.dns.lab.internal. 3600 IN A 10.0.0.1"
    pointer = message(plugin, "1.0.0.10.in-addr.arpa", "PTR")
    assert texts(pointer.answer) == ["PTR a.lab.internal."]
    assert not pointer.flags & dns.flags.AA
    assert answer(plugin, "2.0.0.10.in-addr.arpa", "PTR") == "REFUSED"
    assert answer(plugin, "no.lab.internal", "NS") == []
    assert answer(plugin, "no.lab.internal", "SOA") == "NXDOMAIN"
    assert answer(plugin, "lab.internal", "SOA")[0].endswith("28800 7200 604800 60")
