"""Show what the server and its plugins say for debugging."""

from __future__ import annotations

from typing import ClassVar

from pycoredns.corefile.options import Repetition
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.settings import BlockSettings

__all__ = ["Debug"]


@changeable
class Debug(Plugin):
    """Show lines of level DEBUG, for the whole server."""

    step: ClassVar[bool] = False
    repeated: ClassVar[Repetition] = "last"

    def configure(self, settings: BlockSettings) -> None:
        """One block's wish concerns all."""
        settings.server.debug = True
