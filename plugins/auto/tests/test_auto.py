"""A folder of zones, served while its files come, change and go."""

import asyncio
import logging
import os
import re

import dns.flags
import dns.message
import dns.opcode
import dns.query
import pytest

from pycoredns.assemble import assemble
from pycoredns.check import check
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.plugins.auto import Auto
from pycoredns.server import Server
from pycoredns.testing import RunningServer, eventually, running
from pycoredns.wire import names

COREFILE = """
.:{port} {
    bind 127.0.0.1
    auto {
        directory {folder}
        reload 50ms
    }
}
"""


def text(serial=1, address="192.0.2.1", more=""):
    return f"@ 300 IN SOA ns host {serial} 3600 600 86400 60\n@ 300 IN NS ns\nns 300 IN A {address}\n{more}"


def write(path, content):
    """Puts a file in its place in one move."""
    new = path.with_name(f".new-{path.name}")
    new.write_text(content)
    new.replace(path)


async def has(server, name, *answers):
    """Waits for an answer."""

    async def right():
        return await server.answers(name) == list(answers)

    await eventually(right)


async def refused(server, name):
    async def right():
        return await server.rcode(name) == "REFUSED"

    await eventually(right)


@pytest.fixture(autouse=True)
def all_lines(caplog):
    caplog.set_level(logging.INFO)


# --- options


def auto_of(lines, folder):
    (plugin,) = assemble(parse(f"date.test other.test {{\nroot {folder}\n{lines}\n}}", "Corefile")).blocks[0].find(Auto)
    return plugin


def test_options(tmp_path):
    (tmp_path / "zones").mkdir()
    usual = auto_of("auto", tmp_path)
    assert [names.to_text(zone) for zone in usual.zones] == ["date.test.", "other.test."]
    assert (str(usual.directory.dir), usual.reload) == (".", 60)
    plugin = auto_of("auto x.test {\ndirectory zones (.*)\\.zone {1}\nreload 30s surplus\nupstream 192.0.2.1\n}", tmp_path)
    assert [names.to_text(zone) for zone in plugin.zones] == ["x.test."]
    assert plugin.directory.dir == tmp_path / "zones"
    assert plugin.directory.origin("a.test.zone") == names.from_text("a.test")
    assert plugin.reload == 30


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("directory", "DIR is missing"),
        ("directory . zone.* {1}", "needs a group"),
        ("directory . (zone", "is not a regular expression"),
        ("directory . (zone)", "ORIGIN_TEMPLATE is missing"),
        ("directory . (zone) {1} x", 'unexpected "x"'),
        (f"directory . ({'x' * 10_000}) {{1}}", "REGEXP is too large"),
        ("reload", "DURATION is missing"),
        ("reload soon", '"soon" is not a duration'),
        ("reload -1s", '"-1s" is negative'),
        ("watch .", 'unknown option "watch"'),
        ("fallthrough", 'unknown option "fallthrough"'),
    ],
)
def test_mistakes(tmp_path, line, expected):
    with pytest.raises(ConfigErrors) as raised:
        auto_of(f"auto {{\n{line}\n}}", tmp_path)
    assert expected in str(raised.value)
    assert "Corefile:4" in str(raised.value)


def test_a_missing_folder_is_told_and_may_come(tmp_path, caplog):
    auto_of("auto {\ndirectory none\n}", tmp_path)
    assert caplog.messages == [f"Directory does not exist: {tmp_path}/none"]


# --- questions


async def test_the_longest_zone_answers_and_others_are_refused(tmp_path):
    (tmp_path / "db.date.test").write_text(text(more="x.sub 300 A 192.0.2.7\n"))
    (tmp_path / "db.sub.date.test").write_text(text(address="192.0.2.2"))
    (tmp_path / "db.UPPER.test").write_text(text(0, address="192.0.2.3"))
    async with running(COREFILE, folder=tmp_path) as server:
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        assert await server.answers("ns.sub.date.test") == ["A 192.0.2.2"]
        assert await server.answers("nS.upper.TEST") == ["A 192.0.2.3"]
        assert await server.rcode("x.sub.date.test") == "NXDOMAIN"
        assert await server.rcode("other.test") == "REFUSED"
        assert await server.rcode("date.test", "AXFR", tcp=True) == "REFUSED"


