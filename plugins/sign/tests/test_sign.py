"""The plugin: its options, its process, its lines, and what a validator says of the zone that file serves."""

import asyncio
import logging
import subprocess

import pytest

from pycoredns.assemble import assemble
from pycoredns.check import check
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.plugins.sign import Sign
from pycoredns.plugins.sign.signer import Signer
from pycoredns.plugins.sign.tests.support import APEX, RICH, key_file, work_in
from pycoredns.testing import eventually, running
from pycoredns.wire import names
from tests.judges.programs import program

SERVED = """
date.test:{port} {
    bind 127.0.0.1
    root {folder}
    file db.date.test.signed {
        reload 100ms
    }
    sign date.db {
        key directory .
        directory .
    }
}
"""
DONE = 'Successfully signed zone "date.test."'


@pytest.fixture(autouse=True)
def often(monkeypatch, caplog):
    """Files are looked at every 50 ms; all lines are kept."""
    monkeypatch.setattr(Sign, "look_interval", 0.05)
    caplog.set_level(logging.INFO)


def plugins_of(text, folder):
    """The sign plugins of a Corefile's first block."""
    return assemble(parse(text.replace("{folder}", str(folder)), "Corefile")).blocks[0].find(Sign)


async def said(caplog, text, times=1):
    """Waits for a line of the log."""
    await eventually(lambda: sum(text in line for line in caplog.messages) >= times, 20)


# --- options


def test_options(tmp_path):
    first, second, third = key_file(tmp_path), key_file(tmp_path, 15), key_file(tmp_path, 8)
    text = f"""
        date.test other.test {{
            root {{folder}}
            sign date.db {{
                key file {first}.key {second.name}.private
                key file {third.name}
            }}
            sign date.db date.test {{
                key directory .
                directory signed
            }}
        }}"""
    block, one = plugins_of(text, tmp_path)
    assert [names.to_text(zone) for zone in block.zones] == ["date.test.", "other.test."]
    assert [str(each.work.target) for each in block._watched] == [
        "/var/lib/coredns/db.date.test.signed",
        "/var/lib/coredns/db.other.test.signed",
    ]
    assert [each.work.keys for each in block._watched] == [(first, second, third)] * 2
    (watched,) = one._watched
    assert watched.work.source == tmp_path / "date.db"
    assert watched.work.target == tmp_path / "signed" / "db.date.test.signed"
    assert set(watched.work.keys) == {first, second, third}
    assert not block.step


def test_a_slash_in_a_zones_name_makes_no_folder(tmp_path):
    zone = names.from_text("0/25.2.0.192.in-addr.arpa")
    key_file(tmp_path, zone=zone)
    (plugin,) = plugins_of(". {\nsign x 0/25.2.0.192.in-addr.arpa {\nkey directory {folder}\ndirectory /tmp\n}\n}", tmp_path)
    assert str(plugin._watched[0].work.target) == "/tmp/db.0-25.2.0.192.in-addr.arpa.signed"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("sign", "DBFILE is missing"),
        ("sign date.db {\n}", "key is missing"),
        ("sign date.db {\nkey\n}", "file or directory is missing"),
        ("sign date.db {\nkey file\n}", "KEY is missing"),
        ("sign date.db {\nkey directory\n}", "DIR is missing"),
        ("sign date.db {\nkey vault x\n}", '"vault" is neither file nor directory'),
        ("sign date.db {\nkey file none\n}", "none.key: no such file or directory"),
        ("sign date.db {\nkey directory none\n}", "none: no such file or directory"),
        ("sign date.db other.test {\nkey directory .\n}", "no key of other.test. is there, in files like Kother.test.+013"),
        ("sign date.db {\nkey file zsk\n}", "it is not a CSK or KSK: its flags are 256, not 257"),
        ("sign date.db {\nkey directory .\ndirectory\n}", "DIR is missing"),
        ("sign date.db {\nkey directory .\ndirectory a b\n}", 'unexpected "b"'),
        ("sign ./db.date.test.signed {\nkey directory .\ndirectory .\n}", "is where its own signed zone is written"),
        ("sign date.db {\nkey directory .\nnsec3 yes\n}", 'unknown option "nsec3"'),
    ],
)
def test_mistakes(tmp_path, lines, expected):
    zsk = key_file(tmp_path, secure_entry_point=False)
    for ending in (".key", ".private"):
        zsk.with_name(zsk.name + ending).rename(tmp_path / f"zsk{ending}")
    key_file(tmp_path)
    with pytest.raises(ConfigErrors) as raised:
        plugins_of(f"date.test {{\nroot {{folder}}\n{lines}\n}}", tmp_path)
    assert expected in str(raised.value)
    assert "Corefile:" in str(raised.value)


