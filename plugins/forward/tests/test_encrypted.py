"""Upstreams that speak TLS and HTTPS, and those that have a name."""

import asyncio
from pathlib import Path

import pytest
from dnslib import RR, DNSRecord

from pycoredns.errors import ServerFailure, StartError
from pycoredns.plugins.forward import streams
from pycoredns.plugins.forward.tests.support import (
    Reply,
    Scripted,
    connections_of,
    forwarding,
    good_reply,
    reply_to,
    serving,
    serving_https,
    wait,
    with_address,
    write_certificate,
)
from pycoredns.testing import Upstream, free_port, records, request_for, running


@pytest.mark.parametrize(
    ("to", "options", "trouble"),
    [
        ("tls://{address}", "tls {ca}\n tls_servername dns.test", ""),
        ("tls://127.0.0.1%dns.test:{port}", "tls {ca}", ""),
        ("tls://{address}", "tls {ca}", ""),
        ("tls://{address}", "tls {ca}\n tls_servername other.test", "tls: failed to verify certificate: Hostname mismatch"),
        ("tls://{address}", "tls", "tls: failed to verify certificate: self-signed certificate"),
    ],
)
async def test_tls(to: str, options: str, trouble: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with Scripted(lambda query, _: [reply_to(query)], serving(paths)) as other:
        values = {"address": other.address, "port": other.port, "ca": paths[0]}
        line = f"forward . {to} {{\n {options}\n max_fails 0\n}}".replace("{\n", "{{\n").replace("\n}", "\n}}").format(**values)
        async with forwarding(line) as forward:
            for _ in range(2):
                answer = forward.handle(request_for("a.test"))
                if trouble:
                    with pytest.raises(ServerFailure, match=trouble):
                        await wait(answer)
                else:
                    assert (await wait(answer)).answers == 1
            assert connections_of(forward, "tcp-tls") == ((1, 1) if not trouble else (4, 0))


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_https(method: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with serving_https(good_reply, paths) as (address, requests):
        line = f"forward . https://{address} {{\n tls {paths[0]}\n doh_method {method}\n}}"
        async with forwarding(line) as forward:
            for name in ("a.test", "b.test"):
                answer = await wait(forward.handle(request_for(name)))
                assert records(answer) == [f"{name}. 300 A 192.0.2.1"]
            assert connections_of(forward, "https") == (1, 1)
    assert [request[0] for request in requests] == [method] * 2
    assert all(request[2][:2] == b"\0\0" for request in requests)


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (lambda query: (404, "text/plain", b"nothing here"), "status 404"),
        (lambda query: (200, "application/dns-message", b""), "not one to this question"),
        (lambda query: (200, "application/dns-message", reply_to(query, question=b"\1b\0\0\1\0\1")), "not one to this question"),
        (lambda query: (200, "application/dns-message", bytes(70_000)), "too long"),
    ],
)
async def test_https_that_is_no_answer(reply: Reply, trouble: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with (
        serving_https(reply, paths) as (address, _),
        forwarding(f"forward . https://{address} {{\n tls {paths[0]}\n max_fails 0\n}}") as forward,
    ):
        with pytest.raises(ServerFailure, match=trouble):
            await wait(forward.handle(request_for("a.test")))


@pytest.mark.parametrize(
    ("begin", "trouble"),
    [
        ("HTTP/1.0 200 OK\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", "https {address}: .* without sending complete message body"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "EOF"),
        ("HTTP/1.1 100 Continue\r\n\r\n" * 300, "too many parts"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + "1\r\nx\r\n" * 300, "too many parts"),
        ("HTTP/1.1 200 OK\r\n" + "a: b\r\n" * 10_000 + "\r\n", "too long"),
    ],
)
async def test_an_answer_over_https_may_end_with_its_connection(begin: str, trouble: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        query = await reader.readexactly(len(request_for("a.test").wire))
        writer.write(begin.encode() + (b"" if trouble == "EOF" else reply_to(query)))
        writer.close()

    address = f"127.0.0.1:{(port := free_port())}"
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=serving(paths))
    line = f"forward . https://{address} {{\n tls {paths[0]}\n max_fails 0\n max_connect_attempts 1\n}}"
    async with server, forwarding(line) as forward:
        for _ in range(2):
            answer = forward.handle(request_for("a.test"))
            if trouble:
                with pytest.raises(ServerFailure, match=trouble.format(address=address)):
                    await wait(answer)
            else:
                assert (await wait(answer)).answers == 1
        assert connections_of(forward, "https") == (2, 0)


async def test_questions_wait_for_one_of_the_connections_of_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 2)
    paths = write_certificate(tmp_path)
    async with (
        serving_https(good_reply, paths) as (address, requests),
        forwarding(f"forward . https://{address} {{\n tls {paths[0]}\n max_idle_conns 1\n}}") as forward,
    ):
        answers = [forward.handle(request_for(f"n{number}.test")) for number in range(20)]
        for number, answer in enumerate(answers):
            assert records(await wait(answer)) == [f"n{number}.test. 300 A 192.0.2.1"]
        assert len(requests) == 20
        assert connections_of(forward, "https") == (2, 18)
        assert len(forward._upstreams[0]._streams._connections) == 1


