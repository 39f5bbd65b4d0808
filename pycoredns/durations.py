"""Lengths of time as Go prints them, which is how CoreDNS shows them in its lines."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """As ``300ms``, ``2s``, ``1.5s``, ``1m30s``, ``1h0m0s``; below a second in the largest unit that gives a whole part."""
    nanoseconds = round(abs(seconds) * 1e9)
    sign = "-" if seconds < 0 and nanoseconds else ""
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if 0 < nanoseconds < min(size * 1000, 1_000_000_000):
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    if minutes >= 60:
        text = f"{minutes // 60}h{text}"
    return sign + text


def seconds_text(nanoseconds: int) -> str:
    """Seconds as the shortest decimal fraction: ``0.002999881``, ``1.5``, ``2``."""
    return _decimal(nanoseconds, 1_000_000_000)


def _decimal(number: int, unit: int) -> str:
    """A number of units, exact, without zeros at its end."""
    whole, fraction = divmod(number, unit)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{len(str(unit)) - 1}d}".rstrip("0")
