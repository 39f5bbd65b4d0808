"""What plugins tell each other, and the log, of a question: texts under labels such as ``view/name``.

Nothing is kept or worked out unless the plugin metadata is in the server block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from pycoredns.plugin import Plugin
from pycoredns.request import Request


class ProvidesMetadata(Plugin):
    """A plugin that can tell something of every question, before it is answered."""

    per_client: ClassVar[bool] = False
    """Does what it tells depend on who asks? Then answers are not remembered."""

    def metadata(self, request: Request) -> Mapping[str, Callable[[], str]]:
        """What it can tell, by labels like ``plugin/something``; each is worked out when somebody wants it."""
        raise NotImplementedError


class RequestMetadata:
    """What is told of one question, by those who can tell it of all, and by those whom it passed."""

    __slots__ = ("_collected", "_noted", "_providers", "_request")

    def __init__(self, request: Request, providers: Sequence[ProvidesMetadata]) -> None:
        """Asks the providers nothing yet."""
        self._request = request
        self._providers = providers
        self._noted: dict[str, str] = {}
        self._collected: dict[str, Callable[[], str]] | None = None

    def note(self, label: str, value: str) -> None:
        """Tells something that was found on the way, in the place of what was told before."""
        self._noted[label] = value

    def get(self, label: str) -> str | None:
        """What is told under a label; None if nothing is."""
        noted = self._noted.get(label)
        if noted is not None:
            return noted
        if self._collected is None:
            self._collected = {}
            for provider in self._providers:
                self._collected.update(provider.metadata(self._request))
        value = self._collected.get(label)
        return None if value is None else value()
