"""Several workers are one server: whatever happens to one of them."""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import contextmanager

import pytest

from pycoredns.testing import Upstream, eventually, exchange_tcp, exchange_udp, free_port, query_wire
from tests.server.load import Load
from tests.workers.crew_process import alive, kill, serving

NAMES = [f"n{number}.lab.test" for number in range(100)]
MANY = "hosts {{\n{}\n}}".format("\n".join(f"192.0.2.{{octet}} {name}" for name in NAMES))
COREFILE = ".:{port} {\n bind 127.0.0.1\n errors\n prometheus 127.0.0.1:{http}\n%s\n}\n"


def corefile(octet=1, more=""):
    return COREFILE % (more + "\n" + MANY.replace("{{", "{").replace("}}", "}").replace("{octet}", str(octet)))


async def test_a_worker_that_dies_is_replaced_and_takes_no_more_with_it_than_it_had_in_hand(tmp_path):
    async with serving(tmp_path, corefile()) as server:
        load = Load(server.port, NAMES, 2000)
        asking = asyncio.create_task(load.run(2))
        await asyncio.sleep(0.5)
        before, counted = server.workers, await server.figure("coredns_dns_requests_total")
        kill(before[0])
        assert "was ended by SIGKILL; another one begins at once" in await server.line("SIGKILL")
        await server.line("answers in its place")
        assert len(server.workers) == 2
        assert before[1] in server.workers
        lost = (await asyncio.gather(asking, return_exceptions=True))[0]
        assert lost is None or isinstance(lost, TimeoutError)
        assert load.asked - sum(load.rcodes.values()) <= 64
        assert set(load.rcodes) == {0}
        assert await server.figure("coredns_dns_requests_total") >= counted
        assert await server.figure("coredns_pycoredns_worker_deaths_total") == 1
        assert await server.figure("coredns_pycoredns_workers") == 2


async def test_one_that_dies_again_and_again_is_replaced_after_a_while(tmp_path):
    async with serving(tmp_path, corefile()) as server:
        for pause in ("at once", "in 0.1 s", "in 0.2 s"):
            seen = len(server.lines)
            kill(server.workers[-1])
            await server.line(f"begins {pause}", seen)
            await server.line("worker 1 .*answers in its place", seen)


SLOW_TO_SPEAK = """
import time
from pycoredns import cli, server

lines = server.Server.start_lines
server.Server.start_lines = lambda self: time.sleep(0.3) or lines(self)
raise SystemExit(cli.main())
"""


