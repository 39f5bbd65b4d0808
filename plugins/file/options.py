"""Options of file that need more than one plain word."""

from __future__ import annotations

from typing import ClassVar, Self

from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import Context


class Ignored:
    """A line that older Corefiles have, and that means nothing any more."""

    placeholder: ClassVar[str] = "[ADDRESS...]"

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """Takes any words."""
        return cls()