async def test_a_private_key_that_all_may_read_is_told(tmp_path, caplog):
    base = key_file(tmp_path)
    private = base.with_name(base.name + ".private")
    private.chmod(0o644)
    text = "{\nsign x {\nkey file " + str(base) + "\n}\n}"
    async with running("date.test:{port} other.test:{port} " + text):
        pass
    assert {finding.severity for finding in check("date.test:1053 other.test:1053 " + text, "Corefile")} == {"warning"}
    assert [line for line in caplog.messages if "can be read by every user" in line] == [
        f"{private} can be read by every user of this machine: chmod 600 it"
    ]


def test_check_reads_the_zone_file(tmp_path):
    work = work_in(tmp_path, APEX + "x A nonsense\n")
    text = "date.test:1053 {\nsign " + str(work.source) + " {\nkey directory " + str(tmp_path) + "\n}\n}"
    (finding,) = check(text, "Corefile")
    assert f"warning: sign: {work.source}:6: " in str(finding)
    work.source.unlink()
    (finding,) = check(text, "Corefile")
    assert str(finding) == f"Corefile:2: warning: sign: {work.source} cannot be read: no such file or directory"


# --- running


async def test_signs_a_new_zone_which_file_serves(tmp_path, caplog):
    work = work_in(tmp_path)
    async with running(SERVED, folder=tmp_path) as server:
        await said(caplog, DONE)
        assert f'Signing "date.test." because open {work.target}: no such file or directory' in caplog.messages
        (line,) = [line for line in caplog.messages if line.startswith(DONE)]
        tag = int(work.keys[0].name.rpartition("+")[2])
        assert line.startswith(f'{DONE} in "{work.target}" with key tags "{tag}" and ')
        assert " SOA serial, elapsed " in line
        await eventually(lambda: server_answers(server, "ns.date.test"))
        reply = await server.query("ns.date.test", do=True)
        assert [rr.rtype for rr in reply.rr] == [1, 46]
    caplog.clear()
    async with running(SERVED, folder=tmp_path):
        await said(caplog, f'Skipping signing zone "date.test." in "{work.target}": signatures are valid')
    assert not any(line.startswith("Signing") for line in caplog.messages)


async def server_answers(server, name):
    return bool(await server.answers(name))


async def test_a_changed_zone_is_signed_and_served(tmp_path, caplog):
    work = work_in(tmp_path)
    async with running(SERVED, folder=tmp_path) as server:
        await said(caplog, DONE)
        work.source.write_text(APEX.replace("192.0.2.1", "192.0.2.9"))
        await said(caplog, DONE, times=2)
        await eventually(lambda: changed(server))
        assert f'Signing "date.test." because {work.source} has changed' in caplog.messages


async def changed(server):
    return await server.answers("ns.date.test") == ["A 192.0.2.9"]


async def test_a_new_key_in_the_folder_signs_too(tmp_path, caplog):
    work = work_in(tmp_path)
    async with running(SERVED, folder=tmp_path):
        await said(caplog, DONE)
        key_file(tmp_path, 15)
        await said(caplog, 'Signing "date.test." because its keys have changed')
        await said(caplog, DONE, times=2)
    assert work.target.read_text().count("RRSIG\tSOA") == 2


async def test_a_removed_signed_file_is_made_again(tmp_path, caplog):
    work = work_in(tmp_path)
    async with running(SERVED, folder=tmp_path):
        await said(caplog, DONE)
        work.target.unlink()
        await said(caplog, DONE, times=2)


async def test_a_broken_zone_leaves_the_signed_one_and_is_told_once(tmp_path, caplog):
    work = work_in(tmp_path)
    async with running(SERVED, folder=tmp_path) as server:
        await said(caplog, DONE)
        await eventually(lambda: server_answers(server, "ns.date.test"))
        signed = work.target.read_text()
        broken = tmp_path / "broken"
        broken.write_text(APEX + "x A nonsense\n")
        broken.replace(work.source)  # in one step: looked at while it is written it would be told of twice
        await said(caplog, 'Error signing "date.test." with key tags "')
        (line,) = [line for line in caplog.messages if line.startswith("Error")]
        assert f": {work.source}:6: " in line
        await asyncio.sleep(0.3)
        assert sum(line.startswith("Error") for line in caplog.messages) == 1
        assert work.target.read_text() == signed
        assert await server.answers("ns.date.test") == ["A 192.0.2.1"]


