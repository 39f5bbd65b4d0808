"""Which questions are answered, passed on or failed, and how files are kept up with."""

import asyncio
import logging
import os

import dns.flags
import dns.ipv6
import dns.message
import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors, ServerFailure
from pycoredns.plugins.hosts import Hosts
from pycoredns.plugins.hosts.reading import LONGEST_LINE
from pycoredns.response import Response
from pycoredns.testing import Last, eventually, request_for, running

PASSED = Response(rcode=5)


def hosts_of(*lines, file="/dev/null", zone="."):
    """The plugin of a Corefile."""
    text = "\n".join(lines)
    corefile = parse(f"{zone}:1053 {{\nhosts {file} {{\n{text}\n}}\n}}", "Corefile")
    (plugin,) = assemble(corefile).blocks[0].plugins
    return plugin


def answered(plugin, name, qtype="A", **options):
    """The answer section as text by dnspython; "passed" or "failed" where there is none."""
    request = request_for(name, qtype, plugins=[plugin, Last(PASSED)], **options)
    try:
        response = plugin.handle(request)
    except ServerFailure as error:
        return f"failed{error}"
    if response is PASSED:
        return "passed"
    reply = dns.message.from_wire(bytes(2) + response.reply(request), one_rr_per_rrset=True)
    assert response.authoritative
    assert not reply.authority
    return [str(rrset) for rrset in reply.answer]


ENTRIES = ("192.0.2.10 web.date.test www.date.test", "192.0.2.11 web.date.test", "2001:db8::10 web.date.test six.date.test")


@pytest.mark.parametrize(
    ("name", "qtype", "expected"),
    [
        ("wEb.date.test", "A", ["web.date.test. 3600 IN A 192.0.2.10", "web.date.test. 3600 IN A 192.0.2.11"]),
        ("web.date.test", "AAAA", ["web.date.test. 3600 IN AAAA 2001:db8::10"]),
        ("www.date.test", "AAAA", []),
        ("six.date.test", "A", []),
        ("web.date.test", "TXT", []),
        ("web.date.test", "ANY", []),
        ("none.date.test", "A", "failed"),
        ("none.date.test", "TXT", "failed"),
        ("date.test", "SOA", "failed"),
        ("a.other.test", "A", "passed"),
        ("11.2.0.192.in-addr.arpa", "PTR", ["11.2.0.192.in-addr.arpa. 3600 IN PTR web.date.test."]),
        ("12.2.0.192.in-addr.arpa", "PTR", "passed"),
        ("11.2.0.192.in-addr.arpa", "A", "passed"),
        ("web.date.test", "PTR", "passed"),
    ],
)
def test_answers(name, qtype, expected):
    assert answered(hosts_of(*ENTRIES, zone="date.test"), name, qtype) == expected


@pytest.mark.parametrize(
    ("address", "expected"), [("2001:db8::10", 2), ("::ffff:192.0.2.11", 1), ("::ffff:192.0.2.12", None), ("::192.0.2.11", None)]
)
def test_reverse_names_of_ipv6(address, expected):
    name = "".join(f"{nibble}." for nibble in reversed(dns.ipv6.inet_aton(address).hex())) + "ip6.arpa"
    found = answered(hosts_of(*ENTRIES), name, "PTR")
    assert found == "passed" if expected is None else len(found) == expected


@pytest.mark.parametrize("name", ["x" + ".0" * 7, "0" * 3 + r"\001" + ".0" * 6, ".".join("0123456g")])
def test_what_only_looks_like_a_mapped_address_is_passed_on(name):
    assert answered(hosts_of(*ENTRIES), f"{name}.f.f.f.f" + 20 * ".0" + ".ip6.arpa", "PTR") == "passed"


@pytest.mark.parametrize(
    ("lines", "name", "qtype", "expected"),
    [
        (["fallthrough"], "none.date.test", "A", "passed"),
        (["fallthrough"], "www.date.test", "AAAA", []),
        (["fallthrough"], "www.date.test", "TXT", []),
        (["fallthrough other.test date.test"], "none.date.test", "A", "passed"),
        (["fallthrough other.test"], "none.date.test", "A", "failed"),
        (["fallthrough", "fallthrough_unsupported"], "www.date.test", "TXT", "passed"),
        (["fallthrough", "fallthrough_unsupported"], "www.date.test", "AAAA", []),
        (["fallthrough other.test", "fallthrough_unsupported"], "www.date.test", "TXT", []),
        (["no_reverse"], "11.2.0.192.in-addr.arpa", "PTR", "passed"),
        (["ttl 42 and more"], "www.date.test", "A", ["www.date.test. 42 IN A 192.0.2.10"]),
    ],
)
def test_options(lines, name, qtype, expected):
    assert answered(hosts_of(*ENTRIES, *lines), name, qtype) == expected


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["ttl minus"], "Corefile:3: ttl"),
        (["ttl 0"], "too small"),
        (["ttl 65536"], "too large"),
        (["ttl"], "missing"),
        (["reload -5s"], "negative"),
        (["reload"], "missing"),
        (["fallthrough_unsupported"], "fallthrough_unsupported needs fallthrough"),
        (["fallthrough", "fallthrough_unsupported x"], "unexpected"),
        (["192.0.2.1 a.test", "fallthrough", "192.0.2.2 b.test"], 'Corefile:5: hosts: unknown option "192.0.2.2"'),
        (["ttl 5", "}", "hosts {"], "once per Server Block"),
        (["192.0.2.1 a.test {", "}"], 'Corefile:3: hosts: unexpected "{" behind "192.0.2.1"'),
    ],
)
def test_what_is_refused(lines, cause):
    with pytest.raises(ConfigErrors) as caught:
        hosts_of(*lines)
    assert cause in str(caught.value)


