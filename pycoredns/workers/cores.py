"""How many cores there are for us."""

from __future__ import annotations

import os
from contextlib import suppress
from math import ceil
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use (cgroup v2): microseconds of time in a period, or ``max``, and the period."""


def usable(quota: Path = QUOTA) -> int:
    """The cores this process may run on, but no more than its container has a share of."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        share, period = map(int, quota.read_text().split())
        cores = min(cores, ceil(share / period))
    return max(cores, 1)
