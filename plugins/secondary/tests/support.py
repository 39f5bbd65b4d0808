"""A primary that does as it is told, and a secondary that fetches its zone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.server import Server
from pycoredns.testing import RunningServer, eventually, exchange_udp, free_port, running

Records = list[str]


def soa(serial: int, refresh_: int = 3600, retry: int = 600, expire: int = 86400) -> str:
    return f"a.test. 300 SOA ns.a.test. h.a.test. {serial} {refresh_} {retry} {expire} 60"


def zone(serial: int, text: str, **timers: int) -> Records:
    return [soa(serial, **timers), "a.test. 300 NS ns.a.test.", f"v.a.test. 300 TXT {text}", "ns.a.test. 300 A 192.0.2.1"]


class Primary:
    """A scripted primary: ``answer`` gives the messages to a question, by default from ``zone`` and its history of steps."""

    def __init__(self, zone: Records, steps: Records | None = None) -> None:
        self.zone = zone
        self.steps = steps
        self.asked: list[str] = []
        self.answer: Callable[[dns.message.Message], Iterable[Records | bytes]] = self.usual
        self.key: dict | None = None
        self.rcode = dns.rcode.NOERROR
        self.hangs = False
        self.port = free_port()

    def usual(self, query: dns.message.Message) -> Iterable[Records | bytes]:
        qtype = query.question[0].rdtype
        if qtype == dns.rdatatype.SOA:
            return [self.zone[:1]]
        if qtype == dns.rdatatype.IXFR and self.steps is not None:
            return [self.steps]
        if qtype == dns.rdatatype.IXFR:
            return [[]]  # as a server does that does not know it
        return [self.zone[:2], [*self.zone[2:], self.zone[0]]]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Primary]:
        tasks: set[asyncio.Task[None] | None] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())
            try:
                with suppress(asyncio.IncompleteReadError, ConnectionError):
                    await self._serve(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for _ in range(5):  # who was accepted just now is served, and so closed
                await asyncio.sleep(0)
            for task in tasks:
                if task:
                    task.cancel()
            await asyncio.gather(*[task for task in tasks if task], return_exceptions=True)
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        query = dns.message.from_wire(wire, keyring=self.key or False)
        self.asked.append(dns.rdatatype.to_text(query.question[0].rdtype))
        context = None
        for each in self.answer(query):
            if isinstance(each, bytes):
                octets = each
            else:
                octets, context = self._message(query, each, context)
            writer.write(len(octets).to_bytes(2, "big") + octets)
        await writer.drain()
        if self.hangs:
            self.hangs = False
            await reader.read()

    def _message(self, query: dns.message.Message, records: Records, context: object) -> tuple[bytes, object]:
        reply = dns.message.make_response(query)
        reply.set_rcode(self.rcode)
        for each in records:
            owner, ttl, rtype, *data = each.split()
            reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rtype, " ".join(data)))
        octets = reply.to_wire(multi=True, tsig_ctx=context, max_size=65535)
        return octets, reply.tsig_ctx


@asynccontextmanager
async def secondary(primary: Primary, options: str = "", before: str = "", **values: object) -> AsyncIterator[RunningServer]:
    corefile = f"""a.test:{{port}} {{
        bind 127.0.0.1
        {before}
        secondary {{
            transfer from 127.0.0.1:{primary.port}
            {options}
        }}
    }}"""
    async with running(corefile, **values) as server:
        yield server


async def says_after_reload(primary: Primary, corefile: str, text: str) -> bool:
    """Whether what was fetched is still served when the server has been reloaded and the primary is gone."""
    port = free_port()
    first, second = (Server(assemble(parse(corefile.replace("{port}", str(port)), "Corefile"))) for _ in range(2))
    async with primary.running():
        await first.start()
        await eventually(lambda: says(RunningServer(first, {"port": port}), text))
    await second.start(first)
    await first.stop(final=False)
    try:
        return await says(RunningServer(second, {"port": port}), text)
    finally:
        await second.stop()


async def says(server: RunningServer, text: str, name: str = "v.a.test") -> bool:
    return await server.answers(name, "TXT") == [f'TXT "{text}"']


async def notify(server: RunningServer, zone: str = "a.test") -> bytes:
    message = dns.message.make_query(zone, "SOA")
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags |= dns.flags.AA
    return await exchange_udp(message.to_wire(), ("127.0.0.1", server.port), 1)


async def expired(server: RunningServer) -> bool:
    return await server.rcode("v.a.test", "TXT") == "SERVFAIL"