class Impatient(asyncio.DatagramProtocol):
    """Asks again and again, from before the server is there, until it is answered."""

    def __init__(self, port):
        self.answered = asyncio.Event()
        self._port = port

    async def run(self):
        """Until there is an answer."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        while not self.answered.is_set():
            for name in NAMES[:5]:
                transport.sendto(query_wire(name), ("127.0.0.1", self._port))
            await asyncio.sleep(0.001)
        transport.close()

    def datagram_received(self, data, addr):
        self.answered.set()


async def test_what_is_served_is_said_before_what_is_answered(tmp_path):
    port = free_port()
    asking = asyncio.create_task(Impatient(port).run())
    async with serving(tmp_path, corefile(more="log").replace("{port}", str(port)), program=("-c", SLOW_TO_SPEAK)) as server:
        await server.line(r"lab\.test\. udp")
        await asking
        assert [server.lines[0], server.lines[2][:6]] == [f".:{port} on 127.0.0.1", "linux/"]


async def test_what_all_have_counted_is_what_was_asked(tmp_path):
    async with serving(tmp_path, corefile()) as server:
        for name in NAMES:
            assert await server.ask(name) == (0, 1)
            assert (await exchange_tcp(query_wire(name), ("127.0.0.1", server.port)))[3] & 15 == 0
        assert await server.figure("coredns_dns_requests_total") == 2 * len(NAMES)
        assert await server.figure("coredns_dns_request_duration_seconds_count") == 2 * len(NAMES)
        assert await server.figure("coredns_hosts_entries") < 4 * len(NAMES), "each worker has the same: addresses and names"
        assert await server.figure("process_resident_memory_bytes") > 30e6


async def test_what_one_has_learned_is_asked_of_it_again(tmp_path):
    async with (
        Upstream(lambda query: query.reply()) as upstream,
        serving(tmp_path, COREFILE % f"cache\nforward . {upstream.address}") as server,
    ):
        for _ in range(3):
            for name in NAMES[:30]:
                assert (await server.ask(name))[0] == 0
        assert len(upstream.questions) == 30
        assert await server.figure("coredns_cache_hits_total") == 60


async def test_reloads_under_load_lose_nothing(tmp_path):
    async with serving(tmp_path, corefile(1, "# {port2}")) as server:
        load = Load(server.port, NAMES, 2000)
        asking = asyncio.create_task(load.run(2))
        for octet in (2, 3, 4):
            more = "}\nbeside.test:{port2} {\n bind 127.0.0.1\n hosts {\n 192.0.2.9 beside.test\n }\n" if octet == 3 else ""
            assert "complete" in await server.reload(corefile(octet) + more.removeprefix("}\n") + "}\n" * bool(more))
            for name in NAMES[:20]:
                assert await server.ask(name) == (0, octet)
            if more:
                reply = await exchange_udp(query_wire("beside.test"), ("127.0.0.1", server.ports["port2"]))
                assert reply[-1] == 9
        await asking
        assert load.rcodes == {0: load.asked}
        assert load.slowest < 5.0, "nobody had to ask again"
        await eventually(lambda: counted(server, load.asked + 3 * 20))


async def counted(server, number):
    return await server.figure("coredns_dns_requests_total") == number


async def test_reloads_lose_nothing_of_what_is_forwarded(tmp_path):
    async with (
        Upstream(lambda query: query.reply()) as upstream,
        serving(tmp_path, COREFILE % f"cache 1\nforward . {upstream.address}") as server,
    ):
        load = Load(server.port, [f"n{number}.test" for number in range(3000)], 1000)
        asking = asyncio.create_task(load.run(2))
        for number in range(4):
            assert "complete" in await server.reload(COREFILE % f"cache {number + 2}\nforward . {upstream.address}")
        await asking
        assert load.rcodes == {0: load.asked}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("cache -5", "Restart failed: .*cache TTL|Restart failed"),
        ("health 127.0.0.1:{taken}", "address already in use"),
        ("}\n.:{taken} {\n bind 127.0.0.1\n whoami", "address already in use"),
        ("tls nothing", "Restart failed"),
    ],
)
async def test_a_reload_that_fails_changes_nothing_in_any_worker(tmp_path, more, says):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with serving(tmp_path, corefile(1)) as server:
            line = await server.reload(corefile(2, more.replace("{taken}", str(taken.getsockname()[1]))))
            assert re.search(says, line), line
            assert [await server.ask(name) for name in NAMES[:20]] == [(0, 1)] * 20
            assert "complete" in await server.reload(corefile(3))
            assert [await server.ask(name) for name in NAMES[:20]] == [(0, 3)] * 20
            assert await server.figure("coredns_reload_failed_total") == 1


async def test_a_worker_replaced_while_the_file_is_broken_serves_what_the_others_serve(tmp_path):
    async with serving(tmp_path, corefile(1)) as server:
        assert "complete" in await server.reload(corefile(2))
        server.write("broken {")
        for worker in server.workers:
            seen = len(server.lines)
            kill(worker)
            await server.line("answers in its place", seen)
        assert [await server.ask(name) for name in NAMES[:20]] == [(0, 2)] * 20


async def test_the_file_is_watched_once_for_all(tmp_path):
    async with serving(tmp_path, corefile(1, "reload 2s 0s")) as server:
        server.write(corefile(2, "reload 2s 0s"))
        await server.line("Reloading complete")
        assert [await server.ask(name) for name in NAMES[:20]] == [(0, 2)] * 20
        assert sum("Reloading complete" in line for line in server.lines) == 1


@contextmanager
def patient_upstream():
    """A server that answers when the test does: its socket, and how it is said in a Corefile."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock, f"127.0.0.1:{sock.getsockname()[1]}"


