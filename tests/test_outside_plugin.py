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