async def test_questions_that_wait_for_a_connection_of_https_get_one_when_others_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 2)
    paths = write_certificate(tmp_path)
    async with (
        serving_https(lambda query: (404, "", b"") if query[14] < ord("5") else good_reply(query), paths) as (address, _),
        forwarding(f"forward . https://{address} {{\n tls {paths[0]}\n max_fails 0\n max_connect_attempts 1\n}}") as forward,
    ):
        answers = [forward.handle(request_for(f"n{number}.test")) for number in range(10)]
        for answer in answers[:5]:
            with pytest.raises(ServerFailure, match="status 404"):
                await wait(answer)
        for answer in answers[5:]:
            assert (await wait(answer)).answers == 1


async def test_questions_wait_no_longer_for_a_connection_of_https_than_for_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 1)
    paths = write_certificate(tmp_path)
    options = f"tls {paths[0]}\n read_timeout 300ms\n max_connect_attempts 1\n max_fails 0"
    async with Scripted(lambda query, _: [], serving(paths)) as silent:
        async with forwarding(f"forward . https://{silent.address} {{\n {options}\n}}") as forward:
            answers = [forward.handle(request_for(f"n{number}.test")) for number in range(3)]
            for answer in answers:
                with pytest.raises(ServerFailure, match="i/o timeout"):
                    await wait(answer)
            assert forward.waiting == 0
            answers = [forward.handle(request_for(f"n{number}.test")) for number in range(3)]
        for answer in answers:
            with pytest.raises(ServerFailure, match="the server stops"):
                await wait(answer)
        assert forward.waiting == 0


@pytest.mark.parametrize("name", ["1", "127.1", "192.0.2", "127.0.0.01", "0x7f000001"])
async def test_what_only_the_system_takes_for_an_address_is_none(name: str) -> None:
    with pytest.raises(StartError, match=f'Corefile:2: forward: failed to resolve "{name}"'):
        async with running(f".:{{port}} {{\n forward . {name}\n}}"):
            pass


async def test_names_are_looked_up_at_the_start() -> None:
    def addresses(query: DNSRecord) -> DNSRecord:
        reply = query.reply()
        if query.q.qtype == 1 and str(query.q.qname) == "dns.test.":
            reply.add_answer(*RR.fromZone("dns.test. 60 A 127.0.0.1"))
        return reply

    async with Upstream(addresses) as names, Upstream(with_address("192.0.2.7")) as other:
        corefile = ".:{port} {\n forward . dns.test:{other} {\n resolver {names}\n }\n}"
        async with running(corefile, other=other.port, names=names.address) as server:
            assert await server.answers("a.test") == ["A 192.0.2.7"]
        with pytest.raises(Exception, match=r'Corefile:2: forward: failed to resolve "none.test"'):
            async with running(".:{port} {\n forward . none.test {\n resolver {names}\n }\n}", names=names.address):
                pass
