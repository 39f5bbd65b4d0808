"""Which files hold which zones."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pycoredns.plugins.auto.folder import look
from pycoredns.plugins.auto.naming import WORKING_DIRECTORY, ZoneFiles
from pycoredns.wire import names


def files(pattern, template):
    return ZoneFiles(Path(), re.compile(pattern, re.ASCII), template)


@pytest.mark.parametrize(
    ("pattern", "template", "name", "expected"),
    [
        (None, None, "db.example.org", "example.org."),
        (None, None, "db.Example.ORG.", "example.org."),
        (None, None, "www.db.example.org", "example.org."),
        (None, None, "example.org.zone", None),
        (None, None, "db.", None),
        (None, None, "db..", "."),
        (None, None, "db.0-25.2.0.192.in-addr.arpa", "0-25.2.0.192.in-addr.arpa."),
        (r"(.*)_(.*)\.zone$", "{2}.{1}", "org_example.zone", "example.org."),
        (r"(.*)_(.*)\.zone$", "{2}.{1}", "org_example.zone.bak", None),
        (r"^(?P<name>.*)\.zone$", "{name}", "example.org.zone", "example.org."),
        (r"(?P<name>.*)\.zone", "$name", "example.org.zone", "example.org."),
        (r"(.*)\.zone", "$1", "example.org.zone", "example.org."),
        (r"(.*)\.zone", "$1x", "example.org.zone", None),
        (r"(.*)\.zone", "{1}x", "example.zone", "examplex."),
        (r"(.*)\.zone", "{0}", "example.zone", "example.zone."),
        (r"(.*)\.zone", "{2}", "example.zone", None),
        (r"(.*)\.zone", "{01}", "example.zone", None),
        (r"(.*)\.zone", "{none}.org", "example.zone", "error"),
        (r"(.*)\.zone", "fixed.org", "example.zone", "fixed.org."),
        (r"(.*)\.zone", "$$.org", "example.zone", "$.org."),
        (r"(.*)\.zone", "$.org", "example.zone", "$.org."),
        (r"(.*)\.zone", "{1.org", "example.zone", "${1.org."),
        (r"(a)|(b)", "{1}{2}.org", "b", "b.org."),
        (r"(.*)\.zone", "{1}", "a..b.zone", "error"),
        (r"(.*)\.zone", "{1}", f"{'x' * 64}.zone", "error"),
    ],
)
def test_names_of_files_make_names_of_zones(pattern, template, name, expected):
    wanted = WORKING_DIRECTORY if pattern is None else files(pattern, template)
    try:
        origin = wanted.origin(name)
    except names.BadNameError:
        assert expected == "error"
    else:
        assert (origin and names.to_text(origin)) == expected


def seen(folder):
    """What a look at a folder finds: zones with their paths, complaints; without the folder's own path."""
    found = look(ZoneFiles(folder))
    own = os.path.realpath(folder)
    zones = {names.to_text(origin): path.removeprefix(f"{own}/") for origin, path in found.files.items()}
    return zones, [complaint.replace(f"{own}/", "", 2) for complaint in found.complaints]


def test_folders_below_are_looked_through_links_to_folders_are_not(tmp_path):
    folder, other = tmp_path / "zones", tmp_path / "other"
    (folder / "sub" / "deep").mkdir(parents=True)
    other.mkdir()
    for path in (folder / "db.a.test", folder / "sub" / "db.b.test", folder / "sub" / "deep" / "db.c.test", other / "db.d.test"):
        path.touch()
    (folder / "linked").symlink_to(other)
    (folder / "db.linked.test").symlink_to(other)
    (folder / "db.e.test").symlink_to(other / "db.d.test")
    (folder / "notes.txt").touch()
    expected = {"a.test.": "db.a.test", "e.test.": "db.e.test", "b.test.": "sub/db.b.test", "c.test.": "sub/deep/db.c.test"}
    assert seen(folder) == (expected, ["db.linked.test is not a file"])
    (tmp_path / "link").symlink_to(folder)
    assert seen(tmp_path / "link")[0] == expected


