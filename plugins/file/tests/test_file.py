"""The plugin: its lines in a Corefile, its files as they change, and what it says of them."""

import asyncio
import errno
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import dns.message
import dns.opcode
import pytest

from pycoredns.assemble import assemble
from pycoredns.check import check
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors, StartError
from pycoredns.plugins.file import File
from pycoredns.reload import Reloader
from pycoredns.server import Server
from pycoredns.sources import Source
from pycoredns.testing import RunningServer, eventually, exchange_udp, running
from pycoredns.wire import names
from pycoredns.zone import files
from pycoredns.zone.files import ZoneFile
from pycoredns.zone.holder import FollowsZones
from pycoredns.zone.zone import Zone


def zone(serial: int, *lines: str) -> str:
    return "\n".join(["$TTL 300", f"@ SOA ns host {serial} 3600 600 86400 60", "@ NS ns", "ns A 192.0.2.1", *lines, ""])


def write(path: Path, text: str | None) -> None:
    """Puts a file in the place of another, or takes it away."""
    if text is None:
        path.unlink()
        return
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "db"
    write(path, zone(1, 'v TXT "one"'))
    return path


def plugin_of(server: RunningServer) -> File:
    (plugin,) = server.server.blocks[0].find(File)
    assert isinstance(plugin, File)
    return plugin


def looked_at(server: RunningServer) -> Callable[[], bool]:
    """Has the server looked at its file since it was another one?"""
    (file,) = plugin_of(server)._files.values()
    before = file._seen
    return lambda: file._seen != before and not file._reading


async def text_at(server: RunningServer, name: str = "v.example.org") -> list[str]:
    return await server.answers(name, "TXT")


async def test_a_zone_is_served_from_its_file(path: Path) -> None:
    async with running("example.org:{port} {\n file {path}\n}", path=path) as server:
        assert await text_at(server) == ['TXT "one"']
        assert await server.rcode("nothere.example.org") == "NXDOMAIN"
        assert await server.rcode("example.com") == "REFUSED"


async def test_names_outside_are_refused_only_where_nobody_stands_behind(path: Path) -> None:
    async with running(".:{port} {\n file {path} example.org\n}", path=path) as server:
        assert await server.rcode("example.com") == "REFUSED"
    async with running(".:{port} {\n file {path} example.org\n whoami\n}", path=path) as server:
        assert await server.rcode("example.com") == "NOERROR"


