"""What goes wrong between forward and its upstreams, and must not go on."""

import asyncio
import ctypes
import errno
import os
import socket
from collections.abc import Callable
from itertools import product
from pathlib import Path
from time import monotonic, perf_counter_ns

import pytest
import uvloop

from pycoredns.answer import Answer
from pycoredns.errors import ServerFailure, StartError
from pycoredns.plugins.forward import streams
from pycoredns.plugins.forward.datagrams import LIFETIME
from pycoredns.plugins.forward.exchange import Exchange
from pycoredns.plugins.forward.tests.support import (
    Scripted,
    configured,
    descriptors,
    forwarding,
    question_of,
    reply_to,
    serving,
    serving_https,
    write_certificate,
)
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.testing import eventually, free_port, query_wire, records, request_for
from pycoredns.transport import mmsg


async def answered(answer: Answer) -> Response:
    """An answer that comes before anything has timed out."""

    async def ended() -> Response:
        return await answer

    return await asyncio.wait_for(ended(), 1)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("::1", r"dial {}: address \[::1\]:0: no suitable address found"),
        ("192.0.2.9", r"dial {} 192.0.2.9:0->127.0.0.1:[0-9]+: bind: cannot assign requested address"),
    ],
)
def test_an_address_that_questions_cannot_be_sent_from_is_told(
    source: str, why: str, protocol: str, run: Callable[..., object]
) -> None:
    async def ask() -> None:
        options = f"{{\n source_address {source}\n max_connect_attempts 1\n}}"
        async with forwarding(f"forward . 127.0.0.1:{free_port()} {options}") as forward:
            with pytest.raises(ServerFailure, match=f"^{why.format(protocol)}$"):
                await answered(forward.handle(request_for("a.test", protocol=protocol)))

    run(ask())


@pytest.mark.parametrize(("scheme", "protocol"), [("dns", "tcp"), ("tls", "udp")])
async def test_where_a_connection_was_to_begin_is_told(scheme: str, protocol: str) -> None:
    to = f"127.0.0.1:{free_port()}"
    async with forwarding(f"forward . {scheme}://{to} {{\n source_address 127.0.0.2\n max_connect_attempts 1\n}}") as forward:
        with pytest.raises(ServerFailure, match=f"^dial tcp 127.0.0.2:0->{to}: connect: connection refused$"):
            await answered(forward.handle(request_for("a.test", protocol=protocol)))


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_handshake_that_takes_too_long_leaves_no_socket(run: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "DIAL_TIMEOUT", 0.05)

    async def ask() -> None:
        async with (
            Scripted(lambda query, _: []) as other,
            forwarding(f"forward . tls://{other.address} {{\n max_connect_attempts 1\n max_fails 0\n}}") as forward,
        ):
            before = descriptors()
            with pytest.raises(ServerFailure, match=f"^dial tcp {other.address}: i/o timeout$"):
                await answered(forward.handle(request_for("a.test")))
            other.hang_up()
            await eventually(lambda: descriptors() <= before)

    run(ask())


async def test_a_question_that_cannot_be_framed_is_not_waited_on() -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address}") as forward,
    ):
        await answered(forward.handle(request_for("a.test", protocol="tcp")))
        (connection,) = forward._upstreams[0]._streams._connections
        exchange = forward.handle(request_for("b.test"))
        assert isinstance(exchange, Exchange)
        exchange.message = bytes(65534)
        with pytest.raises(OverflowError):
            connection.send(exchange)
        assert not connection.pending


async def test_an_address_that_questions_cannot_be_sent_to_is_told() -> None:
    async with forwarding("forward . 255.255.255.255 {\n max_connect_attempts 1\n}") as forward:
        with pytest.raises(ServerFailure, match=r"dial udp 255\.255\.255\.255:53: connect: permission denied"):
            await answered(forward.handle(request_for("a.test")))