async def answer(sock, query, client):
    """Sends an empty answer."""
    await asyncio.get_running_loop().sock_sendto(sock, query[:2] + b"\x81\x80" + query[4:], client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_pending_answers_leave_before_the_end(tmp_path, number):
    loop = asyncio.get_running_loop()
    with patient_upstream() as (silent, address):
        text = COREFILE % f"forward . {address}"
        async with serving(tmp_path, text) as server:
            asking = [asyncio.create_task(server.ask(f"n{each}.slow.test")) for each in range(4)]
            held = []
            while len(held) < 4:
                query, client = await loop.sock_recvfrom(silent, 512)
                held += [(query, client)] if b"slow" in query else []
            server.end(number)
            await server.line("Shutting down")
            for query, client in held:
                await answer(silent, query, client)
            assert [rcode for rcode, _ in await asyncio.gather(*asking)] == [0] * 4


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_address_is_taken_again_once_the_last_answers_have_left_from_there(tmp_path, workers):
    loop = asyncio.get_running_loop()
    with patient_upstream() as (silent, address):
        text = f"# {{port}} {{port2}}\n.:PORT {{\n bind 127.0.0.1\n forward . {address}\n}}\n"
        here, elsewhere = (text.replace("PORT", name) for name in ("{port}", "{port2}"))
        async with serving(tmp_path, here, workers) as server:
            asking = asyncio.create_task(server.ask("slow.test"))
            query, client = await loop.sock_recvfrom(silent, 512)
            assert "complete" in await server.reload(elsewhere)
            seen = len(server.lines)
            reloading = asyncio.create_task(server.reload(here))
            await server.line("SIGUSR1: Reloading", seen)
            await answer(silent, query, client)
            assert "complete" in await reloading
            assert (await asking)[0] == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_all_addresses_may_follow_one_while_answers_are_still_to_leave_from_there(tmp_path, workers):
    """The kernel would give questions to the socket that is bound to the one, which nobody reads any more."""
    loop = asyncio.get_running_loop()
    with patient_upstream() as (silent, address):
        text = f".:{{port}} {{\n BIND\n forward slow.test {address}\n whoami\n}}\n"
        async with serving(tmp_path, text.replace("BIND", "bind 127.0.0.1"), workers) as server:
            slow = asyncio.create_task(server.ask("a.slow.test"))
            query, client = await loop.sock_recvfrom(silent, 512)
            assert "complete" in await server.reload(text.replace("BIND", ""))
            for name in NAMES[:10]:
                assert (await server.ask(name, 1))[0] == 0
                assert (await exchange_tcp(query_wire(name), ("127.0.0.1", server.port), 1))[3] & 15 == 0
            assert not slow.done()
            await answer(silent, query, client)
            assert (await slow)[0] == 0


async def test_health_and_ready_speak_for_all(tmp_path):
    text = COREFILE % "health 127.0.0.1:{http2} {\n lameduck 1s\n }\n ready 127.0.0.1:{http2}\n whoami"
    async with serving(tmp_path, text) as server:
        assert await server.get("http2", "/health") == (200, "OK")
        assert await server.get("http2", "/ready") == (200, "OK")
        os.kill(server.workers[1], signal.SIGSTOP)
        assert await server.get("http2", "/ready") == (503, "worker 1")
        status, body = await server.get("http2", "/health")
        assert (status, "worker 1 (process" in body) == (503, True)
        os.kill(server.workers[1], signal.SIGCONT)
        server.end(signal.SIGTERM)
        await server.line("lameduck mode for 1s")
        assert (await server.ask("a.test"))[0] == 0
        assert await server.get("http2", "/health") == (200, "OK")
        assert (await server.get("http2", "/ready"))[0] == 404
    assert sum("lameduck" in line for line in server.lines) == 1


async def test_a_lost_supervisor_leaves_nobody_behind(tmp_path):
    async with serving(tmp_path, corefile(), ends_with=-signal.SIGKILL) as server:
        workers = server.workers
        server.end(signal.SIGKILL)
        await eventually(lambda: not any(map(alive, workers)))


async def test_it_starts_and_ends_as_one(tmp_path):
    async with serving(tmp_path, corefile(), workers=3) as server:
        assert len(server.workers) == 3
        assert (tmp_path / "pid").read_text() == f"{server.process.pid}\n"
        assert sum(line.startswith(".:") for line in server.lines) == 1
        workers = server.workers
    assert not (tmp_path / "pid").exists()
    assert not any(map(alive, workers))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (".:{port} {\n bind 127.0.0.1\n cahce\n}\n", "Corefile:3: unknown directive"),
        (".:{taken} {\n bind 127.0.0.1\n whoami\n}\n", "address already in use"),
        (".:{port} {\n bind 127.0.0.1\n whoami\n health 127.0.0.1:{taken}\n}\n", "address already in use"),
        (".:{port} {\n bind 127.0.0.1\n forward . 127.0.0.1:1 {\n tls /none /none\n }\n}\n", "none"),
    ],
)
async def test_a_start_that_fails_is_told_once(tmp_path, text, says):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        values = {"{port}": free_port(), "{taken}": taken.getsockname()[1]}
        for name, value in values.items():
            text = text.replace(name, str(value))
        (tmp_path / "Corefile").write_text(text)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pycoredns", "-workers", "2", "-conf", str(tmp_path / "Corefile")),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert errors.decode().count(says) == 1, errors


