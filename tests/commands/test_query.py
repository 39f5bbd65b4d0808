"""`pycoredns query`, beside a server."""

import asyncio
from collections.abc import Callable

import pytest
from dnslib import QTYPE, RR, TXT, DNSRecord

from pycoredns.cli import main
from pycoredns.testing import Upstream, free_port, running


async def queried(*words: str) -> int:
    """The exit status of the command, while a server of this loop answers."""
    return await asyncio.to_thread(main, ["query", *words])


@pytest.mark.parametrize(
    "words",
    [
        "www.example.org @127.0.0.1 -p {port}",
        "@127.0.0.1 -p {port} www.example.org A",
        "-p {port} --tcp www.example.org a",
        "www.example.org --port={port} A",
    ],
)
async def test_words_stand_in_any_order(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(".:{port} {\nbind 127.0.0.1\nwhoami\n}") as server:
        assert await queried(*words.replace("{port}", str(server.port)).split()) == 0
    shown = capsys.readouterr().out
    assert "status: NOERROR" in shown
    assert f"_{'tcp' if '--tcp' in words else 'udp'}.www.example.org." in shown


def truncated_over_udp() -> Callable[[DNSRecord], DNSRecord]:
    """An upstream's behaviour: the first answer is cut, the next one whole."""
    asked = []

    def answer(query: DNSRecord) -> DNSRecord:
        asked.append(query)
        reply = query.reply()
        if len(asked) == 1:
            reply.header.tc = 1
        else:
            reply.add_answer(RR(query.q.qname, QTYPE.TXT, ttl=1, rdata=TXT("whole")))
        return reply

    return answer


async def test_a_truncated_answer_is_asked_for_again_over_tcp(capsys: pytest.CaptureFixture[str]) -> None:
    async with Upstream(truncated_over_udp()) as upstream:
        assert await queried("example.org", "TXT", "-p", str(upstream.port)) == 0
    assert '"whole"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["example.org", "HOST"], 'unknown type "HOST"'),
        (["example.org", "TYPE65536"], 'unknown type "TYPE65536"'),
        (["a..b"], '"a..b" is no domain name'),
        ([f"{'a' * 64}.org"], "is no domain name"),
        (["a", "b", "c"], "usage:"),
        (["@127.0.0.1"], "usage:"),
        (["a", "@127.0.0.1", "@127.0.0.2"], "usage:"),
    ],
)
def test_what_cannot_be_asked_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", *words]) == 2
    assert said in capsys.readouterr().err


def test_no_answer_is_an_error_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert main(["query", "example.org", "-p", str(port)]) == 9
    assert capsys.readouterr().err == f"no answer from 127.0.0.1#{port}: Connection refused\n"
    assert main(["query", "example.org", "@no..server"]) == 9
    assert "no answer from no..server#53" in capsys.readouterr().err
