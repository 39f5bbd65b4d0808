"""$GENERATE of master files, as BIND has it: one line that stands for many, with `$` for a number that counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

MOST_GENERATED = 65536
"""Records that one $GENERATE may make, as in CoreDNS."""
LARGEST_NUMBER = 0x7FFFFFFF
_DIRECTIVE = re.compile(r"\$GENERATE\s+(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?\s+(\S.*)", re.IGNORECASE | re.DOTALL)
_PLACE = re.compile(r"\\(.)|\$(\$)|\$\{([^}]*)\}|(\$)", re.DOTALL)
_CHANGE = re.compile(r"([+-]?\d{1,10})(?:,(\d{1,3})(?:,([doxX]))?)?")
_LONGEST_WIDTH = 255


class BadGenerateError(ValueError):
    """What is wrong with the directive."""


def generated(entry: str) -> Iterator[str]:
    """The lines that a $GENERATE stands for; raises BadGenerateError, also midway."""
    match = _DIRECTIVE.fullmatch(entry)
    if match is None:
        raise BadGenerateError("$GENERATE needs a range like 1-10 or 0-255/5, and a record")
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if last < first or step == 0:
        raise BadGenerateError(f"$GENERATE {first}-{last}/{step} makes nothing")
    if (last - first) // step >= MOST_GENERATED:
        raise BadGenerateError(f"$GENERATE makes more than {MOST_GENERATED} records")
    for number in range(first, last + 1, step):
        yield _PLACE.sub(_filled(number), match[4])


def _filled(number: int) -> Callable[[re.Match[str]], str]:
    """What stands for a number where the line has `$`, `${OFFSET,WIDTH,BASE}`, `$$` for a dollar sign, or an escape."""

    def text(match: re.Match[str]) -> str:
        if match[1] is not None:
            return "$" if match[1] == "$" else match[0]
        if match[2]:
            return "$"
        return str(number) if match[4] else _changed(number, match[3])

    return text


def _changed(number: int, change: str) -> str:
    match = _CHANGE.fullmatch(change)
    if match is None or int(match[2] or 0) > _LONGEST_WIDTH:
        raise BadGenerateError(f"${{{change}}} in $GENERATE is not ${{OFFSET,WIDTH,BASE}} with one of the bases d, o, x, X")
    number += int(match[1])
    if not 0 <= number <= LARGEST_NUMBER:
        raise BadGenerateError(f"${{{change}}} in $GENERATE makes {number}")
    return format(number, f"0{match[2] or 1}{match[3] or 'd'}")
