"""No more questions wait, and no more sockets stay, than there may be."""

import asyncio

import pytest

from pycoredns import bounds
from pycoredns.errors import Dropped, Refused, ServerFailure
from pycoredns.plugins.forward import measures
from pycoredns.plugins.forward.tests.support import (
    Scripted,
    descriptors,
    ended,
    forwarding,
    reply_to,
    wait,
)
from pycoredns.testing import eventually, free_port, request_for


async def test_questions_above_max_concurrent_are_refused() -> None:
    async with (
        Scripted(lambda query, _: []) as other,
        forwarding(f"forward . {other.address} {{\n max_concurrent 2\n}}") as forward,
    ):
        before = measures.rejected.cell().value
        answers = [forward.handle(request_for("a.test")) for _ in range(2)]
        with pytest.raises(Refused, match=r"^concurrent queries exceeded maximum 2$"):
            forward.handle(request_for("a.test"))
        assert measures.rejected.cell().value == before + 1
        await eventually(lambda: len(other.wires) == 2)
        other.script = lambda query, _: [reply_to(query)]
        channel = forward._upstreams[0]._datagrams._channels[0]
        for query in other.wires[:2]:
            other._datagrams.sendto(reply_to(query), channel._sock.getsockname())
        for answer in answers:
            await wait(answer)
        assert (await wait(forward.handle(request_for("a.test")))).answers == 1


async def test_questions_that_wait_are_bounded_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds.overload, "most_waiting", 5)
    async with Scripted(lambda query, _: []) as silent, forwarding(f"forward . {silent.address}") as forward:
        for _ in range(5):
            forward.handle(request_for("a.test"))
        with pytest.raises(ServerFailure, match=r"^$"):
            forward.handle(request_for("a.test"))
        monkeypatch.setattr(bounds.overload, "silent", True)
        with pytest.raises(Dropped):
            forward.handle(request_for("a.test"))


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_all_sockets_are_closed_at_the_end(protocol: str) -> None:
    async with Scripted(lambda query, _: [reply_to(query)]) as other:
        before = descriptors()
        async with forwarding(f"forward . {other.address} 127.0.0.1:{free_port()}") as forward:
            await asyncio.gather(
                *(ended(forward.handle(request_for("a.test", protocol=protocol))) for _ in range(50)), return_exceptions=True
            )
            assert descriptors() > before
        other.hang_up()
        await eventually(lambda: descriptors() <= before)


async def test_who_waits_at_the_end_is_told() -> None:
    async with Scripted(lambda query, _: []) as silent:
        async with forwarding(f"forward . {silent.address} {{\n max_fails 0\n}}") as forward:
            answers = [forward.handle(request_for("a.test", protocol=protocol)) for protocol in ("udp", "tcp")]
            await eventually(lambda: len(silent.queries) == 2)
            forward.patience = 0
        for answer in answers:
            with pytest.raises(ServerFailure, match="the server stops"):
                await wait(answer)
