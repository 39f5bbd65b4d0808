"""A reload may take a TCP port from HTTP for questions, or from questions for HTTP."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import StartError
from pycoredns.plugins.whoami import Whoami
from pycoredns.server import Server
from pycoredns.testing import exchange_tcp, free_port, query_wire
from tests.server.support import connected

TIMES = 8
"""Connections that are made to each port: where two listen, the kernel gives each of them some."""
COREFILE = ".:{questions} {{\n{bind}\n whoami\n health {http}\n}}\n"


def server_of(questions, http, bind="bind 127.0.0.1"):
    return Server(assemble(parse(COREFILE.format(questions=questions, http=http, bind=bind))))


@asynccontextmanager
async def replaced(old, new):
    """A server that has just taken the place of another one, which is still there."""
    await new.start(old)
    yield
    await old.stop(final=False)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def takes_questions(port):
    """Is each of some questions over TCP answered?"""
    for _ in range(TIMES):
        try:
            await exchange_tcp(query_wire("a.test"), ("127.0.0.1", port))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
    return True


async def speaks_http(port):
    """Is each of some requests for /health answered?"""
    for _ in range(TIMES):
        async with connected(port) as (reader, writer), asyncio.timeout(5):
            writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            if not (await reader.readline()).startswith(b"HTTP/1.1 200"):
                return False
    return True


ADDRESSES = [("127.0.0.1:{}", "bind 127.0.0.1"), (":{}", ""), ("localhost:{}", ""), (":{}", "bind 127.0.0.1")]


@pytest.mark.parametrize(("http", "bind"), ADDRESSES)
async def test_questions_and_http_may_exchange_their_ports(http, bind):
    one, other = free_port(), free_port()
    servers = [server_of(a, http.format(b), bind) for a, b in ((one, other), (other, one), (one, other))]
    await servers[0].start()
    for old, new, questions, requests in zip(servers, servers[1:], (other, one), (one, other), strict=False):
        async with replaced(old, new):
            assert await takes_questions(questions)
            assert await speaks_http(requests)
        assert await takes_questions(questions)
        assert await speaks_http(requests)
    await servers[-1].stop()


@pytest.mark.parametrize(("http", "bind"), ADDRESSES)
async def test_until_the_new_server_answers_the_old_one_does_and_one_that_fails_has_changed_nothing(http, bind, monkeypatch):
    one, other = free_port(), free_port()
    old, new = server_of(one, http.format(other), bind), server_of(other, http.format(one), bind)
    await old.start()
    assert await takes_questions(one)
    assert await speaks_http(other)
    descriptors, seen = open_descriptors(), []

    @asynccontextmanager
    async def fail(self):
        seen.append((await takes_questions(one), await speaks_http(other)))
        raise StartError("it cannot begin")
        yield

    monkeypatch.setattr(Whoami, "running", fail)
    with pytest.raises(StartError, match="it cannot begin"):
        await new.start(old)
    monkeypatch.undo()
    assert seen == [(True, True)]
    assert await takes_questions(one)
    assert await speaks_http(other)
    assert open_descriptors() == descriptors
    new = server_of(other, http.format(one), bind)
    async with replaced(old, new):
        assert await takes_questions(other)
        assert await speaks_http(one)
    await new.stop()


@pytest.mark.parametrize("first", ["questions", "http"])
@pytest.mark.parametrize(("http", "bind"), ADDRESSES)
async def test_one_port_for_both_is_refused_in_a_reload_as_at_the_start(http, bind, first):
    one, other = free_port(), free_port()
    both = server_of(one, http.format(one), bind)
    with pytest.raises(StartError, match="bind: address already in use"):
        await server_of(one, http.format(one), bind).start()
    questions, requests = (one, other) if first == "questions" else (other, one)
    old = server_of(questions, http.format(requests), bind)
    await old.start()
    with pytest.raises(StartError, match="bind: address already in use"):
        await both.start(old)
    assert await takes_questions(questions)
    assert await speaks_http(requests)
    await old.stop()
