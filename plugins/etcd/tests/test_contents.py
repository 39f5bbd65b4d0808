"""Contents that change, are not there yet, are odd, or are too many."""

import asyncio

import dns.flags
import dns.rcode
import pytest

from pycoredns.plugins.etcd import answers as answers_module
from pycoredns.plugins.etcd.tests.without_etcd import HOST, LAB, answer, delete, etcd, message, put
from pycoredns.testing import request_for


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
    for value in (b'{"host": "10.0.0.2"}', b"\xff\x00"):
        put(plugin._source, key, value)
        for qtype in ("A", "SRV", "MX", "TXT", "CNAME"):
            answer(plugin, "lab.internal", qtype)
    delete(plugin._source, key)
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
