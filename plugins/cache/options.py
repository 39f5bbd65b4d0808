"""The options of cache."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated, ClassVar, Literal, Self

from pycoredns.corefile.kinds import Choice, Zone
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.numbers import TTL, Count, Duration, Percentage, SignedDuration, Whole
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.frozen import frozen

_SHARDS, _SMALLEST_SHARD = 256, 4
HOUR = Duration(3600)


class LongestTTL(Whole):
    """The longest time an answer is kept, in seconds."""

    placeholder = "TTL"
    highest = TTL.highest

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """0 is refused in CoreDNS's words."""
        value = super().parse(token, context)
        if value <= 0:
            raise BadValueError(f"cache TTL can not be zero or negative: {value}", "write the longest TTL in seconds, as 30")
        return value


class Octets(Count):
    """An amount of memory."""

    placeholder = "BYTES"
    lowest = 1 << 20


@frozen
class Limits:
    """How many answers of a sort are kept, and within which TTLs."""

    capacity: Annotated[Whole, "how many are kept; at least 1024, and a multiple of 256 below the number given"]
    ttl: Annotated[LongestTTL | None, "longest TTL"] = None
    minttl: Annotated[TTL, "shortest TTL"] = TTL(5)

    @property
    def entries(self) -> int:
        """The capacity as CoreDNS has it, whose caches are made of 256 parts."""
        return max(self.capacity // _SHARDS, _SMALLEST_SHARD) * _SHARDS


class Share(Percentage):
    """The last part of an answer's time."""

    lowest = 10
    highest = 90


TENTH = Share(10)
MINUTE = SignedDuration(60)


@frozen
class Prefetch:
    """Which answers are fetched again before their time is over."""

    amount: Annotated[Count, "how often an answer must have been asked for; 0: never mind"]
    duration: Annotated[SignedDuration, "the longest gap between two questions"] = MINUTE
    percentage: Annotated[Share, "the last part of its time, in which it is fetched again"] = TENTH

    def threshold(self, ttl: int) -> int:
        """What is left of a TTL when its last part begins, in whole seconds."""
        return ceil(self.percentage / 100 * ttl)


class ShortDuration(Duration):
    """A duration of at most five minutes (RFC 2308 §7.1, RFC 8767 §5)."""

    highest = 300.0


class WholeDuration(Duration):
    """A TTL, written as a duration of whole seconds."""

    highest = float(0xFFFFFFFF)

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Parts of a second are refused."""
        value = super().parse(token, context)
        if value % 1:
            raise BadValueError(f'"{token.text}" is not a whole number of seconds')
        return value


@frozen
class ServeStale:
    """For how long answers are given past their time, and in which way (RFC 8767)."""

    placeholder: ClassVar[str] = (
        "[DURATION] [immediate [RESPONSE_TTL [FAILURE_RECHECK]] | verify [VERIFY_TIMEOUT [RESPONSE_TTL [FAILURE_RECHECK]]]]"
    )
    up_to: Duration = HOUR
    verify: bool = False
    timeout: float = 0.0
    ttl: int = 0
    recheck: float = 0.0

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The words behind the mode depend on it."""
        tokens = list(line.arguments)
        up_to = Duration.parse(tokens.pop(0), context) if tokens else HOUR
        verify = _MODES.parse(tokens.pop(0), context) if tokens else False
        kinds = _WORDS[verify]
        if len(tokens) > len(kinds):
            raise BadValueError(f'unexpected "{tokens[len(kinds)].text}"')
        values = {name: kind.parse(token, context) for token, (name, kind) in zip(tokens, kinds, strict=False)}
        return cls(up_to, verify, values.get("timeout", 0.0), int(values.get("ttl", 0)), values.get("recheck", 0.0))


_MODES = Choice({"immediate": False, "verify": True}, folded=True)
_WORDS: dict[bool, Sequence[tuple[str, type[Duration]]]] = {
    False: (("ttl", WholeDuration), ("recheck", ShortDuration)),
    True: (("timeout", Duration), ("ttl", WholeDuration), ("recheck", ShortDuration)),
}

PREFER_POSITIVE = Choice({"prefer_positive": True}, folded=True)


@frozen
class Disabled:
    """A sort of answers that is not kept, in some zones."""

    sort: Literal["success", "denial"]
    zones: tuple[Zone, ...] = (Zone(b"\0"),)
