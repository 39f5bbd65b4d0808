"""Kinds of values that are numbers: counts, sizes, durations and TTLs, each with its bounds (see kinds.py for what a kind is)."""

from __future__ import annotations

import re
from typing import ClassVar, Self

from pycoredns.corefile.model import Token
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.durations import duration_text

# Compiled when a Corefile has such words: the three take a hundredth of a start.
_WHOLE = r"[+-]?[0-9]+"
_DURATION = r"[+-]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)"
_DURATION_PART = r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)"
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_DURATION = (1 << 63) / 1e9


def is_whole(text: str) -> bool:
    """For `Argument(meant=is_whole)`: is the word a whole number?"""
    return re.fullmatch(_WHOLE, text) is not None


def is_duration(text: str) -> bool:
    """For `Argument(meant=is_duration)`: is the word a Go duration?"""
    return re.fullmatch(_DURATION, text) is not None


class Whole(int):
    """A whole number of 64 bits; subclasses set narrower bounds."""

    placeholder = "NUMBER"
    lowest: ClassVar[int] = -(1 << 63)
    highest: ClassVar[int] = (1 << 63) - 1

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Decimal digits with an optional sign."""
        return cls.within_bounds(token.text, token.text)

    @classmethod
    def within_bounds(cls, digits: str, text: str) -> Self:
        """The number that the digits mean; mistakes quote the whole text."""
        if len(digits) > 20 or not is_whole(digits):
            raise BadValueError(f'"{text}" is not a whole number')
        value = int(digits)
        if value < cls.lowest:
            raise BadValueError(f'"{text}" is too small', f"it must be at least {cls.lowest}")
        if value > cls.highest:
            raise BadValueError(f'"{text}" is too large', f"it can be {cls.highest} at most")
        return cls(value)


class Count(Whole):
    """How many; 0 or more."""

    placeholder = "COUNT"
    lowest = 0


class PositiveCount(Count):
    """How many; 1 or more."""

    lowest = 1


class Port(Whole):
    """A port number."""

    placeholder = "PORT"
    lowest = 1
    highest = 65535


class Seconds(Whole):
    """Whole seconds, written as a plain number."""

    placeholder = "SECONDS"
    lowest = 0


class PositiveSeconds(Seconds):
    """Whole seconds, at least one, written as a plain number."""

    lowest = 1


class TTL(Whole):
    """A TTL in whole seconds, written as a plain number (RFC 2181 §8)."""

    placeholder = "TTL"
    lowest = 0
    highest = 0x7FFFFFFF


class Percentage(Whole):
    """A whole number with a percent sign: `10%`."""

    placeholder = "PERCENTAGE"
    lowest = 0
    highest = 100

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """The percent sign must be there."""
        if not token.text.endswith("%"):
            raise BadValueError(f'"{token.text}" is not a percentage', "write it as 10%")
        return cls.within_bounds(token.text[:-1], token.text)

    @property
    def written(self) -> str:
        """As it would stand in a Corefile."""
        return f"{int(self)}%"


class Duration(float):
    """Seconds, written as Go writes durations: `5s`, `1m30s`, `100ms`; 0 needs no unit."""

    placeholder: ClassVar[str] = "DURATION"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Negative ones are refused unless a subclass sets another `lowest`."""
        value = cls.read(token.text)
        if cls.lowest is not None and value < cls.lowest:
            if cls.lowest == 0:
                raise BadValueError(f'"{token.text}" is negative')
            raise BadValueError(f'"{token.text}" is too short', f"it must be at least {cls(cls.lowest).written}")
        if cls.highest is not None and value > cls.highest:
            raise BadValueError(f'"{token.text}" is too long', f"it can be {cls(cls.highest).written} at most")
        return value

    @classmethod
    def read(cls, text: str) -> Self:
        """The duration that a text means, within no bounds."""
        if not is_duration(text):
            raise BadValueError(f'"{text}" is not a duration', "write it as 5s, 1m30s or 100ms")
        value = round(sum(float(number) * _UNITS[unit] for number, unit in re.findall(_DURATION_PART, text)), 9)
        if value > _LONGEST_DURATION:
            raise BadValueError(f'"{text}" is too long', "it can be 2562047h at most")
        return cls(-value if text.startswith("-") else value)

    @property
    def written(self) -> str:
        """As it would stand in a Corefile."""
        return f"{float(self):g}s" if self >= 1 else duration_text(self)


class SignedDuration(Duration):
    """Seconds, written as Go writes durations; may be negative."""

    lowest = None


class TimeToLive(int):
    """Whole seconds, written as a number of seconds or as a duration: `30`, `30s`, `2h30m`."""

    placeholder: ClassVar[str] = "TTL"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Fractions of seconds are dropped; 32 bits are the limit. An empty word, as from an unset variable, means 0."""
        text = token.text.strip() or "0"
        if not is_duration(f"{text}s" if text.isdecimal() else text):
            raise BadValueError(f'"{text}" is not a TTL', "write it as 30, 30s, 5m or 2h30m")
        value = Duration.read(f"{text}s" if text.isdecimal() else text)
        if not 0 <= value <= 0xFFFFFFFF:
            raise BadValueError(f'"{text}" is out of range', "it must be 0 to 4294967295 seconds")
        return cls(value)
