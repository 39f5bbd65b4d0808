"""A reload swaps everything or nothing, and no question is lost on the way."""

import asyncio
import socket
import threading
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from weakref import ref

import pytest

from pycoredns import bounds, traffic
from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.metrics import families
from pycoredns.plugins.hosts import Hosts
from pycoredns.plugins.whoami import Whoami
from pycoredns.reload import Reloader, failed, retire, version
from pycoredns.server import Server
from pycoredns.server import _place_of as place_of
from pycoredns.settings import ReloadSettings
from pycoredns.sources import Source
from pycoredns.testing import RunningServer, eventually, exchange_udp, free_port, query_wire, running
from pycoredns.transport.addresses import to_sockaddr
from pycoredns.transport.tcp import TCPListener

HOSTS = ".:{port} {{\n bind 127.0.0.1\n hosts {{\n 192.0.2.{octet} a.test\n }}\n{more}\n}}\n"


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


class Reloading:
    """A server from a file, with its reloader."""

    def __init__(self, folder):
        self.file = folder / "Corefile"
        self.port = free_port()
        self.write(1)

    def write(self, octet, more=""):
        new = self.file.with_suffix(".new")
        new.write_text(HOSTS.format(port=self.port, octet=octet, more=more))
        new.replace(self.file)

    async def __aenter__(self):
        source = Source(str(self.file))
        server = Server(assemble(source.read()))
        await server.start()
        self.reloader = Reloader(server, source)
        self.asking = RunningServer(server, {"port": self.port})
        return self

    async def __aexit__(self, *exception):
        await self.reloader.stopped()
        await self.reloader.server.stop()

    async def answer(self):
        return (await self.asking.answers("a.test"))[0]


@pytest.fixture
def reloading(tmp_path):
    return Reloading(tmp_path)


async def test_a_changed_corefile_is_served(reloading):
    async with reloading:
        assert await reloading.answer() == "A 192.0.2.1"
        reloading.write(2)
        assert await reloading.reloader.reload()
        assert await reloading.answer() == "A 192.0.2.2"


@pytest.mark.parametrize(
    "more",
    [
        "nonsense",
        "cache -5",
        "health 127.0.0.1:{taken}",
        "prometheus 127.0.0.1:{taken}",
        "}\n.:{taken} {\n bind 127.0.0.1\n whoami",
    ],
)
async def test_a_reload_that_fails_changes_nothing(reloading, more):
    async with reloading:
        taken = socket.create_server(("127.0.0.1", 0))
        before, server = failed.cell().value, reloading.reloader.server
        descriptors = open_descriptors()
        reloading.write(2, more.replace("{taken}", str(taken.getsockname()[1])))
        assert not await reloading.reloader.reload()
        assert reloading.reloader.server is server
        assert failed.cell().value == before + 1
        assert await reloading.answer() == "A 192.0.2.1"
        assert open_descriptors() == descriptors
        taken.close()


async def test_a_failed_reload_is_told_to_whoever_wanted_it(reloading, caplog):
    async with reloading:
        reloading.write(2, "nonsense")
        await reloading.reloader.reload()
        await reloading.reloader.reload(parse(reloading.file.read_text(), "Corefile"))
    told = [message.partition(" unknown")[0].removesuffix(":") for message in caplog.messages if "nonsense" in message]
    by_signal, by_plugin = f"{reloading.file}:6", "Corefile:6"
    assert told == [
        f"Restart failed: {by_signal}",
        f"SIGUSR1: {by_signal}",
        f"Restart failed: {by_plugin}",
        f"Corefile changed but reload failed: {by_plugin}",
    ]


async def test_a_corefile_that_is_gone_is_told_with_its_name_and_the_reason(reloading, caplog):
    async with reloading:
        reloading.file.unlink()
        assert not await reloading.reloader.reload()
        await reloading.reloader._look()
        await reloading.reloader._look()
    reason = f"open {reloading.file}: no such file or directory"
    told = [message for message in caplog.messages if reason in message]
    assert told == [f"Restart failed: {reason}", f"SIGUSR1: {reason}", f"Corefile parse failed: {reason}"]


