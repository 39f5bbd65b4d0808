"""What becomes of the payload size that a client asks for."""

import pytest

from pycoredns.errors import ConfigErrors
from pycoredns.plugins.bufsize import Bufsize, PayloadSize
from pycoredns.response import Response
from pycoredns.testing import Last, request_for, running
from pycoredns.wire import edns

SIZE = PayloadSize(800)
COREFILE = """.:{port} {
    bind 127.0.0.1
    bufsize 600
    hosts {file} {
        fallthrough example.org
    }
}"""


@pytest.mark.parametrize(("asked", "seen"), [(4096, 800), (801, 800), (800, 800), (600, 600), (0, 0)])
def test_a_larger_size_is_lowered_for_those_behind(asked, seen):
    plugin, last = Bufsize(SIZE), Last(Response())
    plugin.handle(request_for("a.test", size=asked, plugins=[plugin, last]))
    assert last.seen[0].tail.size == seen


def test_do_and_options_stay():
    plugin, last = Bufsize(SIZE), Last(Response())
    plugin.handle(request_for("a.test", size=4096, do=True, plugins=[plugin, last]))
    assert last.seen[0].do


def test_what_is_kept_of_lowered_queries_is_bounded():
    plugin = Bufsize(SIZE)
    for size in range(801, 801 + 3000):
        plugin.handle(request_for("a.test", size=size, plugins=[plugin, Last(Response())]))
    assert len(plugin._lowered) <= 1024


def test_nothing_is_kept_of_queries_with_options_which_may_be_large():
    plugin, last = Bufsize(SIZE), Last(Response())
    request = request_for("a.test", size=4096, plugins=[plugin, last])
    options = edns.option(edns.NSID, bytes(60000))
    plugin.handle(request.replace(tail=request.tail.replace(options=options)))
    assert (last.seen[0].tail.size, last.seen[0].tail.options) == (800, options)
    assert not plugin._lowered


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("".join(f"192.0.2.{number} many.example.org\n" for number in range(60)))
    return path


@pytest.mark.parametrize(
    ("size", "tcp", "echoed", "truncated"),
    [(4096, False, 600, True), (4096, True, 600, False), (550, False, 550, True), (0, False, None, True)],
)
async def test_the_answer_is_cut_to_the_lower_size_which_it_names(file, size, tcp, echoed, truncated):
    async with running(COREFILE.replace("{file}", str(file))) as server:
        reply = await server.query("many.example.org", size=size, tcp=tcp)
    opt = [rr.rclass for rr in reply.ar]
    assert opt == ([] if echoed is None else [echoed])
    assert bool(reply.header.tc) == truncated
    assert len(reply.rr) == 60 or len(reply.pack()) <= max(echoed or 0, 512)


async def test_an_error_names_the_lower_size_too(file):
    async with running(COREFILE.replace("{file}", str(file))) as server:
        reply = await server.query("none.test", size=4096)
    assert (reply.header.rcode, reply.ar[0].rclass) == (2, 600)


@pytest.mark.parametrize("words", ["256", "4097", "big", "512 1024"])
async def test_sizes_that_are_refused(words):
    with pytest.raises(ConfigErrors, match="bufsize"):
        async with running(f".:{{port}} {{\nbufsize {words}\n}}"):
            pass