async def test_a_notify_is_answered_like_any_question(tmp_path):
    write(tmp_path / "db.date.test", text(7))
    async with running(COREFILE, folder=tmp_path) as server:
        query = dns.message.make_query("date.test", "SOA")
        query.set_opcode(dns.opcode.NOTIFY)
        reply = await asyncio.to_thread(dns.query.udp, query, "127.0.0.1", 2, server.port)
    assert (reply.rcode(), reply.flags, reply.answer[0][0].serial) == (0, dns.flags.QR | dns.flags.AA | 0x2000, 7)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [("", ["REFUSED", "SERVFAIL"]), ("erratic {\ndrop 0\ndelay 0\ntruncate 0\n}", ["NOERROR", "NOERROR"])],
)
async def test_names_without_a_file_go_on_where_somebody_stands_behind(tmp_path, behind, expected):
    corefile = ".:{port} {\nbind 127.0.0.1\nauto date.test {\ndirectory {folder}\n}\n" + behind + "\n}"
    async with running(corefile, folder=tmp_path) as server:
        assert [await server.rcode(name) for name in ("x.date.test", "x.other.test")] == expected


async def test_of_a_zone_above_only_the_names_within_are_answered(tmp_path):
    (tmp_path / "db.date.test").write_text(text(more="sub 300 A 192.0.2.7\nx.sub 300 A 192.0.2.8\n"))
    corefile = ".:{port} {\nbind 127.0.0.1\nauto sub.date.test {\ndirectory {folder}\n}\n}"
    async with running(corefile, folder=tmp_path) as server:
        assert await server.answers("sub.date.test") == ["A 192.0.2.7"]
        assert await server.answers("x.sub.date.test") == ["A 192.0.2.8"]
        assert await server.rcode("ns.date.test") == "SERVFAIL"
        assert await server.rcode("date.test") == "SERVFAIL"


