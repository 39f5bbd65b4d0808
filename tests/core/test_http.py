"""The HTTP server: routes, what Go's server does with odd requests, and what a hostile client cannot do."""

import asyncio
import gc
import re
from collections import Counter
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import pytest
import uvloop

from pycoredns.corefile.kinds import ListenAddress
from pycoredns.errors import StartError
from pycoredns.http import HTTPReply, connection, endpoint, open_route
from pycoredns.testing import free_port


def hello(request):
    return HTTPReply(200, b"hello")


@asynccontextmanager
async def served(path="/hello", handler=hello):
    """An address with one route."""
    address = ListenAddress("127.0.0.1", free_port())
    route = await open_route(address, path, handler)
    try:
        yield address
    finally:
        await route.close()


async def exchange(address, octets, eof=False):
    """All that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(octets)
        if eof:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def get(path, method="GET", *headers, version="1.1"):
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", "Connection: close", *headers, "", ""]).encode()


def status(reply):
    return int(reply.split(b" ", 2)[1]) if reply else 0


def body(reply):
    return reply.partition(b"\r\n\r\n")[2]


TOO_LARGE = f"413 {HTTPStatus(413).phrase}".encode()
"""In the words of RFC 9110 since Python 3.13, before that in those of RFC 2616."""
REQUESTS = [
    (get("/hello"), 200, b"hello"),
    (get("/hello?x=1"), 200, b"hello"),
    (get("/%68ello"), 200, b"hello"),
    (get("http://x/hello"), 200, b"hello"),
    (get("/hello", "POST", "Content-Length: 3") + b"abc", 200, b"hello"),
    (get("/hello", "POST", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n", 200, b"hello"),
    (get("/hello", "DELETE"), 200, b"hello"),
    (get("/hello", "HEAD"), 200, b""),
    (get("/hello", version="1.0"), 200, b"hello"),
    (get("/"), 404, b"404 page not found\n"),
    (get("/hello/"), 404, b"404 page not found\n"),
    (get("//hello"), 307, b'<a href="/hello">Temporary Redirect</a>.\n\n'),
    (get("//hello", "POST"), 307, b""),
    (get("/a/../hello?x=1"), 307, b'<a href="/hello?x=1">Temporary Redirect</a>.\n\n'),
    (get("/x%0d%0aEvil:%20y"), 404, b"404 page not found\n"),
    (get("/x%0d%0aEvil:%20y/.."), 307, b'<a href="/">Temporary Redirect</a>.\n\n'),
    (get("http://[/hello"), 400, b"400 Bad Request"),
    (get("/hello", "CONNECT"), 405, b"405 Method Not Allowed"),
    (b"GET /hello HTTP/1.1\r\n\r\n", 400, b"400 Bad Request"),
    (b"\x16\x03\x01 nonsense\r\n\r\n", 400, b"400 Bad Request"),
    (b"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000, 431, b"431 Request Header Fields Too Large"),
    (b"GET /" + b"x" * 20_000, 431, b"431 Request Header Fields Too Large"),
    (get("/hello", "POST", "Content-Length: 100000") + b"x" * 100_000, 413, TOO_LARGE),
]


@pytest.mark.parametrize(("octets", "code", "text"), REQUESTS)
async def test_requests(octets, code, text):
    async with served() as address:
        reply = await exchange(address, octets)
    assert (status(reply), body(reply)) == (code, text)
    assert b"Evil:" not in reply.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    ("code", "line"), [(200, b"200 OK"), (404, b"404 Not Found"), (503, b"503 Service Unavailable"), (299, b"299 ")]
)
async def test_the_status_is_said_in_words_too(code, line):
    async with served(handler=lambda _: HTTPReply(code, b"")) as address:
        reply = await exchange(address, get("/hello"))
    assert reply.startswith(b"HTTP/1.1 " + line + b"\r\n")


@pytest.mark.parametrize(("method", "page"), [("GET", True), ("HEAD", True), ("POST", False), ("OPTIONS", False)])
async def test_where_a_path_leads_is_a_page_for_who_would_read_one(method, page):
    async with served() as address:
        reply = await exchange(address, get("//hello", method))
    assert (b"\r\nContent-Type: text/html; charset=utf-8\r\n" in reply) == page


async def test_requests_follow_one_another_on_a_connection():
    async with served() as address:
        keep = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
        reply = await exchange(address, keep + keep.replace(b"hello", b"none") + get("/hello"))
    assert [part[:3] for part in reply.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    "before", [b"", b"POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n"]
)
async def test_many_requests_at_once_are_answered_in_many_turns(monkeypatch, before):
    """A read brings up to 256 kB, which is 8,000 requests or 40,000 chunks: questions must have their turn in between."""
    loop, turns, taken = asyncio.get_running_loop(), [0], Counter()
    take = connection.Connection._take

    def count_turn():
        turns[0] += 1
        turns.append(loop.call_soon(count_turn))
        del turns[1:-1]

    def count_part(self, event):
        taken[turns[0]] += 1
        take(self, event)

    monkeypatch.setattr(connection.Connection, "_take", count_part)
    async with served() as address:
        count_turn()
        reply = await exchange(address, before + b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 500 + get("/hello"))
        turns[1].cancel()
    assert reply.count(b"HTTP/1.1 200") == 501 + bool(before)
    assert max(taken.values()) <= connection.AT_ONCE


async def test_a_client_may_ask_leave_to_send_its_body():
    async with served() as address:
        reply = await exchange(address, get("/hello", "POST", "Content-Length: 3", "Expect: 100-continue") + b"abc")
    assert reply.startswith(b"HTTP/1.1 100 ")
    assert reply.endswith(b"\r\n\r\nhello")


async def test_an_answer_may_come_later_and_the_next_request_waits():
    async def late(request):
        await asyncio.sleep(0)
        return HTTPReply(200, request.query.encode())

    async with served("/late", late) as address:
        reply = await exchange(address, b"GET /late?1 HTTP/1.1\r\nHost: x\r\n\r\n" + get("/late?2"))
        half_closed = await exchange(address, b"GET /late?3 HTTP/1.1\r\nHost: x\r\n\r\n", eof=True)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in reply.split(b"HTTP/1.1 ")[1:]] == [b"1", b"2"]
    assert half_closed.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        (HTTPReply(204, b"what has no place there (RFC 9110 \xc2\xa715.3.5)"), (0, 204)),
        (HTTPReply(42), (500,)),
        (HTTPReply(headers=(("Bad name", ""),)), (500,)),
    ],
)
async def test_an_answer_that_cannot_be_sent_ends_the_connection(reply, answered, late, caplog):
    async def reply_later(request):
        return reply

    async with served("/x", reply_later if late else lambda _: reply) as address:
        assert status(await exchange(address, b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) in answered
    assert "GET /x failed" in caplog.text


@pytest.mark.parametrize("late", [False, True])
async def test_a_handler_that_fails_answers_500(late, caplog):
    def fail(request):
        raise ValueError("broken")

    async def fail_later(request):
        fail(request)

    async with served("/x", fail_later if late else fail) as address:
        assert status(await exchange(address, get("/x"))) == 500
    assert "broken" in caplog.text


@pytest.mark.parametrize("octets", [b"", b"GET /hello HT", b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"])
async def test_who_does_not_finish_is_cut_off(monkeypatch, octets):
    monkeypatch.setattr(connection, "TIMEOUT", 0.05)
    async with served() as address:
        assert await exchange(address, octets) == b""


async def test_who_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(connection, "TIMEOUT", 0.2)
    gone = asyncio.Event()
    monkeypatch.setattr(endpoint.Endpoint, "dismiss", lambda self, each: (self._connections.pop(each, None), gone.set()))
    async with served("/big", lambda request: HTTPReply(200, b"x" * 10_000_000)) as address:
        _, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        await asyncio.wait_for(gone.wait(), 5)
        writer.close()


async def test_the_oldest_connection_gives_way(monkeypatch):
    monkeypatch.setattr(endpoint, "MOST_CONNECTIONS", 3)
    async with served() as address:
        idle = [await asyncio.open_connection(address.host, address.port) for _ in range(3)]
        assert status(await exchange(address, get("/hello"))) == 200
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
        for _, writer in idle:
            writer.close()


async def test_an_address_is_shared_and_changes_hands_without_a_gap():
    address = ListenAddress("127.0.0.1", free_port())
    first = await open_route(address, "/who", lambda request: HTTPReply(200, b"first"))
    other = await open_route(address, "/other", hello)
    second = await open_route(address, "/who", lambda request: HTTPReply(200, b"second"))
    assert body(await exchange(address, get("/who"))) == b"second"
    await second.close()
    assert body(await exchange(address, get("/who"))) == b"first"
    await first.close()
    await first.close()
    assert status(await exchange(address, get("/who"))) == 404
    await other.close()
    with pytest.raises(ConnectionRefusedError):
        await exchange(address, get("/other"))


@pytest.mark.parametrize("host", ["localhost", ""])
async def test_an_address_in_use_is_told(host):
    async with served() as taken:
        address = ListenAddress(host, taken.port)
        with pytest.raises(StartError, match=rf"listen tcp {host}:{taken.port}: bind: address already in use; .* address"):
            await open_route(address, "/", hello)
    gc.collect()


async def test_an_address_that_could_not_be_served_can_be_opened_again(monkeypatch):
    address = ListenAddress("127.0.0.1", free_port())
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Too many open files"):
        patch.setattr(endpoint.socket.socket, "dup", lambda _: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        await open_route(address, "/hello", hello)
    route = await open_route(address, "/hello", hello)
    assert body(await exchange(address, get("/hello"))) == b"hello"
    await route.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "127.1", "127.0.0.010", "2130706433", "0x7f000001"])
async def test_a_host_that_is_none_is_told(host):
    with pytest.raises(StartError, match=rf"listen tcp: lookup {re.escape(host)}: name or service not known"):
        await open_route(ListenAddress(host, free_port()), "/", hello)


async def test_without_a_host_both_families_are_served():
    address = ListenAddress("", free_port())
    route = await open_route(address, "/hello", hello)
    for host in ("127.0.0.1", "::1"):
        assert status(await exchange(ListenAddress(host, address.port), get("/hello"))) == 200
    await route.close()


def test_all_of_it_in_the_loop_of_the_server():
    async def scenario():
        for case in REQUESTS:
            await test_requests(*case)
        await test_requests_follow_one_another_on_a_connection()
        await test_an_answer_may_come_later_and_the_next_request_waits()
        await test_an_address_is_shared_and_changes_hands_without_a_gap()

    uvloop.run(scenario())