async def test_the_metric_of_the_version_begins_with_a_reload(reloading):
    reloading.write(1, "reload 2s")
    async with reloading:
        assert not version.cells
        reloading.write(2, "reload 2s")
        await reloading.reloader.reload()
        assert [labels[0] for labels in version.cells] == ["sha512"]


async def test_an_empty_file_is_one_that_is_being_written(reloading):
    async with reloading:
        reloading.file.write_text("")
        assert not await reloading.reloader.reload()
        assert await reloading.answer() == "A 192.0.2.1"


async def test_no_question_is_lost_in_ten_reloads(reloading):
    async with reloading:
        answers, asking = [], True

        async def ask():
            while asking:
                reply = await exchange_udp(query_wire("a.test"), ("127.0.0.1", reloading.port))
                answers.append(reply[-1])

        clients = [asyncio.create_task(ask()) for _ in range(20)]
        for octet in range(2, 12):
            reloading.write(octet)
            assert await reloading.reloader.reload()
            await eventually(lambda octet=octet: answers and answers[-1] == octet)
        asking = False
        await asyncio.gather(*clients)  # a lost question would be a TimeoutError here
        assert set(answers) == set(range(1, 12)) or set(answers) == set(range(2, 12))


async def test_connections_stay_open(reloading):
    async with reloading:
        reader, writer = await asyncio.open_connection("127.0.0.1", reloading.port)
        wire = query_wire("a.test")
        for octet in (1, 2, 3):
            if octet > 1:
                reloading.write(octet)
                assert await reloading.reloader.reload()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await reader.readexactly(2), "big")
            assert (await reader.readexactly(size))[-1] == octet
        writer.close()
        await writer.wait_closed()


async def test_what_was_given_before_a_reload_is_counted(reloading):
    more = f"prometheus 127.0.0.1:{free_port()}"
    reloading.write(1, more)
    async with reloading:
        for _ in range(9):  # the first of them as an answer, the others from memory
            assert await reloading.answer() == "A 192.0.2.1"
        reloading.write(2, more)
        assert await reloading.reloader.reload()
        await reloading.reloader.stopped()
        address = f"dns://127.0.0.1:{reloading.port}"
        assert sum(cell.value for labels, cell in traffic.requests.cells.items() if labels[0] == address) == 9


async def test_descriptors_stay_level(reloading):
    async with reloading:
        await reloading.answer()
        await reloading.reloader.reload()
        await reloading.reloader.stopped()
        descriptors = open_descriptors()
        for octet in range(5):
            reloading.write(octet)
            assert await reloading.reloader.reload()
            await reloading.reloader.stopped()
        assert open_descriptors() == descriptors


async def test_a_plugin_that_cannot_be_stopped_keeps_nothing_open_after_a_reload_that_fails(reloading, monkeypatch, caplog):
    @asynccontextmanager
    async def running(self):
        yield
        raise RuntimeError("no way out")

    async def refuse(self):
        raise OSError(24, "no more files")

    async with reloading:
        descriptors = open_descriptors()
        monkeypatch.setattr(Hosts, "running", running)
        monkeypatch.setattr(TCPListener, "start", refuse)
        reloading.write(2)
        assert not await reloading.reloader.reload()
        monkeypatch.undo()
        assert open_descriptors() == descriptors
        assert "no way out" in caplog.text
        assert "no more files" in caplog.text


