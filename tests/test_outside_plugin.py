"""The example plugin, installed by pip beside the server as its users would do it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "pycoredns-hello"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder of packages that holds the example."""
    folder = tmp_path_factory.mktemp("outside")
    source = shutil.copytree(EXAMPLE, folder / "source")
    target = folder / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target, source]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    return target


def run(installed, *arguments, stdin=None):
    """What a command prints, with the example beside the server."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, timeout=60)


def test_it_is_listed_at_its_place(installed):
    lines = run(installed, "-m", "pycoredns", "plugins").stdout.splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    assert names.index("hello") == names.index("hosts") - 1
    assert any("pycoredns-hello" in line for line in lines)


def test_its_options_are_explained(installed):
    text = run(installed, "-m", "pycoredns", "help", "hello").stdout
    assert "hello [GREETING]" in text
    assert "what to say" in text


def test_its_mistakes_are_told(installed):
    result = run(installed, "-m", "pycoredns", "check", "-", stdin=".:1053 {\n hello one two\n}\n")
    assert result.returncode == 1
    assert ":2: hello" in result.stdout + result.stderr


def test_its_own_tests_pass(installed):
    """They run a server from a Corefile that names it."""
    result = run(installed, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(EXAMPLE), str(EXAMPLE / "tests"))
    assert result.returncode == 0, result.stdout


FAILURES = {
    "def broken(:": "SyntaxError: ",
    "raise TypeError('Descriptors cannot be created directly')": "TypeError: Descriptors cannot be created directly",
    "open('/nonexistent/settings')": "FileNotFoundError: ",
    "raise SystemExit('this release needs another Python')": "SystemExit: this release needs another Python",
}


@pytest.fixture
def failing(request, tmp_path):
    """A folder of packages with a plugin whose module is this text, and with a package that cannot be read as text."""
    (tmp_path / "failing.py").write_text(request.param)
    for name, entry_points in {"failing": b"[pycoredns.plugins]\nfailing = failing:Failing\n", "odd": b"\xff\xfe"}.items():
        metadata = tmp_path / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "entry_points.txt").write_bytes(entry_points)
    return tmp_path


@pytest.mark.parametrize(("failing", "cause"), FAILURES.items(), indirect=["failing"])
def test_one_that_fails_when_it_is_imported_is_named_with_the_reason(failing, cause):
    said = f'plugin "failing" fails when it is imported ({cause}'
    checked = run(failing, "-m", "pycoredns", "check", "-", stdin=".:1053 {\n errors\n failing\n}\n")
    assert (checked.returncode, checked.stderr) == (1, "")
    assert checked.stdout.startswith(f"stdin:3: {said}")
    listed = run(failing, "-m", "pycoredns", "plugins")
    assert (listed.returncode, listed.stderr) == (1, "")
    assert f"\nnot usable: {said}" in listed.stdout
    assert "\nwhoami " in listed.stdout


def test_a_package_that_may_not_be_read_keeps_no_other_from_working(tmp_path):
    (tmp_path / "closed-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)  # which cannot be read, even by root
    result = run(tmp_path, "-m", "pycoredns", "check", "-", stdin=".:1053 {\n whoami\n}\n")
    assert (result.returncode, result.stderr) == (0, "")


PLACES = {"nearer": "forward", "outer": "nearer", "lost": "nowhere", "left": "right", "right": "left"}
"""Plugins with those that they want to stand before."""
NOWHERE = 'plugin "lost" wants to stand before "nowhere", which there is not; install that, or change its attribute before'
CIRCLE = 'plugins want to stand in a circle, "left" before "right", "right" before "left"; change the attribute before of one'


@pytest.fixture(scope="module")
def wishing(tmp_path_factory):
    """A folder of packages with these plugins."""
    folder = tmp_path_factory.mktemp("wishing")
    classes = "".join(f"class {name.title()}(Plugin):\n    before = {before!r}\n" for name, before in PLACES.items())
    (folder / "wishing.py").write_text(f"from pycoredns.plugin import Plugin\n{classes}")
    metadata = folder / "wishing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: wishing\nVersion: 1.0\n")
    points = "".join(f"{name} = wishing:{name.title()}\n" for name in PLACES)
    (metadata / "entry_points.txt").write_text(f"[pycoredns.plugins]\n{points}")
    return folder


def test_plugins_are_listed_with_those_that_have_no_place(wishing):
    lines = run(wishing, "-m", "pycoredns", "plugins").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    place = names.index("outer")
    assert names[place : place + 3] == ["outer", "nearer", "forward"]
    assert f"not usable: {NOWHERE}" in lines
    assert f"not usable: {CIRCLE}" in lines


@pytest.mark.parametrize(
    ("directives", "complaints"),
    [
        (["outer"], []),
        (["errors", "outer", "nearer"], []),
        (["errors", "lost", "cache -5"], [f"3: {NOWHERE}", "4: cache: "]),
        (["nonsense", "lost", "left"], ["2: unknown ", f"3: {NOWHERE}", f"4: {CIRCLE}"]),
    ],
)
def test_a_plugin_without_a_place_is_told_where_it_is_used(wishing, directives, complaints):
    checked = run(wishing, "-m", "pycoredns", "check", "-", stdin="\n".join([".:1053 {", *directives, "}\n"]))
    assert checked.returncode == (1 if complaints else 0)
    *found, _ = checked.stdout.splitlines() if complaints else [""]
    assert len(found) == len(complaints)
    for line, complaint in zip(found, complaints, strict=True):
        assert line.startswith(f"stdin:{complaint}")