async def test_a_file_may_serve_several_zones_and_the_longest_answers(path: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").write_text(zone(1, 'v TXT "sub"'))
    corefile = ".:{port} {\n root {folder}\n file sub sub.example.org\n file db example.org example.net\n}"
    async with running(corefile, folder=tmp_path) as server:
        assert await text_at(server) == ['TXT "one"']
        assert await text_at(server, "v.example.net") == ['TXT "one"']
        assert await text_at(server, "v.sub.example.org") == ['TXT "sub"']
        held = [plugin_of(server).zone(names.from_text(name)) for name in ("sub.example.org", "example.org", "example.net")]
        assert all(held)


async def test_the_parent_answers_for_the_ds_records_of_its_child(path: Path, tmp_path: Path) -> None:
    write(path, zone(1, "sub NS ns", "sub DS 1 13 1 " + "ab" * 20))
    write(tmp_path / "sub", zone(1))
    async with running(
        ".:{port} {\n root {folder}\n file db example.org\n file sub sub.example.org\n}", folder=tmp_path
    ) as server:
        assert len(await server.answers("sub.example.org", "DS")) == 1
        assert await server.answers("sub.example.org", "NS") == ["NS ns.sub.example.org."]
    async with running(".:{port} {\n root {folder}\n file sub sub.example.org\n}", folder=tmp_path) as server:
        assert await server.answers("sub.example.org", "DS") == []


@pytest.mark.parametrize(("zones", "passed"), [("", True), ("example.org", True), ("other.example.org", False)])
async def test_missing_names_fall_through(path: Path, zones: str, passed: bool) -> None:
    corefile = f"example.org:{{port}} {{\n file {{path}} {{\n  fallthrough {zones}\n }}\n whoami\n}}"
    async with running(corefile, path=path) as server:
        assert await server.rcode("nothere.example.org") == ("NOERROR" if passed else "NXDOMAIN")
        assert await text_at(server) == ['TXT "one"']


# --- files that change


async def test_a_new_serial_is_read_and_told(path: Path) -> None:
    async with running("example.org:{port} {\n file {path} {\n  reload 10ms\n }\n}", path=path) as server:
        told: list[int] = []

        class Follower(FollowsZones):
            def zone_changed(self, zone: Zone) -> None:
                told.append(zone.serial)

        server.server.blocks[0].plugins.append(Follower())
        write(path, zone(3, 'v TXT "three"', "new A 192.0.2.9"))
        await eventually(lambda: told == [3])
        assert await text_at(server) == ['TXT "three"']
        (step,) = plugin_of(server).changes(names.from_text("example.org"), 1) or ()
        assert (step.since, len(step.removed), len(step.added)) == (1, 1, 2)
        write(path, zone(2, 'v TXT "two"'))
        await eventually(lambda: told == [3, 2])
        assert plugin_of(server).changes(names.from_text("example.org"), 7) is None


async def test_the_same_serial_is_not_read_unless_time_matters(path: Path) -> None:
    corefile = ".:{port} {\n file {path} a.test {\n  reload 10ms\n }\n file {path} b.test {\n  reload_by_mtime\n }\n}"
    async with running(corefile, path=path) as server:
        write(path, zone(1, 'v TXT "other"'))

        async def is_new() -> bool:
            return await text_at(server, "v.b.test") == ['TXT "other"']

        await eventually(is_new)
        assert await text_at(server, "v.a.test") == ['TXT "one"']
        assert plugin_of(server).changes(names.from_text("b.test"), 0) is None


async def test_a_notify_gets_a_line_and_no_answer(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only a secondary has anybody to hear it from."""
    caplog.set_level("INFO")
    query = dns.message.make_query("example.org", "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    async with running("example.org:{port} {\n file {path}\n}", path=path) as server:
        sending = asyncio.create_task(exchange_udp(query.to_wire(), ("127.0.0.1", server.port), 5))
        await eventually(lambda: "Dropping notify from 127.0.0.1 for example.org." in caplog.messages)
        assert await text_at(server) == ['TXT "one"']
        assert not sending.done()
        sending.cancel()


async def test_a_broken_file_leaves_the_zone_and_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running("example.org:{port} {\n file {path} {\n  reload 10ms\n }\n}", path=path) as server:
        write(path, zone(2, "bad A 192.0.2.300"))
        await eventually(lambda: "Parsing zone" in caplog.text)
        assert f"{path}:5: " in caplog.text
        await asyncio.sleep(0.1)  # some looks more
        assert caplog.text.count("Parsing zone") == 1
        assert await text_at(server) == ['TXT "one"']
        write(path, None)
        await eventually(lambda: "Failed to open zone" in caplog.text)
        assert await text_at(server) == ['TXT "one"']
        write(path, zone(4, 'v TXT "four"'))
        await eventually(lambda: "with 4 SOA serial" in caplog.text)
        assert await text_at(server) == ['TXT "four"']


@pytest.mark.parametrize("error", [errno.EACCES, errno.EMFILE, errno.ESTALE], ids=errno.errorcode.get)
async def test_a_change_that_could_not_be_read_at_first_is_read_later(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    async with running("example.org:{port} {\n file {path} {\n  reload 10ms\n }\n}", path=path) as server:
        assert await text_at(server) == ['TXT "one"']
        with monkeypatch.context() as patch:
            patch.setattr(files, "read_serial", Mock(side_effect=OSError(error, "it is said why")))
            write(path, zone(2, 'v TXT "two"'))
            await eventually(lambda: "it is said why" in caplog.text)
            assert await text_at(server) == ['TXT "one"']

        async def is_there() -> bool:
            return await text_at(server) == ['TXT "two"']

        await eventually(is_there)


async def test_a_change_in_an_included_file_is_seen(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write(path, "$TTL 300\n$INCLUDE inc\n")
    write(tmp_path / "inc", zone(1, 'v TXT "one"'))
    async with running("example.org:{port} {\n file {path} {\n  reload 10ms\n }\n}", path=path) as server:
        write(tmp_path / "inc", zone(2, 'v TXT "two"'))
        await eventually(lambda: "with 2 SOA serial" in caplog.text)
        assert await text_at(server) == ['TXT "two"']


async def test_a_missing_file_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "later"
    async with running("example.org:{port} {\n file {path} {\n  reload 10ms\n }\n}", path=path) as server:
        assert f'Failed to open "open {path}: no such file or directory": trying again in 10ms' in caplog.text
        assert await server.rcode("v.example.org") == "SERVFAIL"
        failed = f'Failed to open zone "example.org." in "{path}": open {path}: no such file or directory'
        await eventually(lambda: failed in caplog.text)
        await asyncio.sleep(0.1)  # some looks more
        assert caplog.text.count(failed) == 1
        write(path, zone(1, 'v TXT "here"'))

        async def is_there() -> bool:
            return await server.rcode("v.example.org", "TXT") == "NOERROR"

        await eventually(is_there)
        assert await text_at(server) == ['TXT "here"']


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (zone(1, "bad A 1"), r"db:5: .*bad A 1"),
        ("$TTL 1\n@ NS ns\n", r"db: no SOA record for example.org"),
        (None, r"open .*db: no such file or directory"),
    ],
)
async def test_what_cannot_be_served_stops_the_start(path: Path, text: str | None, told: str) -> None:
    write(path, text)
    with pytest.raises(StartError, match=f"plugin/file: .*{told}"):
        async with running("example.org:{port} {\n file {path} {\n  reload 0\n }\n}", path=path):
            pass


async def test_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"open .*: is a directory"):
        async with running("example.org:{port} {\n file {path}\n}", path=tmp_path):
            pass


async def test_a_reload_of_the_corefile_keeps_what_has_been_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"example.org:0 {{\n bind 127.0.0.1\n file {path}\n}}"
    async with running(text) as server:
        before = plugin_of(server).zone(names.from_text("example.org"))
        monkeypatch.setattr("pycoredns.zone.files.Reading", None)
        reloader = Reloader(server.server, Source("Corefile", text=text))
        assert await reloader.reload()
        await reloader.stopped()
        (plugin,) = reloader.server.blocks[0].find(File)
        await reloader.server.stop()
        assert isinstance(plugin, File)
        assert plugin.zone(names.from_text("example.org")) is before
        assert before is not None


async def test_a_file_that_is_being_read_as_the_corefile_is_reloaded_is_read_by_the_new_server(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(files.Reading):
        def zone(self) -> Zone:
            begun.set()
            may_end.wait(5)
            return super().zone()

    origin = names.from_text("example.org")
    text = f"example.org:0 {{\n bind 127.0.0.1\n file {path} {{\n  reload 10ms\n }}\n}}"

    def has_read(plugin: File, serial: int) -> bool:
        held = plugin.zone(origin)
        return held is not None and held.serial == serial

    async with running(text) as server:
        before = plugin_of(server)
        write(path, zone(2))
        await eventually(lambda: has_read(before, 2))
        with monkeypatch.context() as patched:
            patched.setattr(files, "Reading", Slow)
            write(path, zone(3))
            assert await asyncio.to_thread(begun.wait, 5)
            new = Server(assemble(parse(text.replace("10ms", "0"), "Corefile")))
            (plugin,) = new.blocks[0].find(File)
            assert isinstance(plugin, File)
            plugin.take_over(before)
            may_end.set()
        async with plugin.running():
            await eventually(lambda: has_read(before, 3))
            assert has_read(plugin, 3)
            assert len(plugin.changes(origin, 1) or ()) == 2


def test_what_was_read_but_is_not_served_yet_is_read_again(path: Path) -> None:
    origin = names.from_text("example.org")
    old, new = ZoneFile(path, origin), ZoneFile(path, origin)
    first = old.load()
    write(path, zone(2))
    assert old.load() is not None
    new.adopt(old, first.zone if first else None)
    assert new.has_changed()
    again = new.load()
    assert again is not None
    assert again.zone.serial == 2


# --- Corefiles


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("file", "DBFILE is missing"),
        ("file db {\n reload\n }", "reload"),
        ("file db {\n reload soon\n }", '"soon" is not a duration'),
        ("file db {\n notify 1\n }", 'unknown option "notify"'),
        ("file db a..b", "a..b"),
    ],
)
async def test_mistakes(lines: str, told: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        async with running(f"example.org:{{port}} {{\n {lines}\n}}"):
            pass
    assert told in str(caught.value)


async def test_the_interval_holds_for_the_lines_below(path: Path) -> None:
    corefile = (
        ".:{port} {\n file {path} a.test\n file {path} b.test {\n  reload 5s\n  upstream 192.0.2.1\n }\n file {path} c.test\n}"
    )
    async with running(corefile, path=path) as server:
        assert list(plugin_of(server)._intervals.values()) == [60, 5, 5]


def test_check_reads_the_files(tmp_path: Path, path: Path) -> None:
    (tmp_path / "bad").write_text(zone(1, "bad A 1"))
    text = f"example.org {{\n root {tmp_path}\n file db\n file bad b.example.org\n file none n.example.org\n}}"
    found = [str(finding) for finding in check(text, "Corefile")]
    assert any(line.startswith(f"{tmp_path}/bad:5: ") for line in found)
    assert any("warning" in line and "none does not exist" in line for line in found)
    assert len(found) == 2


async def at_a_reload(path: Path, server: RunningServer, text: str) -> tuple[bool, list[str]]:
    """Is a Corefile taken by a reload, and what is answered then?"""
    corefile = path.with_name("Corefile")
    corefile.write_text(text)
    reloader = Reloader(server.server, Source(str(corefile)))
    taken = await reloader.reload()
    answers = await text_at(RunningServer(reloader.server, server.ports))
    if taken:
        await reloader.stopped()
        await reloader.server.stop()
    return taken, answers


@pytest.mark.parametrize(
    ("passed_over", "taken", "answer"),
    [
        (zone(1, 'v TXT "same serial"'), True, 'TXT "same serial"'),
        (zone(2, 'v TXT "broken"', "bad A nonsense"), False, 'TXT "one"'),
        (None, True, 'TXT "one"'),
    ],
)
async def test_a_reload_of_the_corefile_reads_what_was_passed_over(
    path: Path, passed_over: str | None, taken: bool, answer: str
) -> None:
    """It means the same as a start: what a look at the file leaves out is no secret of the server that has looked."""
    corefile = "example.org:{port} {\n bind 127.0.0.1\n file {path} {\n  reload 10ms\n }\n}".replace("{path}", str(path))
    async with running(corefile) as server:
        looks = looked_at(server)
        write(path, passed_over)
        await eventually(looks)
        assert await text_at(server) == ['TXT "one"']
        assert await at_a_reload(path, server, corefile.replace("{port}", str(server.port))) == (taken, [answer])


async def test_a_reload_that_is_undone_leaves_the_zone_as_it_was(path: Path) -> None:
    corefile = "example.org:{port} {\n file {path} {\n  reload 0\n }\n}".replace("{path}", str(path))
    async with running(corefile) as server:
        assert await text_at(server) == ['TXT "one"']
        write(path, zone(2, 'v TXT "two"'))
        new = Server(assemble(parse(corefile.replace("{port}", str(server.port)), "Corefile")))
        await new.prepare(server.server)
        await new.give_up(server.server)
        assert await text_at(server) == ['TXT "one"']
        assert await text_at(server, "V.example.org") == ['TXT "one"']
