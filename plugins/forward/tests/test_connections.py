"""Connections are used again, not for ever, and survive what happens to them."""

import asyncio
from time import monotonic

import pytest

from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward import measures, streams, upstream
from pycoredns.plugins.forward.tests.support import (
    Scripted,
    configured,
    connections_of,
    forwarding,
    reply_to,
    wait,
)
from pycoredns.testing import eventually, records, request_for


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_connections_are_used_again_and_closed_when_idle(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SWEEP", 0.01)
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n expire 100ms\n}}") as forward,
    ):
        await wait(forward.handle(request_for("a.test", protocol=protocol)))
        assert not any(other.address in labels for labels in measures.reused.cells), "as in CoreDNS, before the first is reused"
        for _ in range(4):
            await wait(forward.handle(request_for("a.test", protocol=protocol)))
        assert connections_of(forward, protocol) == (1, 4)
        used = forward._upstreams[0]
        await eventually(lambda: used._timer is None)
        assert not used._datagrams.open
        assert not used._streams.open
        await wait(forward.handle(request_for("a.test", protocol=protocol)))
        assert connections_of(forward, protocol) == (2, 4)


async def test_source_ports_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "SWEEP", 0.005)
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n expire 100ms\n max_age 100ms\n max_idle_conns 4\n}}") as forward,
    ):
        ports = set()
        for _ in range(100):
            await wait(forward.handle(request_for("a.test")))
            channels = forward._upstreams[0]._datagrams._channels
            ports |= {channel.route for channel in channels}
            assert len(channels) <= 4
            await asyncio.sleep(0.005)
        assert len(ports) > 8


async def test_a_connection_that_was_closed_meanwhile_does_no_harm() -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other:
        other.hang_up_after = 1
        async with forwarding(f"forward . {other.address}") as forward:
            for _ in range(5):
                await wait(forward.handle(request_for("a.test", protocol="tcp")))
        assert len(other.queries) == 5


async def test_a_connection_that_closes_on_its_second_question_gives_way_to_a_new_one() -> None:
    async with Scripted(lambda query, _: [] if len(other.queries) == 2 else [reply_to(query)]) as other:
        other.hang_up_after = 2
        async with forwarding(f"forward . {other.address} {{\n max_connect_attempts 1\n}}") as forward:
            for _ in range(2):
                assert (await wait(forward.handle(request_for("a.test", protocol="tcp")))).answers == 1
        assert (len(other.queries), other.connections) == (3, 2)


async def test_an_upstream_that_closes_instead_of_answering() -> None:
    async with Scripted(lambda query, _: []) as other:
        other.hang_up_after = 1
        async with forwarding(f"forward . {other.address}") as forward:
            with pytest.raises(ServerFailure, match=r"^EOF$"):
                await wait(forward.handle(request_for("a.test", protocol="tcp")))


@pytest.mark.parametrize("sent", [b"\0", b"\0\x64a part of it"])
async def test_an_upstream_that_closes_within_its_answer(sent: bytes) -> None:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with forwarding(f"forward . 127.0.0.1:{port}") as forward:
            with pytest.raises(ServerFailure, match=r"^unexpected EOF$"):
                await wait(forward.handle(request_for("a.test", protocol="tcp")))


async def test_many_questions_share_some_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 4)
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n max_idle_conns 2\n}}") as forward,
    ):
        answers = [forward.handle(request_for(f"n{number}.test", protocol="tcp")) for number in range(100)]
        for number, answer in enumerate(answers):
            assert records(await wait(answer)) == [f"n{number}.test. 300 A 192.0.2.1"]
        assert other.connections == 4
        assert len(forward._upstreams[0]._streams._connections) == 2


async def test_a_connection_on_which_a_question_timed_out_leaves_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 1)
    async with (
        Scripted(lambda query, _: [] if query[13:17] == b"lost" else [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n max_connect_attempts 1\n max_fails 0\n}}") as forward,
    ):
        lost = [forward.handle(request_for(f"lost{number}.test", protocol="tcp")) for number in range(2)]
        await eventually(lambda: len(other.wires) == 2)
        used = forward._upstreams[0]._streams
        next(iter(used._connections[0].pending.values())).sent -= forward.read_timeout
        used.sweep(monotonic())
        with pytest.raises(ServerFailure, match="i/o timeout"):
            await wait(lost[0])
        assert (await wait(forward.handle(request_for("a.test", protocol="tcp")))).answers == 1
        with pytest.raises(ServerFailure, match="i/o timeout"):
            await wait(lost[1])
        await eventually(lambda: not used._leaving)
        assert len(used._connections) == 1


async def test_a_connection_that_is_never_idle_is_replaced_at_its_greatest_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CONNECTIONS", 1)
    async with (
        Scripted(lambda query, _: [] if query[13:17] == b"busy" else [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n max_age 1m\n}}") as forward,
    ):
        busy = forward.handle(request_for("busy.test", protocol="tcp"))
        await eventually(lambda: len(other.wires) == 1)
        used = forward._upstreams[0]._streams
        used._connections[0].opened -= forward.max_age
        used.sweep(monotonic())
        assert (await wait(forward.handle(request_for("a.test", protocol="tcp")))).answers == 1
        assert other.connections == 2
        reply = reply_to(other.wires[0])
        other._writers[0].write(len(reply).to_bytes(2, "big") + reply)
        assert (await wait(busy)).answers == 1
        assert not used._leaving


async def test_on_reload_upstreams_of_equal_terms_stay() -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other, forwarding(f"forward . {other.address}") as old:
        await wait(old.handle(request_for("a.test", protocol="tcp")))
        for line, kept in [
            (f"forward . 127.0.0.1 {other.address} {{\n policy sequential\n}}", [False, True]),
            (f"forward . {other.address} {{\n expire 1s\n}}", [False]),
        ]:
            new = configured(line)[0]
            new.take_over(old)
            async with new.running():
                assert [each in old._upstreams for each in new._upstreams] == kept
        await wait(old.handle(request_for("a.test", protocol="tcp")))
        assert other.connections == 1
