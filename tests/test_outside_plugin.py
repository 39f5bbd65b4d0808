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
