"""Upstreams that fail are left out until they are well."""

from pathlib import Path

import pytest

from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward import measures
from pycoredns.plugins.forward.tests.support import (
    Scripted,
    forwarding,
    good_reply,
    question_of,
    reply_to,
    serving,
    serving_https,
    wait,
    with_address,
    write_certificate,
)
from pycoredns.testing import Upstream, eventually, free_port, records, request_for


async def test_an_upstream_that_fails_is_left_out_until_it_is_well() -> None:
    port = free_port()
    async with Upstream(with_address("192.0.2.2")) as second:
        line = f"forward . 127.0.0.1:{port} {second.address} {{\n policy sequential\n health_check 10ms no_rec domain up.test\n}}"
        async with forwarding(line) as forward:
            first = forward._upstreams[0]
            assert records(await wait(forward.handle(request_for("a.test")))) == ["a.test. 300 A 192.0.2.2"]
            await eventually(lambda: first.fails > forward.max_fails)
            revived = Scripted(lambda query, _: [reply_to(query, b"", (0, 0, 0), 0x8185)])
            revived.port = port
            async with revived:
                await eventually(lambda: first.fails == 0)
                assert revived.wires[0][2:4] == b"\0\0"
                assert question_of(revived.wires[0]) == b"\2up\4test\0\0\2\0\1"
                assert (await wait(forward.handle(request_for("a.test")))).rcode == 5


@pytest.mark.parametrize(("failfast", "asked"), [(True, 0), (False, 1)])
async def test_when_all_are_down(failfast: bool, asked: int) -> None:
    option = "failfast_all_unhealthy_upstreams" if failfast else ""
    async with (
        Scripted(lambda query, _: [reply_to(query)]) as other,
        forwarding(f"forward . {other.address} {{\n {option}\n}}") as forward,
    ):
        forward._upstreams[0].fails = 3
        before = measures.all_unhealthy.cell().value
        answer = forward.handle(request_for("a.test"))
        if failfast:
            with pytest.raises(ServerFailure, match="no healthy proxies"):
                await wait(answer)
        else:
            assert (await wait(answer)).answers == 1
        assert len(other.queries) == asked
        assert measures.all_unhealthy.cell().value == before + 1


async def test_without_max_fails_no_health_is_checked() -> None:
    async with forwarding(f"forward . 127.0.0.1:{free_port()} {{\n max_fails 0\n}}") as forward:
        with pytest.raises(ServerFailure):
            await wait(forward.handle(request_for("a.test")))
        assert forward._upstreams[0]._checking is None


@pytest.mark.parametrize("scheme", ["tls", "https"])
async def test_health_is_checked_in_the_protocol_of_the_upstream(scheme: str, tmp_path: Path) -> None:
    paths = write_certificate(tmp_path)
    async with (
        serving_https(good_reply, paths) as (https, _),
        Scripted(lambda query, _: [reply_to(query)], serving(paths)) as tls,
        forwarding(f"forward . {scheme}://{https if scheme == 'https' else tls.address} {{\n tls {paths[0]}\n}}") as forward,
    ):
        checked = forward._upstreams[0]
        checked.fails = 5
        checked.check()
        await eventually(lambda: checked.fails == 0)
        assert tls.queries == (["tcp"] if scheme == "tls" else [])