async def test_two_folders_in_one_block(tmp_path):
    for name, address in (("first", "192.0.2.1"), ("second", "192.0.2.2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"db.{name}.test").write_text(text(address=address))
    lines = "".join(f"auto {{\ndirectory {{folder}}/{name}\n}}\n" for name in ("first", "second"))
    async with running(".:{port} {\nbind 127.0.0.1\n" + lines + "}", folder=tmp_path) as server:
        assert await server.answers("ns.first.test") == ["A 192.0.2.1"]
        assert await server.answers("ns.second.test") == ["A 192.0.2.2"]
        assert await server.rcode("ns.third.test") == "REFUSED"


async def test_questions_are_counted_for_the_zone_that_was_found(tmp_path):
    corefile = COREFILE.replace("auto {", "prometheus 127.0.0.1:{http}\n    auto {")
    async with running(corefile, folder=tmp_path) as server:
        await server.query("ns.date.test")
        write(tmp_path / "db.date.test", text())
        await has(server, "ns.date.test", "A 192.0.2.1")
        shown = await scraped(server)
    line = re.compile(
        rf'^coredns_dns_requests_total{{.*server="dns://127.0.0.1:{server.port}".*zone="(.*)"}} (.*)$', re.MULTILINE
    )
    counted = {match[1]: float(match[2]) for match in line.finditer(shown)}
    assert counted.keys() == {".", "date.test."}
    assert counted["date.test."] == 1


async def scraped(server):
    """The text of /metrics."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports["http"])
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    shown = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return shown


# --- files come, change and go


async def test_files_come_change_and_go(tmp_path, caplog):
    file = tmp_path / "db.date.test"
    async with running(COREFILE, folder=tmp_path) as server:
        assert await server.rcode("ns.date.test") == "REFUSED"
        write(file, text())
        await has(server, "ns.date.test", "A 192.0.2.1")
        write(file, text(2, "192.0.2.2"))
        await has(server, "ns.date.test", "A 192.0.2.2")
        write(file, text(1, "192.0.2.3"))  # an older serial is another one too
        await has(server, "ns.date.test", "A 192.0.2.3")
        file.unlink()
        await refused(server, "ns.date.test")
    assert caplog.messages == [
        f"Inserting zone `date.test.' from: {file}",
        f'Successfully reloaded zone "date.test." in "{file}" with 2 SOA serial',
        f'Successfully reloaded zone "date.test." in "{file}" with 1 SOA serial',
        "Deleting zone `date.test.'",
    ]


async def test_a_changed_file_with_the_same_serial_is_told_and_not_served(tmp_path, caplog):
    file = tmp_path / "db.date.test"
    write(file, text())
    async with running(COREFILE, folder=tmp_path) as server:
        write(file, text(1, "192.0.2.2"))
        line = f'Zone "date.test." is served as before: "{file}" has changed, its SOA serial has not'
        await eventually(lambda: line in caplog.messages)
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]


async def test_a_reloaded_corefile_reads_a_changed_file_with_the_same_serial(tmp_path, caplog):
    file = tmp_path / "db.date.test"
    write(file, text())
    async with running(COREFILE, folder=tmp_path) as old:
        write(file, text(1, "192.0.2.2"))
        await eventually(lambda: "is served as before" in caplog.text)
        corefile = COREFILE.replace("{folder}", str(tmp_path)).replace("{port}", str(old.port))
        new = Server(assemble(parse(corefile, "Corefile")))
        await new.start(old.server)
        server = RunningServer(new, old.ports)
        assert await server.answers("ns.date.test") == ["A 192.0.2.2"]
        write(file, text(1, "192.0.2.3"))
        await eventually(lambda: caplog.text.count("is served as before") > 1)
        assert await server.answers("ns.date.test") == ["A 192.0.2.2"]
        await new.stop()


async def test_a_broken_file_is_told_once_and_leaves_the_good_zone(tmp_path, caplog):
    file = tmp_path / "db.date.test"
    write(file, text())
    async with running(COREFILE, folder=tmp_path) as server:
        write(file, text(2, "192.0.2.2", "x 300 A nonsense\n"))
        await eventually(lambda: any(line.startswith('Parsing zone "date.test.": ') for line in caplog.messages))
        await asyncio.sleep(0.2)
        (line,) = [line for line in caplog.messages if "Parsing" in line]
        assert f"{file}:4: " in line
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        write(file, text(3, "192.0.2.3"))
        await has(server, "ns.date.test", "A 192.0.2.3")


async def test_a_file_that_is_broken_from_the_start_is_told_and_others_are_served(tmp_path, caplog):
    (tmp_path / "db.broken.test").write_text("broken\n")
    (tmp_path / "db.date.test").write_text(text())
    async with running(COREFILE, folder=tmp_path) as server:
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        assert await server.rcode("broken.test") == "REFUSED"
        (line,) = [line for line in caplog.messages if "broken.test.'" in line]
        assert line.startswith(f"Parse zone `broken.test.': {tmp_path}/db.broken.test:1: ")
        (tmp_path / "db.broken.test").unlink()
        await asyncio.sleep(0.2)
        assert not any("Deleting" in line for line in caplog.messages)
        write(tmp_path / "db.broken.test", text(address="192.0.2.2"))
        await has(server, "ns.broken.test", "A 192.0.2.2")
        assert f"Inserting zone `broken.test.' from: {tmp_path}/db.broken.test" in caplog.messages


async def test_a_link_into_nowhere_leaves_the_good_zone(tmp_path, caplog):
    write(tmp_path / "one", text())
    link = tmp_path / "db.date.test"
    link.symlink_to("one")
    async with running(COREFILE, folder=tmp_path) as server:
        (tmp_path / "one").unlink()
        text_of_line = f'Failed to open zone "date.test." in "{link}": open {link}: no such file or directory'
        await eventually(lambda: text_of_line in caplog.messages)
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        write(tmp_path / "one", text(2, "192.0.2.2"))
        await has(server, "ns.date.test", "A 192.0.2.2")


async def test_a_zone_moves_to_another_file(tmp_path):
    for name, serial, address in (("a", 1, "192.0.2.1"), ("b", 2, "192.0.2.2")):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "db.date.test", text(serial, address))
    async with running(COREFILE, folder=tmp_path) as server:
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        (tmp_path / "a" / "db.date.test").unlink()
        await has(server, "ns.date.test", "A 192.0.2.2")


async def test_a_file_that_comes_before_another_takes_its_zone(tmp_path):
    (tmp_path / "later").mkdir()
    write(tmp_path / "later" / "db.date.test", text(1, "192.0.2.1"))
    async with running(COREFILE, folder=tmp_path) as server:
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        write(tmp_path / "db.date.test", text(2, "192.0.2.2"))
        await has(server, "ns.date.test", "A 192.0.2.2")


async def test_a_folder_that_comes_later(tmp_path):
    async with running(COREFILE, folder=tmp_path / "later") as server:
        (tmp_path / "new").mkdir()
        write(tmp_path / "new" / "db.date.test", text())
        (tmp_path / "new").rename(tmp_path / "later")
        await has(server, "ns.date.test", "A 192.0.2.1")
        (tmp_path / "later").rename(tmp_path / "gone")
        await refused(server, "ns.date.test")


async def test_a_folder_that_cannot_be_read_any_more_takes_no_zone_away(tmp_path, monkeypatch, caplog):
    write(tmp_path / "db.date.test", text())
    scan = os.scandir

    def failing(path):
        raise OSError(5, "Input/output error")

    async with running(COREFILE, folder=tmp_path) as server:
        monkeypatch.setattr(os, "scandir", failing)
        await eventually(lambda: f"error reading {tmp_path}: open {tmp_path}: input/output error" in caplog.messages)
        await asyncio.sleep(0.2)
        assert sum("error reading" in line for line in caplog.messages) == 1
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]
        monkeypatch.setattr(os, "scandir", scan)


async def test_reload_0_looks_only_at_the_start(tmp_path):
    write(tmp_path / "db.date.test", text())
    async with running(COREFILE.replace("50ms", "0"), folder=tmp_path) as server:
        write(tmp_path / "db.date.test", text(2, "192.0.2.2"))
        await asyncio.sleep(0.2)
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]


async def test_a_reloaded_corefile_reads_only_what_has_changed(tmp_path, caplog):
    for name in ("kept", "changed", "gone"):
        write(tmp_path / f"db.{name}.test", text())
    corefile = COREFILE.replace("{folder}", str(tmp_path)).replace("50ms", "0")
    async with running(corefile) as old:
        write(tmp_path / "db.changed.test", text(2, "192.0.2.2"))
        (tmp_path / "db.gone.test").unlink()
        caplog.clear()
        new = Server(assemble(parse(corefile.replace("{port}", str(old.port)), "Corefile")))
        await new.start(old.server)
        server = RunningServer(new, old.ports)
        assert await server.answers("ns.kept.test") == ["A 192.0.2.1"]
        assert await server.answers("ns.changed.test") == ["A 192.0.2.2"]
        assert await server.rcode("ns.gone.test") == "REFUSED"
        assert [line.partition(" in ")[0] for line in caplog.messages] == [
            "Deleting zone `gone.test.'",
            'Successfully reloaded zone "changed.test."',
        ]
        await new.stop()


async def test_a_reloaded_corefile_answers_no_other_names(tmp_path):
    write(tmp_path / "db.test", text(more="date 300 IN A 192.0.2.2\nother 300 IN A 192.0.2.3\n"))
    write(tmp_path / "db.broken.date.test", "nonsense\n")
    corefile = f".:{{port}} {{\nauto date.test {{\ndirectory {tmp_path}\nreload 0\n}}\n}}"
    async with running(corefile) as old:
        new = Server(assemble(parse(corefile.replace("{port}", str(old.port)), "Corefile")))
        expected = {"date.test": "NOERROR", "other.test": "SERVFAIL", "x.broken.date.test": "NXDOMAIN"}
        assert {name: await old.rcode(name) for name in expected} == expected
        await new.start(old.server)
        server = RunningServer(new, old.ports)
        assert {name: await server.rcode(name) for name in expected} == expected
        await new.stop()


def test_check_names_what_is_wrong_with_the_files(tmp_path):
    (tmp_path / "db.broken.test").write_text("@ 300 IN SOA ns host 1 3600 600 86400 60\nx 300 A nonsense\n")
    (tmp_path / "db.date.test").write_text(text())
    (tmp_path / "db.gone.test").symlink_to("nowhere")
    findings = check(".:1053 {\nauto {\ndirectory " + str(tmp_path) + "\n}\n}\n", "Corefile")
    assert {finding.severity for finding in findings} == {"warning"}  # the server starts without these zones
    found = [str(finding.told) for finding in findings]
    assert [line.partition(": ")[0] for line in found] == [f"{tmp_path}/db.broken.test:2", f"{tmp_path}/db.gone.test:1"]


async def test_one_look_at_many_files_reads_none_that_is_known(tmp_path, monkeypatch):
    for number in range(200):
        write(tmp_path / f"db.zone{number}.test", text())
    async with running(COREFILE.replace("50ms", "0"), folder=tmp_path) as server:
        (plugin,) = server.server.blocks[0].find(Auto)
        assert all(plugin.zone(names.from_text(f"zone{number}.test")) for number in range(200))
        monkeypatch.setattr("pycoredns.zone.files.Reading", None)
        await plugin._refresh()
        assert await server.answers("ns.zone199.test") == ["A 192.0.2.1"]
