"""Say where the relative paths of a server block begin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pycoredns.corefile.options import Argument, BadValueError, Repetition
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugin import Plugin
from pycoredns.settings import BlockSettings

__all__ = ["Root"]

log = logger("plugin/root")


@changeable
class Root(Plugin):
    """Say where the relative paths of a server block begin."""

    repeated: ClassVar[Repetition] = "last"
    step: ClassVar[bool] = False

    path: Annotated[str, Argument("a folder")]

    def __post_init__(self) -> None:
        """A folder that is not there may still come; one that cannot be looked at is a mistake."""
        try:
            Path(self.path).stat()
        except FileNotFoundError:
            log.warning("Root path does not exist: %s", self.path)
        except OSError as error:
            raise BadValueError(f'"{self.path}" cannot be accessed: {error.strerror}') from error

    def configure(self, settings: BlockSettings) -> None:
        """Paths are resolved when the plugins behind are made."""
        settings.root = self.path
