"""The C library's memory: what gRPC and a listing need for a moment only is given back, some 2 MB of it.

Where the C library is not glibc, nothing is done.
"""

from __future__ import annotations

import ctypes

_ARENA_MAX = -8
"""M_ARENA_MAX of mallopt(3)."""
_libc = ctypes.CDLL(None)


def share_one_arena() -> None:
    """Has threads that are started from now on allocate where the event loop does: gRPC's ten do little, but each on its own."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_ARENA_MAX, 1)


def trim() -> None:
    """Gives back what is free."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
