"""Zones on disk: what comes back, and what is passed over."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from pycoredns.plugins.secondary import kept
from pycoredns.plugins.secondary.kept import Shelf
from pycoredns.plugins.secondary.tests.support import Primary, notify, secondary
from pycoredns.testing import eventually
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("a.test")


def zone(origin: bytes = ORIGIN, serial: int = 1, many: int = 3) -> Zone:
    soa = Record(origin, types.SOA, types.IN, 300, bytes(2) + serial.to_bytes(4, "big") + bytes(16))
    hosts = [Record(b"\4%04d" % number + origin, types.TXT, types.IN, 300, bytes((200,)) + bytes(200)) for number in range(many)]
    return Zone.of(origin, [soa, *hosts])


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_what_is_kept_comes_back_with_its_age(tmp_path: Path):
    shelf = Shelf(tmp_path)
    assert shelf.load(ORIGIN) is None
    await shelf.write(zone(many=9000))
    await shelf.write(zone(serial=2, many=9000))
    an_hour_ago = time.time() - 3600
    os.utime(shelf.path(ORIGIN), (an_hour_ago, an_hour_ago))
    found, age = shelf.load(ORIGIN) or pytest.fail("it is not there")
    assert found.serial == 2
    assert list(found.records()) == list(zone(serial=2, many=9000).records())
    assert 3600 <= age < 3660
    shelf.confirm(ORIGIN)
    assert (shelf.load(ORIGIN) or pytest.fail("it is not there"))[1] < 60
    assert files_in(tmp_path) == ["a.test.zone"]
    shelf.drop(ORIGIN)
    assert shelf.load(ORIGIN) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda octets: octets[:-1],
        lambda octets: octets[:100] + b"x" + octets[101:],
        lambda octets: b"",
        lambda octets: octets + b"x",
        lambda octets: b"$ORIGIN a.test.\n@ SOA . . 1 1 1 1 1\n",
    ],
)
async def test_what_is_not_whole_is_passed_over(tmp_path: Path, spoil):
    shelf = Shelf(tmp_path)
    await shelf.write(zone())
    path = shelf.path(ORIGIN)
    path.write_bytes(spoil(path.read_bytes()))
    assert shelf.load(ORIGIN) is None


async def test_another_zone_under_its_name_is_passed_over(tmp_path: Path):
    shelf = Shelf(tmp_path)
    await shelf.write(zone(names.from_text("b.test")))
    shelf.path(names.from_text("b.test")).rename(shelf.path(ORIGIN))
    assert shelf.load(ORIGIN) is None


async def test_a_folder_that_cannot_be_written_to_is_told_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    await Shelf(tmp_path / "gone").write(zone())
    assert f" cannot be kept in {tmp_path}/gone: No such file or directory" in caplog.text


async def test_of_many_versions_the_newest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written: list[int] = []
    shelf, write = Shelf(tmp_path), Shelf._write
    monkeypatch.setattr(Shelf, "_write", lambda self, zone: (written.append(zone.serial), write(self, zone)))
    for serial in range(1, 9):
        shelf.keep(zone(serial=serial))
        await asyncio.sleep(0)
    await shelf.close()
    assert written == [1, 8]
    assert (shelf.load(ORIGIN) or pytest.fail("it is not there"))[0].serial == 8


async def test_what_is_dropped_while_it_is_written_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writing, dropped, sync = threading.Event(), threading.Event(), os.fsync

    def wait_and_sync(file: int) -> None:
        writing.set()
        dropped.wait(5)
        sync(file)

    shelf = Shelf(tmp_path)
    monkeypatch.setattr(os, "fsync", wait_and_sync)
    shelf.keep(zone())
    await asyncio.to_thread(writing.wait, 5)
    shelf.drop(ORIGIN)
    dropped.set()
    await shelf.close()
    assert files_in(tmp_path) == []
    shelf.keep(zone(serial=2))
    await shelf.close()
    assert files_in(tmp_path) == ["a.test.zone"]


@pytest.mark.parametrize("text", [".", "a/b.test", r"\000\255.test", ".".join(["x" * 60] * 4), "a.test"])
def test_every_name_has_a_file_within_the_folder(tmp_path: Path, text: str):
    path = Shelf(tmp_path).path(names.from_text(text))
    assert path.parent == tmp_path
    assert len(path.name) <= 255
    path.touch()


async def test_what_is_not_on_disk_is_written_once_a_primary_confirms_it(tmp_path: Path, quick, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "PAUSE", 0.0)
    async with (
        Primary(["a.test. 300 SOA . . 1 3600 600 86400 60", "a.test. 300 NS ."]).running() as primary,
        secondary(primary, f"persist {tmp_path}") as server,
    ):
        await eventually(lambda: files_in(tmp_path) == ["a.test.zone"])
        (tmp_path / "a.test.zone").unlink()

        async def is_back() -> bool:
            await notify(server)
            return files_in(tmp_path) == ["a.test.zone"]

        await eventually(is_back)


async def test_what_could_not_be_written_does_not_pass_for_the_newest_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "PAUSE", 0.0)
    shelf, sync = Shelf(tmp_path), os.fsync
    await shelf.write(zone())
    os.utime(shelf.path(ORIGIN), (0, 0))
    monkeypatch.setattr(os, "fsync", lambda _: os.truncate("/dev/full/x", 0))
    await shelf.write(zone(serial=2))
    assert (shelf.confirm(ORIGIN), shelf.path(ORIGIN).stat().st_mtime) == (False, 0)
    monkeypatch.setattr(os, "fsync", sync)
    await shelf.write(zone(serial=2))
    assert shelf.confirm(ORIGIN)
