"""Plugins by name: found by their entry points, loaded when a Corefile names them, placed in the order of the chain."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pycoredns.errors import PluginError
from pycoredns.order import ORDER
from pycoredns.plugin import Plugin

GROUP = "pycoredns.plugins"


@cache
def available() -> dict[str, EntryPoint]:
    """The entry points of all installed plugins, by directive."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def load(name: str) -> type[Plugin]:
    """A plugin's class; raises PluginError where it cannot be imported or does not fit the contract."""
    point = available().get(name)
    if point is None:
        raise PluginError(f'there is no plugin "{name}"')
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f'plugin "{name}" cannot be imported ({error}); install what it needs') from error
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
        raise PluginError(f'plugin "{name}": {point.value} is no subclass of pycoredns.plugin.Plugin')
    if name not in ORDER and not loaded.before:
        raise PluginError(f'plugin "{name}" does not say where it stands; give its class an attribute: before = "forward"')
    loaded.name = name
    return loaded


def placed(names: Iterable[str]) -> list[str]:
    """Directives in the order of the chain; an outside plugin stands just before the one it names. Raises PluginError."""
    wanted = list(dict.fromkeys(names))
    order = list(ORDER)
    outside = [name for name in wanted if name not in ORDER]
    while outside:
        ready = [name for name in outside if load(name).before in order]
        if not ready:
            raise PluginError(f'plugin "{outside[0]}" wants to stand before "{load(outside[0]).before}", which there is not')
        for name in ready:
            order.insert(order.index(load(name).before), name)
        outside = [name for name in outside if name not in ready]
    return [name for name in order if name in wanted]