async def test_a_question_too_long_for_a_datagram_fails_alone() -> None:
    padding = b"\0\x0c" + (65_480).to_bytes(2, "big") + bytes(65_480)  # RFC 7830
    wire = query_wire("long.test", size=1232)[:-2] + len(padding).to_bytes(2, "big") + padding
    async with (
        Scripted(lambda query, _: []) as other,
        forwarding(f"forward . {other.address} {{\n prefer_udp\n max_connect_attempts 1\n}}") as forward,
    ):
        answer = forward.handle(request_for("a.test"))
        await eventually(lambda: len(other.wires) == 1)
        long = Request.read(wire, b"", request_for("long.test", protocol="tcp").listener, perf_counter_ns())
        with pytest.raises(ServerFailure, match=f"write udp 127.0.0.1:[0-9]+->{other.address}: write: message too long"):
            await answered(forward.handle(long))
        channel = forward._upstreams[0]._datagrams._channels[0]
        other._datagrams.sendto(reply_to(other.wires[0]), channel._sock.getsockname())
        assert (await answered(answer)).answers == 1


async def test_the_port_for_long_answers_is_replaced_like_the_others() -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n expire 1m\n}}") as forward,
    ):
        datagrams, wide = forward._upstreams[0]._datagrams, []
        for _ in range(2):
            await answered(forward.handle(request_for("a.test", size=65535)))
            wide.append(datagrams._wide)
            datagrams.sweep(monotonic() + LIFETIME + 1)
        assert None not in wide
        assert wide[0] is not wide[1]


@pytest.mark.parametrize("several", [1, 3])
async def test_a_packet_filter_that_drops_a_question_costs_no_other(several: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(*_: object) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    options = "{\n max_connect_attempts 1\n max_fails 0\n}"
    async with Scripted(lambda query, _: []) as other, forwarding(f"forward . {other.address} {options}") as forward:
        waits = forward.handle(request_for("a.test"))
        await eventually(lambda: len(other.wires) == 1)
        (channel,) = forward._upstreams[0]._datagrams._channels
        with monkeypatch.context() as filtered:
            filtered.setattr(mmsg, "_sendmmsg", drop)
            filtered.setattr(channel, "_sock", Dropping(channel._sock))
            dropped = [forward.handle(request_for(f"n{number}.test")) for number in range(several)]
            for each in dropped:
                with pytest.raises(ServerFailure, match=f"^write udp {channel.route}: write: operation not permitted$"):
                    await answered(each)
        other._datagrams.sendto(reply_to(other.wires[0]), channel._sock.getsockname())
        assert (await answered(waits)).answers == 1
        assert forward._upstreams[0]._datagrams._channels == [channel]


class Dropping:
    """A socket behind a packet filter that drops what it sends."""

    def __init__(self, sock: socket.socket) -> None:
        self.fileno = sock.fileno

    def send(self, datagram: bytes) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


async def test_a_broken_channel_takes_only_its_own_questions_with_it() -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other, forwarding(f"forward . {other.address}") as forward:
        datagrams = forward._upstreams[0]._datagrams
        await answered(forward.handle(request_for("a.test")))
        datagrams._renew()
        answer = forward.handle(request_for("b.test"))
        await asyncio.sleep(0)  # until it has been sent
        broken = next(channel for channel in datagrams._channels if not channel.pending)
        broken._break(errno.ECONNREFUSED, "read")
        assert (await answered(answer)).answers == 1
        assert len(other.queries) == 2


async def test_a_question_too_long_for_the_path_is_asked_again_and_the_others_wait_on() -> None:
    async with (
        Scripted(lambda query, _: []) as other,
        forwarding(f"forward . {other.address} {{\n max_fails 0\n}}") as forward,
    ):
        names = ("a.test", "long.long.long.test", "b.test")
        answers = [forward.handle(request_for(name)) for name in names]
        await eventually(lambda: len(other.wires) == 3)
        forward._upstreams[0]._datagrams._channels[0]._break(errno.EMSGSIZE, "read")
        await eventually(lambda: len(other.wires) == 4)
        assert question_of(other.wires[3]) == question_of(request_for(names[1]).wire)
        for query, each in product(other.wires, forward._upstreams[0]._datagrams._channels):
            other._datagrams.sendto(reply_to(query), each._sock.getsockname())
        for name, answer in zip(names, answers, strict=True):
            assert records(await answered(answer)) == [f"{name}. 300 A 192.0.2.1"]


async def test_a_closed_channel_sends_nothing() -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other, forwarding(f"forward . {other.address}") as forward:
        await answered(forward.handle(request_for("a.test")))
        (channel,) = forward._upstreams[0]._datagrams._channels
        answer = forward.handle(request_for("a.test"))
        channel._break(errno.EHOSTUNREACH, "write")
        channel._flush([b"1", b"2"])
        assert (await answered(answer)).answers == 1
        assert len(other.queries) == 2


async def test_a_connection_that_cannot_even_be_tried_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise UnicodeError("label too long")

    async with (
        Scripted(lambda query, _: []) as other,
        forwarding(f"forward . tls://{other.address} {{\n max_fails 0\n}}") as forward,
    ):
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refuse)
        with pytest.raises(ServerFailure, match=f"^dial tcp {other.address}: label too long$"):
            await answered(forward.handle(request_for("a.test")))
        assert forward.waiting == 0