def test_a_bad_entry_is_passed_over_with_a_warning(caplog):
    plugin = hosts_of("wildcard on", "192.0.2.1 a.test")
    assert answered(plugin, "a.test") == ["a.test. 3600 IN A 192.0.2.1"]
    assert 'Corefile:3: "wildcard on" is no address with names' in caplog.text


@pytest.mark.parametrize(("size", "protocol"), [(0, "udp"), (1232, "udp"), (4096, "udp"), (0, "tcp")])
def test_of_very_many_records_as_many_are_given_as_the_client_takes(size, protocol):
    plugin = hosts_of(*(f"192.0.2.1 n{number}" for number in range(6000)))
    request = request_for("1.2.0.192.in-addr.arpa", "PTR", size=size, protocol=protocol, plugins=[plugin])
    wire = bytes(2) + plugin.handle(request).reply(request)
    reply = dns.message.from_wire(wire, ignore_trailing=False)
    assert request.limit - 20 <= len(wire) <= request.limit
    assert reply.flags & dns.flags.TC


def test_an_answer_is_as_large_as_all_addresses_of_its_name_whatever_the_client_takes():
    plugin = hosts_of(*(f"192.0.2.{number} a.test" for number in range(200)))
    request = request_for("a.test", plugins=[plugin])
    response = plugin.handle(request)
    assert (response.answers, response.size(request)) == (200, 24 + 200 * len(b"\1a\4test\0" + bytes(14)))


# --- files


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my.hosts"
    path.write_text("192.0.2.2 both.test file.test\n")
    return path


