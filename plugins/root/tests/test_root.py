"""Where relative paths begin."""

import logging

import pytest

from pycoredns.errors import ConfigErrors
from pycoredns.testing import running

COREFILE = ".:{port} {\nbind 127.0.0.1\nhosts my.hosts\nroot {first}\nroot {last}\n}"


async def test_the_last_line_counts_wherever_it_stands(tmp_path):
    for name, address in (("first", "192.0.2.1"), ("last", "192.0.2.2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my.hosts").write_text(f"{address} a.test\n")
    async with running(COREFILE, first=tmp_path / "first", last=tmp_path / "last") as server:
        assert await server.answers("a.test") == ["A 192.0.2.2"]


async def test_a_folder_that_is_not_there_is_only_warned_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        async with running(".:{port} {\nbind 127.0.0.1\nroot {missing}\nwhoami\n}", missing=tmp_path / "missing") as server:
            assert await server.rcode("a.test") == "NOERROR"
    assert f"Root path does not exist: {tmp_path}/missing" in caplog.text


@pytest.mark.parametrize(
    ("words", "cause"), [("", "PATH is missing"), ("a b", "unexpected"), ("{file}/below", "cannot be accessed: Not a directory")]
)
async def test_paths_that_are_refused(tmp_path, words, cause):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigErrors, match=cause):
        async with running(f".:{{port}} {{\nroot {words}\nwhoami\n}}".replace("{file}", str(tmp_path / "file"))):
            pass
