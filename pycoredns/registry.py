"""Plugins by name: found by their entry points, loaded when a Corefile names them, placed in the order of the chain."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from pycoredns.errors import PluginError
from pycoredns.order import ORDER
from pycoredns.plugin import Plugin

GROUP = "pycoredns.plugins"


class EntryPoint(NamedTuple):
    """A plugin that is installed: its directive, its ``module:class``, and the folder of its package's metadata."""

    name: str
    value: str
    metadata: Path

    def load(self) -> object:
        """The class; raises ImportError or AttributeError."""
        module, _, attribute = self.value.partition(":")
        return getattr(import_module(module), attribute)


@cache
def available() -> dict[str, EntryPoint]:
    """The entry points of all installed plugins, by directive; what is found first on the path counts.

    They are read here because importlib.metadata, whose import takes a tenth of the server's start, reads far more.
    """
    points: dict[str, EntryPoint] = {}
    for folder in dict.fromkeys(sys.path):
        for file in _files_of(folder or "."):
            for name, value in _group(_text(file)):
                points.setdefault(name, EntryPoint(name, value, file.parent))
    return points


def _files_of(folder: str) -> list[Path]:
    """Where the packages of a folder tell of their entry points, if they have any; Path.glob takes five times as long."""
    with suppress(OSError):
        packages = sorted(name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))  # noqa: PTH208
        files = [f"{folder}/{package}/entry_points.txt" for package in packages]
        return [Path(file) for file in files if os.path.exists(file)]  # noqa: PTH110
    return []


def _text(file: Path) -> str:
    """What a file holds; a package that only its installer may read has no plugins for others, as for importlib.metadata."""
    with suppress(OSError):
        return file.read_text("utf-8", "replace")
    return ""


def _group(text: str) -> Iterator[tuple[str, str]]:
    """The lines of our group in an entry_points.txt (an INI file; PyPA entry points specification)."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()


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
    except (Exception, SystemExit) as error:  # others' code runs for the first time, and must not end a server that reloads
        cause = f"{type(error).__name__}: {error}"
        raise PluginError(f'plugin "{name}" fails when it is imported ({cause}); install a version that fits') from error
    if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
        raise PluginError(f'plugin "{name}": {point.value} is no subclass of pycoredns.plugin.Plugin')
    if name not in ORDER and not loaded.before:
        raise PluginError(f'plugin "{name}" does not say where it stands; give its class an attribute: before = "forward"')
    loaded.name = name
    return loaded


def placed(names: Iterable[str]) -> list[str]:
    """Directives in the order of the chain; an outside plugin stands just before the one it names. Raises PluginError."""
    wanted = set(names)
    order = list(ORDER)
    outside = _outside(wanted)
    while outside:
        ready = [name for name in outside if load(name).before in order]
        if not ready:
            raise PluginError(_why_nowhere(outside))
        for name in ready:
            order.insert(order.index(load(name).before), name)
        outside = [name for name in outside if name not in ready]
    return [name for name in order if name in wanted]


def _outside(names: Iterable[str]) -> list[str]:
    """Those of them that CoreDNS does not have, and those that these stand before, wanted or not."""
    found = sorted(name for name in names if name not in ORDER)
    for name in found:  # grows meanwhile
        before = load(name).before
        if before not in ORDER and before not in found and before in available():
            found.append(before)
    return found


def _why_nowhere(names: Sequence[str]) -> str:
    """Why none of these has a place."""
    for name in names:
        if (before := load(name).before) not in names:
            wish = f'plugin "{name}" wants to stand before "{before}", which there is not'
            return f"{wish}; install that, or change its attribute before"
    wishes = ", ".join(f'"{name}" before "{load(name).before}"' for name in names)
    return f"plugins want to stand in a circle, {wishes}; change the attribute before of one"
