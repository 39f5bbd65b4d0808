"""Which Python is measured, and whether it was compiled as Python should be: that is worth a fifth to a third of its speed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# A compiler that knows a profile (PGO) puts what runs often, seldom and never far apart; without one the functions of a source
# file stay together. That can be seen in any interpreter, also where its own record of how it was configured (sysconfig) is of
# another build, as Debian's is.
LOOK = """
import ctypes, json, platform, sys, sysconfig
names = "New GetItem SetItem DelItem Clear Next Copy MergeFromSeq2 Merge Update Size Keys Values Items Contains DelItemString"
places = [ctypes.cast(getattr(ctypes.pythonapi, "PyDict_" + name), ctypes.c_void_p).value for name in names.split()]
print(json.dumps({
    "version": platform.python_version(),
    "path": sys.executable,
    "arguments": sysconfig.get_config_var("CONFIG_ARGS") or "",
    "spread": max(places) - min(places),
}))
"""
FAR_APART = 200_000  # bytes; dictobject.c is under 50,000


@dataclass(frozen=True)
class Interpreter:
    """A Python and how it was built."""

    version: str
    path: str
    arguments: str
    spread: int

    @property
    def profiled(self) -> bool:
        """Whether it was compiled with a profile."""
        return "--enable-optimizations" in self.arguments or self.spread > FAR_APART

    def __str__(self) -> str:
        """For the table."""
        link_time = ", LTO" if "--with-lto" in self.arguments else ""
        return f"{self.version} ({'PGO' if self.profiled else 'not optimised'}{link_time})"

    def warning(self) -> str:
        """What to say about it; empty if it is good."""
        if self.profiled:
            return ""
        return (
            f"{self.path} was compiled without a profile (--enable-optimizations) and is 20-35 % slower than "
            f"Debian's python3 or the official images': give another by --server 'PREFIX/bin/pycoredns -conf {{corefile}}'"
        )


def interpreter_of(command: str) -> Interpreter | None:
    """The Python that a server's command runs in; None if it is none."""
    python = _python_of(shlex.split(command)[0])
    if not python:
        return None
    done = subprocess.run([python, "-c", LOOK], capture_output=True, text=True, timeout=30)
    return Interpreter(**json.loads(done.stdout)) if not done.returncode else None


def _python_of(program: str) -> str | None:
    """A Python itself, or the one that a script's first line names."""
    found = shutil.which(program)
    if not found:
        return None
    if Path(found).name.startswith("python"):
        return found
    with Path(found).open("rb") as stream:
        first, second = stream.readline(500), stream.readline(500)
    if first.startswith(b"#!/bin/sh") and b"exec" in second:  # how pip writes it where the path is long
        return shlex.split(second.decode())[1].strip("'\"")
    words = first.removeprefix(b"#!").decode(errors="replace").split()
    return words[0] if first.startswith(b"#!") and "python" in words[0] else None
