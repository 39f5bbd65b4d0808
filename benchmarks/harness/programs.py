"""The programs a comparison needs: found, built, or named with the way to install them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
PEERS = BENCHMARKS / ".peers"
COREDNS_VERSION = "1.14.7"
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"  # of servers, which are not on everybody's PATH


class MissingProgram(Exception):
    """A program that is not there and could not be built; the text says how to get it."""


@dataclass(frozen=True)
class PeerProgram:
    """A server to compare with besides CoreDNS: how it is run in the foreground, and how it says its version."""

    arguments: str
    version_flag: str


PEER_PROGRAMS = {
    "unbound": PeerProgram("-d -c {corefile}", "-V"),
    "dnsdist": PeerProgram("--supervised --disable-syslog -C {corefile}", "--version"),
    "nsd": PeerProgram("-d -c {corefile}", "-v"),
}


def find(name: str) -> str | None:
    """Where a program is."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}")


def find_dnsperf() -> str:
    """The load generator (https://www.dns-oarc.net/tools/dnsperf)."""
    found = find("dnsperf")
    if not found:
        raise MissingProgram("dnsperf is not installed: apt install dnsperf")
    return found


def peer_command(name: str) -> str | None:
    """How a peer is started; None if it is not installed (`apt install` and its name)."""
    if name not in PEER_PROGRAMS:
        raise MissingProgram(f"{name} is no server that can be compared with; those are {', '.join(PEER_PROGRAMS)}")
    found = find(name)
    return f"{found} {PEER_PROGRAMS[name].arguments}" if found else None


def peer_version(name: str) -> str:
    """What an installed peer says it is."""
    printed = subprocess.run([find(name) or name, PEER_PROGRAMS[name].version_flag], capture_output=True, text=True, timeout=10)
    found = re.search(r"\d+\.\d+[.\w]*", printed.stdout + printed.stderr)
    return found[0] if found else "?"


def find_coredns() -> str:
    """The CoreDNS of the version compared with: one that is there, or built once into benchmarks/.peers."""
    return installed_coredns() or _build_coredns()


def installed_coredns() -> str | None:
    """A CoreDNS of the right version on PATH, in ~/go/bin or in benchmarks/.peers."""
    known = (shutil.which("coredns"), Path.home() / "go/bin/coredns", PEERS / "coredns")
    return next((str(path) for path in known if path and coredns_version(str(path)) == COREDNS_VERSION), None)


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
