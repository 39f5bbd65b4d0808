"""Other people's name servers and checkers, which judge what we serve; those that are missing are installed, or said to be."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

PACKAGES = {
    "named": "bind9",
    "rndc": "bind9",
    "named-checkconf": "bind9-utils",
    "named-checkzone": "bind9-utils",
    "named-compilezone": "bind9-utils",
    "dnssec-keygen": "bind9-utils",
    "dnssec-signzone": "bind9-utils",
    "dnssec-verify": "bind9-utils",
    "tsig-keygen": "bind9",
    "nsupdate": "bind9-dnsutils",
    "dig": "bind9-dnsutils",
    "delv": "bind9-dnsutils",
    "drill": "ldnsutils",
    "ldns-keygen": "ldnsutils",
    "ldns-signzone": "ldnsutils",
    "ldns-verify-zone": "ldnsutils",
    "unbound": "unbound",
    "unbound-checkconf": "unbound",
    "unbound-host": "unbound-host",
    "nsd": "nsd",
    "nsd-checkzone": "nsd",
    "nsd-control": "nsd",
    "knotd": "knot",
    "knotc": "knot",
    "kzonecheck": "knot-dnsutils",
    "kdig": "knot-dnsutils",
    "knsupdate": "knot-dnsutils",
    "dnsviz": "dnsviz",
}
"""The Debian package that has each program."""
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where servers are, though an ordinary user's PATH may not say so
_LOCK_SECONDS = 300
"""How long another apt may hold the lock."""


@cache
def program(name: str) -> Path:
    """The path of a program. Where it is missing it is installed; else the test fails in CI and is skipped elsewhere."""
    found = _find(name)
    if found is None and _may_install():
        _install(PACKAGES[name])
        found = _find(name)
    if found is None:
        _give_up(f"{name} is missing: apt-get install --no-install-recommends {PACKAGES[name]}")
    return found


def _find(name: str) -> Path | None:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS]))
    return Path(found) if found else None


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(package: str) -> None:
    """Installs a package without starting its service, from fresh lists where those that are there do not do."""
    if not _apt("install", "--yes", "--no-install-recommends", package) and _update():
        _apt("install", "--yes", "--no-install-recommends", package)


@cache
def _update() -> bool:
    """Fetches the lists of packages, once for all tests."""
    return _apt("update")


def _apt(*arguments: str) -> bool:
    """Runs apt-get; says whether it did what it was asked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # at 1 nothing is started (invoke-rc.d(8))
    command = ["apt-get", "--quiet", "-o", f"DPkg::Lock::Timeout={_LOCK_SECONDS}", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=2 * _LOCK_SECONDS).returncode == 0


def _give_up(line: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(line, pytrace=False)
    pytest.skip(line)