async def test_a_link_that_is_switched_is_seen(tmp_path, monkeypatch):
    """As Kubernetes publishes a ConfigMap: Corefile → ..data/Corefile, ..data → a folder that is replaced."""
    port = free_port()

    def publish(number, octet):
        folder = tmp_path / f"..version{number}"
        folder.mkdir()
        (folder / "Corefile").write_text(HOSTS.format(port=port, octet=octet, more=" reload 2s 0s"))
        link = tmp_path / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(tmp_path / "..data")

    publish(1, 1)
    (tmp_path / "Corefile").symlink_to(Path("..data") / "Corefile")
    source = Source(str(tmp_path / "Corefile"))
    server = Server(assemble(source.read()))
    server.assembly.settings.reload = ReloadSettings(interval=0.05, jitter=0)
    await server.start()
    reloader = Reloader(server, source)
    watching = asyncio.create_task(reloader.watch())
    asking = RunningServer(server, {"port": port})
    assert await asking.answers("a.test") == ["A 192.0.2.1"]
    publish(2, 2)
    await eventually(lambda: reloader.server is not server)
    assert await asking.answers("a.test") == ["A 192.0.2.2"]
    watching.cancel()
    await reloader.stopped()
    await reloader.server.stop()


async def test_a_look_that_fails_is_not_the_last_one(reloading, monkeypatch, caplog):
    read, failures = Source.read, [ValueError("nobody has thought of this")]

    def failing(source):
        if failures:
            raise failures.pop()
        return read(source)

    async with reloading:
        before = reloading.reloader.server
        before.assembly.settings.reload = ReloadSettings(interval=0.01, jitter=0)
        monkeypatch.setattr(Source, "read", failing)
        watching = asyncio.create_task(reloading.reloader.watch())
        await eventually(lambda: "nobody has thought of this" in caplog.text)
        reloading.write(2)
        await eventually(lambda: reloading.reloader.server is not before)
        watching.cancel()
        assert await reloading.answer() == "A 192.0.2.2"


async def test_a_watched_corefile_is_read_and_assembled_beside_the_loop(reloading, monkeypatch):
    """One of thousands of blocks takes a second, each time."""
    threads = []

    def beside(function):
        def call(*arguments):
            threads.append(threading.current_thread())
            return function(*arguments)

        return call

    async with reloading:
        monkeypatch.setattr(Source, "read", beside(Source.read))
        monkeypatch.setattr("pycoredns.reload.assemble", beside(assemble))
        reloading.write(2)
        await reloading.reloader._look()
        assert await reloading.answer() == "A 192.0.2.2"
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_questions_have_their_turn_between_the_plugins_of_many_blocks(monkeypatch):
    seen = []

    @asynccontextmanager
    async def begin_and_end(self):
        seen.append("plugin")
        yield
        seen.append("plugin")

    async def be_asked():
        while True:
            seen.append("question")
            await asyncio.sleep(0)

    monkeypatch.setattr(Whoami, "running", begin_and_end)
    async with running("".join(f"{number}.test:{{port}} {{\n whoami\n}}\n" for number in range(200))) as server:
        asking = asyncio.create_task(be_asked())
        await asyncio.sleep(0)
        new = Server(assemble(server.server.assembly.corefile))
        await new.start(server.server)
        await new.stop()
        asking.cancel()
        together = [len(list(group)) for kind, group in groupby(seen[seen.index("question") :]) if kind == "plugin"]
    assert sum(together) == 400
    assert max(together) <= 50


async def test_each_block_is_looked_at_a_few_times_however_many_there_are(monkeypatch):
    """Each plugin used to be compared with those of all blocks: with 5,000 of them for six seconds."""
    corefile = "".join(f"{number}.test:{{port}} {{\n bind 127.0.0.1\n cache\n whoami\n}}\n" for number in range(20))
    looked = []
    monkeypatch.setattr("pycoredns.server._place_of", lambda block: looked.append(block) or place_of(block))
    async with running(corefile) as before:
        old, new = before.server, Server(assemble(parse(corefile.replace("{port}", str(before.port)))))
        await new.start(old)
        plugins = [plugin for block in new.blocks for plugin in block.plugins]
        assert len(looked) == len(old.blocks) + len(plugins)
        assert [old.predecessor(plugin).block.zones for plugin in plugins] == [plugin.block.zones for plugin in plugins]
        await new.stop()


