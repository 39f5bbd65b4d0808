"""The wheel holds what an installation needs, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """The names of the files in the wheel."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "Corefile.example"):
        shutil.copy(ROOT / name, source)
    for name in ("pycoredns", "plugins"):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", source / "out", source]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    (wheel,) = (source / "out").glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_all_plugins_are_in_it(contents):
    plugins = [path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()]
    assert len(plugins) >= 24
    for name in plugins:
        assert f"pycoredns/plugins/{name}/__init__.py" in contents
        assert f"pycoredns/plugins/{name}/README.md" in contents


def test_what_dev_serves_is_in_it(contents):
    assert "pycoredns/Corefile.example" in contents


def test_it_is_typed_and_licensed(contents):
    assert "pycoredns/py.typed" in contents
    assert any(name.endswith("licenses/LICENSE") for name in contents)


def test_no_tests_are_in_it(contents):
    assert not [name for name in contents if "/tests/" in name or not name.startswith("pycoredns")]
