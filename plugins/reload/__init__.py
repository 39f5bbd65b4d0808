"""Watch the Corefile, and take it anew when it changes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import Argument, BadValueError, Repetition
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.settings import BlockSettings, ReloadSettings

__all__ = ["Reload"]

_SHORTEST_JITTER = 1.0


class Interval(Duration):
    """How often a file is looked at."""

    lowest: ClassVar[float | None] = 2.0


DEFAULT = Interval(30)


@changeable
class Reload(Plugin):
    """Watch the Corefile, and take it anew when it changes."""

    repeated: ClassVar[Repetition] = "first"
    step: ClassVar[bool] = False

    interval: Annotated[Interval, Argument("how often the Corefile is looked at")] = DEFAULT
    jitter: Annotated[Duration, Argument("how far apart servers with the same interval look, at most half of it")] = Duration(15)

    def __post_init__(self) -> None:
        """A jitter of less than a second would be none."""
        if 0 < self.jitter < _SHORTEST_JITTER:
            raise BadValueError(f"a jitter of {self.jitter.written} is too short", "it must be 0 or at least 1s")

    def configure(self, settings: BlockSettings) -> None:
        """There is one Corefile: of several blocks that say so, the last counts."""
        settings.server.reload = ReloadSettings(self.interval, min(self.jitter, self.interval / 2))
