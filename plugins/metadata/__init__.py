"""Collect what plugins can tell of a question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

from pycoredns.answer import Answer
from pycoredns.corefile.kinds import Zone
from pycoredns.corefile.options import Arguments, zones_of_block
from pycoredns.frozen import changeable
from pycoredns.metadata import ProvidesMetadata, RequestMetadata
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.settings import BlockSettings
from pycoredns.wire import names

__all__ = ["Metadata"]


@changeable
class Metadata(Plugin):
    """Collect what plugins can tell of a question, for other plugins and for the log."""

    zones: Annotated[tuple[Zone, ...], Arguments("zones whose questions it is collected for", otherwise=zones_of_block)] = ()

    @cached_property
    def _providers(self) -> Sequence[ProvidesMetadata]:
        """Those of the block who can tell something of every question."""
        return [plugin for plugin in self.block.plugins if isinstance(plugin, ProvidesMetadata)]

    @cached_property
    def _per_client(self) -> bool:
        return any(provider.per_client for provider in self._providers)

    def configure(self, settings: BlockSettings) -> None:
        """What plugins find out is worth noting."""
        settings.metadata = True

    def handle(self, request: Request) -> Answer:
        """Opens a place for what will be told; who wants to know it asks there."""
        for zone in self.zones:
            if zone == names.ROOT or names.within(request.name, zone):
                request.metadata = RequestMetadata(request, self._providers)
                if self._per_client:
                    request.make_personal()
                break
        return self.next(request)
