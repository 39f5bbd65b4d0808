"""When a key is shown, signs, and is named to the parent, as its times say (RFC 7583 and BIND's timing metadata)."""

from __future__ import annotations

from collections.abc import Iterable

from pycoredns.dnssec.keys import Key


def published(key: Key, now: float) -> bool:
    """Does its DNSKEY belong into the zone? One whose times say nothing does; one is not shown later than it signs."""
    times = key.times
    starts = [start for start in (times.publish, times.activate) if start is not None]
    return (not starts or min(starts) <= now) and not _over(times.delete, now)


def active(key: Key, now: float) -> bool:
    """Does it sign? One that says when it is published, but not when it signs, does not yet."""
    times = key.times
    begun = times.activate <= now if times.activate is not None else times.publish is None
    return begun and not _over(times.inactive, now) and not _over(times.delete, now)


def synchronized(key: Key, now: float) -> bool:
    """Is the parent asked for its DS, by CDS and CDNSKEY (RFC 7344)?"""
    times = key.times
    return key.secure_entry_point and _over(times.syncpublish, now) and not _over(times.syncdelete, now)


def next_event(keys: Iterable[Key], now: float) -> float | None:
    """When the next of their times comes; None where all have passed."""
    times = [time for key in keys for time in vars(key.times).values() if time is not None and time > now]
    return min(times, default=None)


def _over(time: int | None, now: float) -> bool:
    return time is not None and time <= now