async def test_an_added_address_is_opened_and_a_removed_one_closed(reloading):
    async with reloading:
        other = free_port()
        reloading.write(1, f"}}\n.:{other} {{\n bind 127.0.0.1\n whoami")
        assert await reloading.reloader.reload()
        assert (await exchange_udp(query_wire("b.test"), ("127.0.0.1", other)))[3] & 15 == 0
        reloading.write(1)
        assert await reloading.reloader.reload()
        await reloading.reloader.stopped()
        with pytest.raises((ConnectionError, TimeoutError)):
            await exchange_udp(query_wire("b.test"), ("127.0.0.1", other), 0.5)


async def test_a_server_that_was_replaced_takes_no_memory_until_the_next_reload():
    servers = [Server(assemble(parse(HOSTS.format(port=free_port(), octet=octet, more="cache")))) for octet in (1, 2)]
    await servers[0].start()
    await servers[1].start(servers[0])
    old = ref(servers[0].blocks[0])
    await retire(servers.pop(0))
    assert old() is None
    await servers[0].stop()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("health :{http}", "health 127.0.0.1:{http}"),
        ("health 127.0.0.1:{http}", "health :{http}"),
        ("health localhost:{http}", "health 127.0.0.1:{http}"),
        ("ready :{http}\nprometheus localhost:{other}", "health localhost:{http}\nready :{other}"),
    ],
)
async def test_what_is_served_by_http_may_come_to_an_address_that_overlaps(reloading, before, after):
    ports = {"http": free_port(), "other": free_port()}
    reloading.write(1, before.format(**ports))
    async with reloading:
        for octet, more in ((2, after), (3, before)):
            reloading.write(octet, more.format(**ports))
            assert await reloading.reloader.reload()
            await reloading.reloader.stopped()
            _, writer = await asyncio.open_connection("127.0.0.1", ports["http"])
            writer.close()
            await writer.wait_closed()


async def test_two_addresses_of_one_corefile_that_overlap_are_told(reloading, caplog):
    port = free_port()
    reloading.write(1, f"health :{port}")
    async with reloading:
        reloading.write(2, f"health :{port}\nprometheus 127.0.0.1:{port}")
        assert not await reloading.reloader.reload()
        assert f"listen tcp 127.0.0.1:{port}: bind: address already in use" in caplog.text


async def test_one_address_beside_all_of_them():
    corefile = (
        "a.test:{port} {\n bind 127.0.0.1\n hosts {\n 192.0.2.1 a.test\n}\n}\nb.test:{port} {\n hosts {\n 192.0.2.2 b.test\n}\n}"
    )
    async with running(corefile) as server:
        assert await server.answers("a.test") == ["A 192.0.2.1"]
        assert await server.answers("b.test", host="127.0.0.2") == ["A 192.0.2.2"]


async def test_bind_may_come_and_go(tmp_path):
    port, file = free_port(), tmp_path / "Corefile"
    file.write_text(f".:{port} {{\n whoami\n}}\n")
    source = Source(str(file))
    server = Server(assemble(source.read()))
    await server.start()
    reloader = Reloader(server, source)
    for bind in ("bind 127.0.0.1", "bind 127.0.0.1 127.0.0.2", ""):
        file.write_text(f".:{port} {{\n {bind}\n whoami\n}}\n")
        assert await reloader.reload()
        await reloader.stopped()
        assert (await exchange_udp(query_wire("a.test"), ("127.0.0.1", port)))[3] & 15 == 0
    await reloader.server.stop()


async def test_a_connection_belongs_to_the_address_it_came_to(tmp_path):
    """To one of all addresses that gets a block of its own, while others have all of them still."""
    port, file = free_port(), tmp_path / "Corefile"
    block = "a.test:{port} {{\n {bind}\n hosts {{\n 192.0.2.1 a.test\n }}\n}}\nb.test:{port} {{\n whoami\n}}\n"
    file.write_text(block.format(port=port, bind=""))
    source = Source(str(file))
    server = Server(assemble(source.read()))
    await server.start()
    reloader, wire = Reloader(server, source), query_wire("a.test")
    connections = [await asyncio.open_connection(host, port) for host in ("127.0.0.1", "127.0.0.2")]
    for bind, rcodes in (("", [0, 0]), ("bind 127.0.0.1", [0, 5])):
        file.write_text(block.format(port=port, bind=bind))
        await reloader.reload()
        await reloader.stopped()
        for (reader, writer), rcode in zip(connections, rcodes, strict=True):
            writer.write(len(wire).to_bytes(2, "big") + wire)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            assert reply[3] & 15 == rcode
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    await reloader.server.stop()


