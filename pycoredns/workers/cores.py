"""How many cores there are for us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
"""Where groups of processes are, each a folder in that of a larger one (cgroups(7))."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""Which of them this process is in: lines of a hierarchy's number, its controllers (none in version 2), and a path."""


def usable(groups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """The cores this process may run on, but no more than the groups it is in, its container for one, have a share of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError):
        for folder in _folders(groups, membership.read_text()):
            cores = min(cores, ceil(_share(folder)))
    return max(cores, 1)


def _folders(groups: Path, membership: str) -> Iterator[Path]:
    """Those of the groups we are in, and of the larger ones around them."""
    for line in membership.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            inner = PurePosixPath(group.removeprefix("/"))
            for path in (inner, *inner.parents):
                yield groups / controllers / path


def _share(folder: Path) -> float:
    """A group's time on all cores in a period, in periods; without a limit more than there can be."""
    with suppress(OSError, ValueError):
        share, period = map(int, (folder / "cpu.max").read_text().split())  # version 2; "max" is no limit
        return share / period
    with suppress(OSError, ValueError):
        share, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return share / period if share > 0 else float(os.cpu_count() or 1)
    return float(os.cpu_count() or 1)
