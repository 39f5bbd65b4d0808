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

    zones: Annotated[tuple[Zone, ...], Arguments("zones in which each question is told of", otherwise=zones_of_block)] = ()

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
        """Opens a place for what will be told, of any name what is found on the way; who wants to know it asks there."""
        providers = self._providers if self._covers(request.name) else ()
        request.metadata = RequestMetadata(request, providers)
        if providers and self._per_client:
            request.make_personal()
        return self.next(request)

    def _covers(self, name: bytes) -> bool:
        """Is the name in one of the zones?"""
        for zone in self.zones:  # noqa: SIM110  any() takes longer, and this is done for each question
            if zone == names.ROOT or names.within(name, zone):
                return True
        return False
