"""Give up questions that take too long."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import Argument, BadValueError, Repetition
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.settings import BlockSettings

__all__ = ["Cancel"]


@changeable
class Cancel(Plugin):
    """Give up questions that take too long."""

    repeated: ClassVar[Repetition] = "last"

    timeout: Annotated[Duration, Argument("how long a question may wait for others")] = Duration(5.001)

    def __post_init__(self) -> None:
        """Without time no question could be answered."""
        if self.timeout <= 0:
            raise BadValueError(f"a timeout of {self.timeout.written} leaves no time to answer", "write it as 5s or 500ms")

    def configure(self, settings: BlockSettings) -> None:
        """Plugins that wait for others look at it before they try again."""
        settings.patience = self.timeout
