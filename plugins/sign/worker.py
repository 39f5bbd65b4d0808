"""Signs zones in a process of its own, so that nobody waits for it and its memory is given back.

``main`` reads works as lines of JSON from standard input, and writes for each what ``perform`` returns to standard output.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pycoredns.dnssec.keys import BadKeyError
from pycoredns.plugins.sign.options import read_signing_key
from pycoredns.plugins.sign.signing import Lifetime, SignedZone
from pycoredns.plugins.sign.state import DAY, HOUR, MADE_FROM, Beginning, digest, read_beginning, reason, time_text
from pycoredns.plugins.sign.work import Outcome, Work, from_line
from pycoredns.plugins.sign.writing import record_lines, replacing
from pycoredns.wire import names
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.reading import read_zone
from pycoredns.zone.zone import Zone

_BEFORE, _BEFORE_JITTER = 3 * HOUR, 18 * HOUR
"""How long ago signatures begin to hold: clocks differ; and up to how much longer, so that zones differ."""
_AFTER, _AFTER_JITTER = 32 * DAY, 5 * DAY
"""How long they hold, and up to how much longer."""
_KINDNESS = 10
"""The server's own work goes first."""


def main() -> None:
    """Works until there is no more to do; ended by SIGTERM it leaves no half-written file behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the server says when to stop
    with suppress(OSError):
        os.nice(_KINDNESS)
    for line in sys.stdin:
        print(json.dumps(perform(from_line(line))), flush=True)


def perform(work: Work) -> Outcome:
    """Signs a zone: ``serial`` (null where it is good already) or ``error`` or ``unwritable``, and ``seconds`` that it took."""
    begun, said = time.monotonic(), dict[str, Any]()
    try:
        with _alone_in(work.target.parent):
            said["serial"] = sign(work, time.time())
    except (BadKeyError, BadZoneError) as error:
        said["error"] = str(error)
    except OSError as error:
        said["unwritable"] = _told(error)
    except Exception as error:  # noqa: BLE001  a background task ends here; the other zones are signed all the same
        traceback.print_exc()
        said["error"] = repr(error)
    return {**said, "seconds": time.monotonic() - begun}


def _told(error: OSError) -> str:
    """As Go tells it: ``open FILE: permission denied``."""
    reason = (error.strerror or str(error)).lower()
    return f"open {error.filename}: {reason}" if error.filename else reason


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process signs into a folder: several servers, or workers of one, may share it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks: the last to be ready wins
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sign(work: Work, now: float) -> int | None:
    """Makes the signed file of a zone, and returns its serial; None where it is good already.

    Raises BadKeyError and BadZoneError, and OSError where it cannot be written.
    """
    keys = [read_signing_key(base, work.zone) for base in work.keys]
    if reason(work, {(key.algorithm, key.tag) for key in keys}, now) is None:
        return None
    made_from, zone = _read(work)
    signed = SignedZone(zone, keys, next_serial(work.target, int(now)), lifetime(now))
    with replacing(work.target) as file:
        file.write(f"; {names.to_text(work.zone)} signed by pycoredns at {time_text(now)}\n{MADE_FROM}{made_from}\n")
        file.writelines(record_lines(signed.records()))
    return signed.serial


def _read(work: Work) -> tuple[str, Zone]:
    """The zone, and the digest of its file before it was read: what changes meanwhile is seen the next time."""
    try:
        return digest(work.source), read_zone(work.source, work.zone)
    except OSError as error:
        raise BadZoneError("", _told(error)) from None


def next_serial(target: Path, now: int) -> int:
    """The Unix time, or one more than the present serial where that is not before it, as in the same second.

    One that was made here while the clock was days ahead is no exception, or secondaries would not take the zone (RFC 1982 §3.2).
    """
    try:
        found = read_beginning(target)
    except OSError:
        found = Beginning()
    ahead = None if found.serial is None else (found.serial - now) & 0xFFFFFFFF
    most = DAY if found.made_from is None else 1 << 31
    return (now if ahead is None or ahead >= most else now + ahead + 1) & 0xFFFFFFFF


def lifetime(now: float) -> Lifetime:
    """From some hours ago to a month ahead, by chance so that not all zones are signed again at once."""
    before = _BEFORE + random.uniform(0, _BEFORE_JITTER)  # noqa: S311  spreads load, keeps no secret
    after = _AFTER + random.uniform(0, _AFTER_JITTER)  # noqa: S311  likewise
    return Lifetime(int(now - before), int(now + after))