async def test_a_folder_that_is_missing_is_told(tmp_path, caplog):
    work_in(tmp_path)
    async with running(SERVED.replace("directory .\n    }", "directory gone\n    }"), folder=tmp_path):
        await said(caplog, f'Error signing "date.test.": failed to move zone file into place: open {tmp_path}/gone: no such file')


async def test_one_file_for_many_zones(tmp_path, caplog):
    (tmp_path / "date.db").write_text(APEX.replace("$ORIGIN date.test.\n", ""))
    base = key_file(tmp_path)
    text = "{\n    sign {folder}/date.db {\n    key file " + str(base) + "\n    directory {folder}\n    }\n}\n"
    async with running("date.test:{port} other.test:{port} third.test:{port} " + text, folder=tmp_path):
        await said(caplog, "Successfully signed zone", times=3)
    assert {path.name for path in tmp_path.glob("db.*")} == {f"db.{name}.test.signed" for name in ("date", "other", "third")}


async def test_a_signer_that_dies_is_told(tmp_path):
    async with Signer.running() as signer:
        signer._process.kill()
        outcome = await signer.sign(work_in(tmp_path))
    assert outcome == {"error": "the process that signs has ended", "seconds": 0.0}


async def test_a_zone_that_kills_the_signer_does_not_keep_others_from_being_signed(tmp_path, caplog, monkeypatch):
    for name in ("date", "other"):
        (tmp_path / f"{name}.db").write_text(APEX.replace("$ORIGIN date.test.\n", ""))
        key_file(tmp_path, zone=names.from_text(f"{name}.test"))
    sign = Signer.sign

    async def killing(signer, work):
        if work.zone == names.from_text("date.test"):
            signer._process.kill()
        return await sign(signer, work)

    monkeypatch.setattr(Signer, "sign", killing)
    text = "{\nsign {folder}/date.db {\nkey directory {folder}\ndirectory {folder}\n}\n}\n"
    async with running("date.test:{port} other.test:{port} " + text, folder=tmp_path):
        await said(caplog, 'Successfully signed zone "other.test."')
        await said(caplog, "the process that signs has ended, next: ")


async def test_a_signer_ends_in_the_middle_of_its_work(tmp_path):
    many = "".join(f"host{number} A 192.0.2.1\n" for number in range(20_000))
    work = work_in(tmp_path, APEX + many)
    async with Signer.running() as signer:
        task = asyncio.create_task(signer.sign(work))
        await eventually(lambda: bool(list(tmp_path.glob("signed-*"))), 20)
        task.cancel()
    assert signer._process.returncode is not None
    assert not list(tmp_path.glob("signed-*"))
    assert not work.target.exists()


async def test_two_servers_that_share_a_folder_sign_once(tmp_path):
    work = work_in(tmp_path)
    async with Signer.running() as first, Signer.running() as second:
        outcomes = await asyncio.gather(first.sign(work), second.sign(work))
    assert sorted(outcome["serial"] is None for outcome in outcomes) == [False, True]


# --- judges


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("www.date.test A", "; fully validated"),
        ("date.test SOA", "; fully validated"),
        ("date.test CDS", "; fully validated"),
        ("none.date.test A", "; negative response, fully validated"),
        ("www.date.test TXT", "; negative response, fully validated"),
        ("x.w.date.test A", "; fully validated"),
        ("a.date.test A", "; negative response, fully validated"),
        ("kid.date.test DS", "; fully validated"),
        ("far.off.date.test DS", "; negative response, fully validated"),
    ],
)
async def test_delv_validates_what_file_serves(tmp_path, caplog, question, expected):
    (base,) = work_in(tmp_path, RICH).keys
    async with running(SERVED, folder=tmp_path) as server:
        await said(caplog, DONE)
        await eventually(lambda: server_answers(server, "www.date.test"))
        fields = base.with_name(base.name + ".key").read_text().splitlines()[-1].split()[4:]
        anchors = tmp_path / "anchors"
        anchors.write_text(f'trust-anchors {{ date.test. static-key {" ".join(fields[:3])} "{"".join(fields[3:])}"; }};\n')
        command = [program("delv"), "-a", anchors, "+root=date.test", "@127.0.0.1", "-p", str(server.port), *question.split()]
        judged = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)
    assert expected in judged.stdout, judged.stdout + judged.stderr