async def test_blocks_of_the_same_zone_keep_their_own_caches(tmp_path):
    """Inside and outside have the same zone on other ports: what one has cached must not reach the other."""
    inside, outside, file = free_port(), free_port(), tmp_path / "Corefile"

    def write(octet):
        blocks = [
            f".:{port} {{\n bind 127.0.0.1\n cache\n hosts {{\n 192.0.2.{octet + number} a.test\n}}\n}}\n"
            for number, port in enumerate((outside, inside))
        ]
        file.write_text("".join(blocks))

    write(1)
    source = Source(str(file))
    server = Server(assemble(source.read()))
    await server.start()
    asking = [RunningServer(server, {"port": port}) for port in (outside, inside)]
    assert [await each.answers("a.test") for each in asking] == [["A 192.0.2.1"], ["A 192.0.2.2"]]
    reloader = Reloader(server, source)
    write(11)
    assert await reloader.reload()
    await reloader.stopped()
    assert [await each.answers("a.test") for each in asking] == [["A 192.0.2.1"], ["A 192.0.2.2"]]
    await reloader.server.stop()


async def test_an_answer_that_comes_after_the_end_goes_nowhere(reloading):
    async with reloading:
        listener = next(iter(reloading.reloader.server.listeners.udp.values()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.setblocking(False)
        assert other.fileno() > 0
        listener.send(to_sockaddr("127.0.0.1", client.getsockname()[1], socket.AF_INET), b"late" * 10)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            client.recv(100)


async def test_a_listener_that_cannot_begin_leaves_all_as_it_was(reloading, monkeypatch):
    async with reloading:
        reloading.write(2)

        async def refuse(self):
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(TCPListener, "start", refuse)
        assert not await reloading.reloader.reload()
        for _ in range(20):
            assert await reloading.answer() == "A 192.0.2.1"


async def test_what_a_reload_that_fails_has_read_is_not_served(reloading, tmp_path):
    """Its plugins start one by one until one of them cannot; the old ones are to know nothing of that."""
    hosts, zone = tmp_path / "hosts", tmp_path / "db"
    hosts.write_text("192.0.2.1 h.test\n")
    more = f"}}\nh.test:{reloading.port} {{\n bind 127.0.0.1\n hosts {hosts} {{\n reload 0\n }}"
    reloading.write(1, more)
    async with reloading:
        assert await reloading.asking.answers("h.test") == ["A 192.0.2.1"]
        hosts.write_text("192.0.2.22 h.test\n")
        zone.write_text("no zone\n")
        reloading.write(2, f"file {zone} z.test\n{more}")
        assert not await reloading.reloader.reload()
        assert await reloading.asking.answers("h.test") == ["A 192.0.2.1"]
        assert await reloading.asking.answers("H.test") == ["A 192.0.2.1"]


async def test_an_address_that_is_served_no_more_has_no_gauges(reloading):
    async with reloading:
        other = free_port()
        reloading.write(1, f"}}\n.:{other} {{\n bind 127.0.0.1\n whoami")
        for octet, shown in ((1, {reloading.port, other}), (2, {reloading.port})):
            if octet == 2:
                reloading.write(octet)
            old = reloading.reloader.server
            assert await reloading.reloader.reload()
            await reloading.reloader.stopped()
            assert old.services
            list(families())
            servers = {f"dns://127.0.0.1:{port}" for port in shown}
            for gauge in (bounds.waiting, bounds.remembered, bounds.connections):
                mine = {labels[0] for labels in gauge.cells if labels[0].endswith((str(reloading.port), str(other)))}
                assert mine == servers
