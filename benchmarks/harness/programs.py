"""The programs a comparison needs: found, built, or named with the way to install them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
PEERS = BENCHMARKS / ".peers"
COREDNS_VERSION = "1.14.7"


class MissingProgram(Exception):
    """A program that is not there and could not be built; the text says how to get it."""


def find_dnsperf() -> str:
    """The load generator (https://www.dns-oarc.net/tools/dnsperf)."""
    found = shutil.which("dnsperf")
    if not found:
        raise MissingProgram("dnsperf is not installed: apt install dnsperf")
    return found


def find_coredns() -> str:
    """The CoreDNS of the version compared with: from PATH, ~/go/bin, or built once into benchmarks/.peers."""
    known = (shutil.which("coredns"), Path.home() / "go/bin/coredns", PEERS / "coredns")
    for path in known:
        if path and coredns_version(str(path)) == COREDNS_VERSION:
            return str(path)
    return _build_coredns()


def coredns_version(path: str) -> str | None:
    """What a coredns says it is; None if it cannot be run."""
    try:
        printed = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return printed.split()[0].removeprefix("CoreDNS-") if printed else None


def _build_coredns() -> str:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    source = f"github.com/coredns/coredns@v{COREDNS_VERSION}"
    if not go:
        raise MissingProgram(
            f"CoreDNS {COREDNS_VERSION} is not on PATH and there is no Go to build it: install Go (https://go.dev/dl), "
            f"then `go install {source}`"
        )
    print(f"building CoreDNS {COREDNS_VERSION} into {PEERS} (a few minutes, once)", flush=True)
    PEERS.mkdir(exist_ok=True)
    built = subprocess.run([go, "install", source], env={**os.environ, "GOBIN": str(PEERS)})
    if built.returncode:
        raise MissingProgram(f"CoreDNS could not be built; try `go install {source}`")
    return str(PEERS / "coredns")
