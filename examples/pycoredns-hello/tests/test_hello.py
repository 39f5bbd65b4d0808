"""The greeting, asked of the plugin alone and of a whole server."""

import asyncio

from pycoredns_hello import Hello

from pycoredns.testing import ask, records, running


def test_greets():
    response = asyncio.run(ask(Hello("good day"), "anything.example", "TXT"))
    assert records(response) == ['anything.example. 60 TXT "good day"']


def test_in_a_server():
    async def answer() -> list[str]:
        async with running(".:{port} { \n bind 127.0.0.1 \n hello hi \n }") as server:
            return await server.answers("example.org", "TXT")

    assert asyncio.run(answer()) == ['TXT "hi"']
