"""Errors of one kind, counted for a while and then told in one line."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import field
from typing import ClassVar, Self

from pycoredns.corefile.kinds import RegularExpression
from pycoredns.corefile.model import Directive
from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.durations import duration_text
from pycoredns.frozen import changeable
from pycoredns.output import logger

LONGEST = 10_000
"""Characters of an expression; CoreDNS's bound."""
LEVELS = {"warning": logging.WARNING, "error": logging.ERROR, "info": logging.INFO, "debug": logging.DEBUG}

log = logger("plugin/errors")


@changeable
class Consolidation:
    """``consolidate DURATION REGEXP [LEVEL] [show_first]``."""

    placeholder: ClassVar[str] = "DURATION REGEXP [warning|error|info|debug] [show_first]"

    period: float
    expression: re.Pattern[str]
    written: str
    level: int = logging.ERROR
    show_first: bool = False
    _count: int = field(default=0, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The level stands before ``show_first``."""
        words = line.arguments
        if not 2 <= len(words) <= 4:
            raise BadValueError("Wrong argument count or unexpected line ending after 'consolidate'")
        if len(words[1].text) > LONGEST:
            raise BadValueError(f"regex pattern too long: {len(words[1].text)} > {LONGEST}")
        period, expression = Duration.parse(words[0], context), RegularExpression.parse(words[1], context)
        made = cls(period, expression, words[1].text)
        made._read_rest([word.text for word in words[2:]])
        return made

    def _read_rest(self, words: list[str]) -> None:
        if words and words[0] in LEVELS:
            self.level = LEVELS[words.pop(0)]
        if words and words[0] == "show_first":
            self.show_first = True
            words.pop(0)
        if words and words[0] in LEVELS:
            raise BadValueError("one level only, and before show_first")
        if words and words != ["show_first"]:
            raise BadValueError(f'"{words[0]}" is unknown', f"choose one of {', '.join(LEVELS)}, show_first")

    def covers(self, text: str) -> bool:
        """Is an error of this kind?"""
        return self.expression.search(text) is not None

    def shows(self) -> bool:
        """Counts an error; is it to be told by itself?"""
        if self._stopped:
            return True
        self._count += 1
        if self._count > 1:
            return False
        self._timer = asyncio.get_running_loop().call_later(self.period, self._tell)
        return self.show_first

    def _tell(self) -> None:
        count, self._count = self._count, 0
        if count > 1 or not self.show_first:
            text = "%d errors like '%s' occurred in last %s"
            log.log(self.level, text, count, self.written, duration_text(self.period))

    def stop(self) -> None:
        """Tells what has been counted; from now on each error is told by itself."""
        self._stopped = True
        if self._timer is not None and self._count:
            self._timer.cancel()
            self._tell()