async def test_a_second_server_does_not_share_the_port(tmp_path):
    async with serving(tmp_path, corefile()) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pycoredns", "-workers", "2", "-conf", str(tmp_path / "Corefile")),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert b"address already in use" in errors
        assert await server.ask(NAMES[0]) == (0, 1)


async def test_lines_of_all_workers_stay_whole(tmp_path):
    async with serving(tmp_path, corefile(1, "log")) as server:
        load = Load(server.port, NAMES, 3000)
        await load.run(1)
        pattern = re.compile(
            r'\[INFO\] 127\.0\.0\.1:\d+ - \d+ "A IN n\d+\.lab\.test\. udp \d+ false \d+" NOERROR \S+ \d+ [\d.]+m?s$'
        )
        await eventually(lambda: sum("A IN" in line for line in server.lines) == load.asked)
        assert all(pattern.match(line) for line in server.lines if "A IN" in line or '"' in line)


async def test_a_reload_while_one_is_missing_leaves_its_questions_to_another(tmp_path):
    async with serving(tmp_path, corefile(1)) as server:
        for pause in ("at once", "in 0.1 s", "in 0.2 s", "in 0.4 s"):
            seen = len(server.lines)
            kill(server.workers[-1])
            await server.line(f"begins {pause}", seen)
            await server.line("worker 1 .*answers in its place", seen)
        seen = len(server.lines)
        kill(server.workers[-1])
        await server.line("begins in 0.8 s")
        assert "complete" in await server.reload(corefile(2))
        answers = await asyncio.gather(*(server.ask(name) for name in NAMES[:20]))
        assert len(server.workers) == 1
        assert answers == [(0, 2)] * 20
        await server.line("worker 1 .*answers in its place", seen)


ZONE = "$TTL 300\n@ IN SOA ns host {serial} 3600 600 86400 60\n@ IN NS ns\nns A 192.0.2.1\n"
PRIMARY = "lab.test:{port} {\n bind 127.0.0.1\n file %s {\n reload 1s\n }\n transfer {\n to 127.0.0.1:%d\n }\n}\n"


class Told(asyncio.DatagramProtocol):
    """A secondary that is told of changes, and says so (RFC 1996 §4.7)."""

    def __init__(self):
        self.times = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.times += 1
        self.transport.sendto(data[:2] + b"\xa4\0" + data[4:], addr)


async def test_a_changed_zone_is_told_once_when_all_workers_have_it(tmp_path):
    zone = tmp_path / "zone"
    zone.write_text(ZONE.format(serial=1))
    transport, told = await asyncio.get_running_loop().create_datagram_endpoint(Told, local_addr=("127.0.0.1", 0))
    async with serving(tmp_path, PRIMARY % (zone, transport.get_extra_info("sockname")[1])) as server:
        zone.with_suffix(".new").write_text(ZONE.format(serial=2))
        zone.with_suffix(".new").replace(zone)
        await server.line("Successfully reloaded zone")
        before = told.times
        await eventually(lambda: told.times > before)
        assert sum("Successfully reloaded zone" in line for line in server.lines) == 2
        assert told.times == before + 1 == 2
    transport.close()


async def test_questions_over_tcp_and_http_may_exchange_their_ports(tmp_path):
    block = ".:{%s} {\n bind 127.0.0.1\n whoami\n health 127.0.0.1:{%s}\n}\n"
    async with serving(tmp_path, block % ("port", "http")) as server:
        for questions, requests in (("http", "port"), ("port", "http")):
            assert "Reloading complete" in await server.reload(block % (questions, requests))
            for _ in range(10):
                reply = await exchange_tcp(query_wire("a.test"), ("127.0.0.1", server.ports[questions]))
                assert reply[3] & 15 == 0
                assert await server.get(requests, "/health") == (200, "OK")