def rewrite(path, text):
    """A new content; the time is another one too, however coarse the file system's clock."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


async def test_the_file_comes_before_the_block(file):
    plugin = hosts_of("192.0.2.1 both.test inline.test", file=file)
    await plugin.refresh()
    assert [text.split()[-1] for text in answered(plugin, "both.test")] == ["192.0.2.2", "192.0.2.1"]
    assert answered(plugin, "inline.test") != "failed"


async def test_a_changed_file_is_read_anew_and_answers_from_memory_end(file):
    plugin = hosts_of("192.0.2.9 inline.test", file=file)
    await plugin.refresh()
    version = plugin.block.version
    await plugin.refresh()
    assert plugin.block.version == version
    rewrite(file, "192.0.2.3 new.test\n")
    await plugin.refresh()
    assert plugin.block.version > version
    assert answered(plugin, "file.test") == "failed"
    assert answered(plugin, "new.test") == ["new.test. 3600 IN A 192.0.2.3"]
    assert answered(plugin, "inline.test") != "failed"


async def test_while_a_file_is_missing_what_was_read_holds(file):
    plugin = hosts_of(file=file)
    await plugin.refresh()
    file.unlink()
    await plugin.refresh()
    assert answered(plugin, "file.test") != "failed"


async def test_a_running_server_follows_its_file(file):
    async with running(".:{port} {\nbind 127.0.0.1\nhosts {path} {\nreload 10ms\n}\n}", path=file) as server:
        assert await server.answers("file.test") == ["A 192.0.2.2"]
        rewrite(file, "192.0.2.3 new.test\n")
        await eventually(lambda: answers_are(server, "new.test", ["A 192.0.2.3"]))
        assert await server.rcode("file.test") == "SERVFAIL"


async def answers_are(server, name, expected):
    return await server.answers(name) == expected


async def test_without_reload_the_file_is_read_once(file):
    async with running(".:{port} {\nbind 127.0.0.1\nhosts {path} {\nreload 0\n}\n}", path=file) as server:
        watching = [task for task in asyncio.all_tasks() if "_watch" in str(task.get_coro())]
        assert await server.answers("file.test") == ["A 192.0.2.2"]
    assert watching == []


async def test_a_relative_file_begins_at_root(file):
    corefile = ".:{port} {\nbind 127.0.0.1\nroot {folder}\nhosts my.hosts\n}"
    async with running(corefile, folder=file.parent) as server:
        assert await server.answers("file.test") == ["A 192.0.2.2"]


@pytest.mark.parametrize(("name", "warning"), [("missing", "File does not exist: "), ("", 'Hosts file "{path}" is a directory')])
async def test_files_that_are_none_are_warned_of(tmp_path, caplog, name, warning):
    path = tmp_path / name
    async with running(f".:{{port}} {{\nbind 127.0.0.1\nhosts {path} {{\n192.0.2.1 a.test\n}}\n}}") as server:
        assert await server.answers("a.test") == ["A 192.0.2.1"]
    assert warning.format(path=path) in caplog.text


def test_a_file_that_cannot_be_looked_at_is_refused(file):
    with pytest.raises(ConfigErrors, match="cannot be accessed: Not a directory"):
        hosts_of(file=file / "below")


async def test_a_file_that_cannot_be_read_is_told_once(file, monkeypatch, caplog):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    plugin = hosts_of(file=file)
    monkeypatch.setattr(type(file), "open", refuse)
    await plugin.refresh()
    await plugin.refresh()
    assert caplog.text.count("cannot be read: Permission denied") == 1
    monkeypatch.undo()
    await plugin.refresh()
    assert answered(plugin, "file.test") != "failed"


async def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    plugin = hosts_of("192.0.2.1 a.test", file=tmp_path / "pipe")
    await asyncio.wait_for(plugin.refresh(), 5)
    assert answered(plugin, "a.test") != "failed"


async def test_how_many_entries_the_file_has_is_told_for_debugging(file, caplog):
    caplog.set_level("DEBUG", "plugin/hosts")
    rewrite(file, "192.0.2.1 a.test\n")
    await hosts_of("192.0.2.2 b.test", file=file).refresh()
    assert "Parsed hosts file into 2 entries" in caplog.messages  # the name and its address


async def test_lines_that_make_no_sense_are_passed_over_with_one_warning(file, caplog):
    rewrite(file, "192.0.2.1 a.test\nnonsense here\n\nmore nonsense\n192.0.2.2 b.test")
    plugin = hosts_of(file=file)
    await plugin.refresh()
    assert answered(plugin, "b.test") != "failed"
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}:2: no address with names; such lines are passed over (2 in all)"
    ]


async def test_nothing_is_read_behind_an_endless_line(file, caplog):
    endless = 1 << 19
    assert endless > LONGEST_LINE
    rewrite(file, "192.0.2.1 a.test\n192.0.2.2 " + "b" * endless + "\n192.0.2.3 c.test\n")
    plugin = hosts_of(file=file)
    await plugin.refresh()
    assert answered(plugin, "a.test") != "failed"
    assert answered(plugin, "c.test") == "failed"
    assert "what follows is not read" in caplog.text


async def test_others_have_their_turn_while_a_large_file_is_read(file):
    rewrite(file, "".join(f"192.0.2.1 n{number}.test\n" for number in range(20_000)))
    plugin, turns = hosts_of(file=file), 0
    reading = asyncio.create_task(plugin.refresh())
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 20_000 / 1000
    assert answered(plugin, "n19999.test") != "failed"


async def test_metrics(file):
    plugin = hosts_of("192.0.2.9 inline.test", file=file)
    assert Hosts.entries_gauge.name == "coredns_hosts_entries"
    await plugin.refresh()
    assert Hosts.entries_gauge.cell(str(file)).value == 6
    assert Hosts.reload_gauge.cell().value == file.stat().st_mtime


@pytest.mark.parametrize(
    ("lines", "kept"), [([], True), (["reload 1m"], True), (["ttl 5"], False), (["192.0.2.1 a.test"], False)]
)
async def test_on_a_reload_what_would_be_read_the_same_is_kept(file, lines, kept):
    old, new = hosts_of(file=file), hosts_of(*lines, file=file)
    await old.refresh()
    new.take_over(old)
    assert (new._table is old._table) == kept
    version = new.block.version
    await new.refresh()
    assert (new.block.version == version) == kept
    assert answered(new, "file.test") != "failed"


def test_logging_of_each_reading_is_for_debug_only(file, caplog):
    with caplog.at_level(logging.INFO):
        asyncio.run(hosts_of(file=file).refresh())
    assert caplog.records == []


def test_an_empty_zone_is_none():
    plugin = hosts_of("192.0.2.1 a.test", file='/dev/null ""')
    assert answered(plugin, "a.test") == answered(plugin, "1.2.0.192.in-addr.arpa", "PTR") == "passed"
