"""What a server prints when it starts."""

import io
import logging
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.reload import Reloader
from pycoredns.server import Server
from pycoredns.sources import Source, find, tell_doubts
from pycoredns.testing import running


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (".", [".:53"]),
        ("zz.test aa.test:1053 aa.test", ["aa.test.:53", "zz.test.:53", "aa.test.:1053"]),
        ("10.0.0.0/24 2001:db8::/32", ["0.0.10.in-addr.arpa.:53", "8.b.d.0.1.0.0.2.ip6.arpa.:53"]),
        ("x1-2.a.test", ["x1-2.a.test.:53"]),
        *[
            (zone, [f'Warning: Domain "{zone}." does not follow RFC1035 preferred syntax', f"{zone}.:53"])
            for zone in ("_tcp.test", "*.test", "a-.test", "-a.test", "1a.test", "10.0.0.1", "http:/x")
        ],
        (r"a\.b.test", [r'Warning: Domain "a\\.b.test." does not follow RFC1035 preferred syntax', r"a\.b.test.:53"]),
    ],
)
def test_lines_tell_what_is_served_and_what_is_unusual(keys: str, lines: list[str]) -> None:
    found = Server(assemble(parse(f"{keys} {{\n whoami\n}}\n"))).start_lines()
    assert sorted(found) == sorted(lines)
    for before, after in pairwise(found):
        assert not before.startswith("Warning") or after.removesuffix(":53") in before.replace("\\\\", "\\")


def test_the_address_is_told_where_there_is_one() -> None:
    corefile = parse("_a.test:1053 {\n bind 127.0.0.1\n whoami\n}\n")
    assert Server(assemble(corefile)).start_lines()[1:] == ["_a.test.:1053 on 127.0.0.1"]


def test_an_import_of_nothing_is_logged_as_coredns_does(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell_doubts(parse(". {\n import none/*.conf\n whoami\n}\n"))
    assert caplog.messages == ["No files matching import glob pattern: none/*.conf"]


async def test_a_corefile_that_cannot_be_served_is_told_as_coredns_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(".:{port} {\n whoami\n}") as server:
        file = tmp_path / "Corefile"
        file.write_text(". {\n nope\n}\n")
        assert not await Reloader(server.server, Source(str(file))).reload()
    assert [line for line in caplog.messages if line.startswith(f"Restart failed: {file}:2: unknown directive")]


def test_the_default_is_served_only_where_there_is_no_corefile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there and cannot be read is a mistake."""
    monkeypatch.chdir(tmp_path)
    assert find(None).read().empty
    Path("Corefile").symlink_to("Corefile")
    with pytest.raises(OSError, match="symbolic links"):
        find(None).read()
    Path("Corefile").unlink()
    Path("Corefile").write_text("a.test {\n}\n")
    assert not find(None).read().empty


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_standard_input_is_read_as_a_file_is_whatever_the_locale(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    octets = '. {\n log . "gr\u00fc\u00df" # '.encode() + b"\xff\n}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets), encoding))
    assert find("stdin").text == octets.decode("utf-8", "replace")
