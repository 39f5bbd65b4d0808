"""A server block: its plugins linked to a chain, and those who observe its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pycoredns.answer import Answer
from pycoredns.direct import Direct, Way
from pycoredns.errors import Refused
from pycoredns.plugin import Handler, Plugin, no_next, overrides
from pycoredns.request import Request
from pycoredns.settings import BlockSettings

if TYPE_CHECKING:
    from pycoredns.service import Service


def refuse(request: Request) -> Answer:
    """The chain of a block without plugins."""
    raise Refused("the server block has no plugins")


def build_chain(plugins: Sequence[Plugin]) -> Handler:
    """Links plugins, given in order; returns the first handler. Plugins that only observe or configure are not linked."""
    steps = [plugin for plugin in plugins if plugin.step]
    if not steps:
        return refuse
    following = no_next(steps[-1].name)
    for plugin in reversed(steps):
        plugin.next = following
        if overrides(plugin, "handle"):
            following = plugin.handle
    return following


def _knows_handle(plugin: Plugin) -> bool:
    """Was its ``direct`` written for its ``handle``, and not for that of a class it is derived from?"""
    direct, handle = (next(each for each in type(plugin).__mro__ if method in vars(each)) for method in ("direct", "handle"))
    return issubclass(direct, handle)


class Block:
    """The zones and plugins of one server block.

    ``version`` grows with each change of its plugins' data: answers remembered from an earlier version no longer hold.
    """

    def __init__(self, zones: Sequence[bytes], plugins: Sequence[Plugin], settings: BlockSettings | None = None) -> None:
        """``zones`` are in lower-case wire form; ``plugins`` stand in the chain's order."""
        self.zones = tuple(zones)
        self.plugins = list(plugins)
        self.settings = settings or BlockSettings()
        self.version = 0
        self.services: list[Service] = []
        self.siblings: Sequence[Block] = (self,)
        """All blocks of the server, itself among them."""
        for plugin in plugins:
            plugin.block = self
        self.handle = build_chain(plugins)
        counting = [plugin for plugin in plugins if overrides(plugin, "observe") and not plugin.each]
        self.counters = [plugin.observe for plugin in counting]
        self.batch_counters = [plugin.observe_many for plugin in counting]
        self._counting = counting
        self.each = [plugin.observe for plugin in plugins if overrides(plugin, "observe") and plugin.each]
        self.failures = [plugin.observe_failure for plugin in plugins if overrides(plugin, "observe_failure")]

    def way(self, service: Service) -> Way:
        """How a service asks it, now that its plugins are running."""
        counters = [count for plugin in self._counting if (count := plugin.kind_counter()) is not None]
        if self.each or len(counters) < len(self._counting):
            return Way(self)
        following: Direct | None = None
        for plugin in reversed(self.plugins):
            if plugin.step and overrides(plugin, "handle"):
                following = plugin.direct(service, following) if _knows_handle(plugin) else None
        return Way(self, following.look_up, following.keeps, following.relay, counters) if following else Way(self)

    @property
    def empty(self) -> bool:
        """Has it no plugin that could answer?"""
        return not any(plugin.step for plugin in self.plugins)

    def find(self, kind: type[Plugin]) -> list[Plugin]:
        """Its plugins of a class."""
        return [plugin for plugin in self.plugins if isinstance(plugin, kind)]

    def changed(self) -> None:
        """Its data have changed: what is remembered is looked at anew before it is given again."""
        self.version += 1
        for service in self.services:
            service.memo_is_stale()
