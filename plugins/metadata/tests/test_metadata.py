"""What plugins tell of a question reaches who asks for it, and costs nothing otherwise."""

import pytest
from dnslib import RR

from pycoredns.assemble import assemble
from pycoredns.chain import Block
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.memo import Memo
from pycoredns.metadata import ProvidesMetadata
from pycoredns.plugins.metadata import Metadata
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.testing import Last, SilentListener, Upstream, query_wire, request_for, running
from pycoredns.wire import names

ZONE = names.from_text("a.test")


class Told(ProvidesMetadata):
    """Tells a question's name, and how often it was asked to."""

    name = "told"

    def __init__(self):
        self.collected = self.worked_out = 0

    def metadata(self, request):
        self.collected += 1
        return {"told/name": lambda: self._name(request), "told/other": lambda: ""}

    def _name(self, request):
        self.worked_out += 1
        return names.to_text(request.name)


def asked(*plugins, name="x.a.test", zones=(ZONE,)):
    """The request as the last of these plugins behind metadata saw it."""
    last = Last(Response())
    request = request_for(name, plugins=[Metadata(zones), *plugins, last])
    request.listener.service.zones[b"\0"][0].handle(request)
    return last.seen[0]


def test_what_a_plugin_tells_is_worked_out_when_it_is_wanted():
    told = Told()
    metadata = asked(told).metadata
    assert (told.collected, told.worked_out) == (0, 0)
    assert [metadata.get(label) for label in ("told/name", "told/other", "told/nothing")] == ["x.a.test.", "", None]
    assert (told.collected, told.worked_out) == (1, 1)


def test_what_is_noted_on_the_way_counts_more():
    metadata = asked(Told()).metadata
    metadata.note("told/name", "another")
    metadata.note("else/where", "here")
    assert [metadata.get(label) for label in ("told/name", "else/where")] == ["another", "here"]


@pytest.mark.parametrize(("name", "collected"), [("a.test", True), ("x.a.test", True), ("xa.test", False), ("test", False)])
def test_who_could_tell_of_each_question_does_so_in_the_zones_and_what_is_found_on_the_way_is_noted_everywhere(name, collected):
    told = Told()
    metadata = asked(told, name=name).metadata
    metadata.note("else/where", "here")
    assert (metadata.get("told/name"), metadata.get("else/where")) == (f"{name}." if collected else None, "here")
    assert bool(told.collected) is collected


def test_no_metadata_without_the_plugin():
    assert request_for("a.test").metadata is None


def test_a_question_made_from_another_is_told_the_same():
    seen = asked()
    assert seen.replace(names.from_text("other.test")).metadata is seen.metadata
    inner = seen.replace(deeper=True)
    assert inner.metadata is None  # the block that answers it collects for it
    inner.metadata = asked().metadata
    assert inner.replace().metadata is inner.metadata is not seen.metadata


@pytest.mark.parametrize("per_client", [False, True])
def test_what_depends_on_who_asks_is_not_remembered(per_client):
    told = Told()
    told.per_client = per_client
    service = Service("dns://:53", [(ZONE, Block([ZONE], [Metadata((ZONE,)), told, Last(Response())]))])
    listener = SilentListener(service)
    listener.memo = Memo()
    wire = query_wire("x.a.test")
    for _ in range(3):
        service.serve(wire, b"", listener, 0)
    assert bool(listener.memo.entries) is not per_client


def test_zones_are_those_of_the_block_or_those_given():
    def zones(words):
        (plugin,) = assemble(parse(f"a.test:1053 {{\nmetadata {words}\n}}")).blocks[0].plugins
        return plugin.zones

    assert zones("") == (ZONE,)
    assert zones("b.test 10.0.0.0/8") == (names.from_text("b.test"), names.from_text("10.in-addr.arpa"))


@pytest.mark.parametrize("text", ["metadata {\nfoo\n}", "metadata\nmetadata", "metadata a..b"])
def test_mistakes(text):
    with pytest.raises(ConfigErrors):
        assemble(parse(f".:1053 {{\n{text}\n}}"))


async def test_the_log_tells_the_upstream_that_was_asked_and_none_for_what_was_cached(monkeypatch):
    lines = []
    monkeypatch.setattr("pycoredns.output.writer.write", lines.append)

    def answer(query):
        reply = query.reply()
        reply.add_answer(*RR.fromZone("a.test. 60 A 192.0.2.1"))
        return reply

    async with Upstream(answer) as upstream:
        corefile = '.:{port} {\nmetadata\nlog . "{/forward/upstream}"\ncache\nforward . {to}\n}'
        async with running(corefile, to=upstream.address) as server:
            for _ in range(4):
                await server.query("a.test")
    assert lines == [f"[INFO] {upstream.address}", "[INFO] -", "[INFO] -", "[INFO] -"]