def test_tls_over_uvloop(tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)

    async def ask() -> None:
        async with (
            Scripted(lambda query, _: [reply_to(query)], serving(paths)) as other,
            forwarding(f"forward . tls://{other.address} {{\n tls {paths[0]}\n tls_servername dns.test\n}}") as forward,
        ):
            assert (await answered(forward.handle(request_for("a.test")))).answers == 1

    uvloop.run(ask())


async def test_a_certificate_that_is_gone_prevents_the_start(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path)
    forward = configured(f"forward . tls://127.0.0.1 {{\n tls {certificate}\n}}")[0]
    certificate.unlink()
    with pytest.raises(StartError, match=rf'forward: "{certificate}" cannot be read \(no such file or directory\)'):
        async with forward.running():
            pass


async def test_an_upstream_that_nobody_uses_any_more_stays_closed() -> None:
    async with Scripted(lambda query, _: []) as silent:
        async with forwarding(f"forward . {silent.address}") as forward:
            answers = [forward.handle(request_for("a.test", protocol=protocol)) for protocol in ("udp", "tcp")]
            await eventually(lambda: len(silent.queries) == 2)
        for answer in answers:
            with pytest.raises(ServerFailure, match="the server stops"):
                await answered(answer)
        left = forward._upstreams[0]
        assert not (left._datagrams.open or left._streams.open or left._timer or left._checking)
        assert (forward.waiting, len(silent.queries)) == (0, 2)


async def test_a_question_is_concluded_once() -> None:
    async with forwarding("forward . 127.0.0.1:1 {\n max_fails 0\n max_connect_attempts 1\n}") as forward:
        exchange = forward.handle(request_for("a.test"))
        assert isinstance(exchange, Exchange)
        for _ in range(2):
            exchange.attempt_failed("lost")
        assert exchange.takes(reply_to(query_wire("a.test")), 512)
        assert forward.waiting == 0
        with pytest.raises(ServerFailure, match="lost"):
            exchange.result()


@pytest.mark.parametrize("size", [0, 1232, 65535])
async def test_an_answer_that_is_truncated_over_tcp_too_is_given_as_it_is(size: int) -> None:
    async with (
        Scripted(lambda query, _: [reply_to(query, b"", (0, 0, 0), 0x8380)]) as other,
        forwarding(f"forward . {other.address} {{\n prefer_udp\n}}") as forward,
    ):
        assert (await answered(forward.handle(request_for("a.test", size=size)))).truncated
        assert other.queries == ["udp", "tcp"]


async def test_https_connections_that_say_more_than_they_are_asked_are_closed(tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)

    def good(query: bytes) -> tuple[int, str, bytes]:
        return 200, "application/dns-message", reply_to(query)

    for trailing in (b"", b"and more"):
        async with (
            serving_https(good, paths, trailing) as (address, _),
            forwarding(f"forward . https://{address} {{\n tls {paths[0]}\n}}") as forward,
        ):
            connections = forward._upstreams[0]._streams._connections
            await answered(forward.handle(request_for("a.test")))
            if not trailing:
                connections[0].data_received(b"and more")
            await eventually(lambda connections=connections: not connections)