def test_the_first_of_several_files_counts(tmp_path):
    for name in ("b", "a", "a/z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "db.date.test").touch()
    texts = [
        f'Multiple zone files match origin "date.test.": using "a/db.date.test" instead of "{other}/db.date.test"'
        for other in ("a/z", "b")
    ]
    assert seen(tmp_path) == ({"date.test.": "a/db.date.test"}, texts)


def test_files_in_the_present_folder_are_told_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("1.date.test", "2.date.test"):
        Path(name).touch()
    told = look(files(r"\d\.(.*)", "{1}")).complaints
    assert told == ['Multiple zone files match origin "date.test.": using "1.date.test" instead of "2.date.test"']


def test_a_folder_as_kubernetes_mounts_it_is_no_conflict(tmp_path):
    data = tmp_path / "..2026_11_21"
    data.mkdir()
    (data / "db.date.test").touch()
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "db.date.test").symlink_to("..data/db.date.test")
    assert seen(tmp_path) == ({"date.test.": "..2026_11_21/db.date.test"}, [])


def test_what_is_no_file_is_told(tmp_path):
    os.mkfifo(tmp_path / "db.pipe.test")
    (tmp_path / "db.gone.test").symlink_to("nowhere")
    (tmp_path / "db.a..b").touch()
    zones, complaints = seen(tmp_path)
    assert zones == {"gone.test.": "db.gone.test"}
    assert complaints[0].startswith("db.a..b: its name makes no name of a zone: ")
    assert complaints[1:] == ["db.pipe.test is not a file"]


def test_any_octets_may_stand_in_a_files_name(tmp_path):
    for name in (b"db.\xff.test", b"db.a\x07b.test", b"db.a\x07b..test"):
        (tmp_path / os.fsdecode(name)).touch()
    zones, complaints = seen(tmp_path)
    assert zones == {"a\\007b.test.": "db.a\x07b.test"}
    assert [complaint.partition(": ")[::2] for complaint in complaints] == [
        ("db.a\\x07b..test", "its name makes no name of a zone: 'a\\x07b..test': a label needs 1 to 63 octets"),
        ("db.\\udcff.test", "its name makes no name of a zone: '\\udcff.test': not UTF-8"),
    ]


def test_links_that_lead_nowhere_are_left_to_be_opened(tmp_path):
    (tmp_path / "db.circle.test").symlink_to("db.circle.test")
    assert seen(tmp_path) == ({"circle.test.": "db.circle.test"}, [])


def test_folders_may_be_very_deep(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    assert seen(tmp_path) == ({}, [])
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest's own way to remove it would be too deep


def test_paths_are_relative_as_the_folder_is(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "db.a.test").touch()
    (tmp_path / "zones").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert list(look(ZoneFiles(Path("zones"))).files.values()) == ["real/db.a.test"]
    assert list(look(ZoneFiles(tmp_path / "zones")).files.values()) == [f"{os.path.realpath(tmp_path)}/real/db.a.test"]


def test_a_missing_folder_is_empty(tmp_path):
    found = look(ZoneFiles(tmp_path / "none"))
    assert found.complaints == [f"error reading {tmp_path}/none: lstat {tmp_path}/none: no such file or directory"]
    assert found.knows(tmp_path / "none" / "db.date.test")


def test_nothing_is_known_of_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "db.a.test").touch()
    scan = os.scandir

    def failing(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", failing)
    found = look(ZoneFiles(tmp_path))
    assert found.complaints == [f"error reading {tmp_path}/sub: open {tmp_path}/sub: permission denied"]
    assert not found.knows(tmp_path / "sub" / "deep" / "db.b.test")
    assert found.knows(tmp_path / "db.gone.test")
    assert found.knows(tmp_path / "subway" / "db.gone.test")
