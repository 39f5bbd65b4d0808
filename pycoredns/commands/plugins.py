"""`pycoredns plugins`: which there are, in the order of the chain, of which version, and where they come from."""

from __future__ import annotations

import argparse
from importlib.metadata import Distribution

from pycoredns import registry
from pycoredns.errors import PluginError
from pycoredns.registry import EntryPoint


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("plugins", help="list the plugins there are, in the order of the chain")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each plugin; those that cannot be loaded come last, with the reason, and make the exit status 1."""
    points = registry.available()
    broken = {name: reason for name in points if (reason := _broken(name))}
    rows = [_row(name, points[name]) for name in registry.placed(name for name in points if name not in broken)]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, version, origin in rows:
        print(f"{name:{widths[0]}}  {version:{widths[1]}}  {origin}")
    for reason in broken.values():
        print(f"not usable: {reason}")
    return 1 if broken else 0


def _broken(name: str) -> str:
    """Why a plugin cannot be loaded; empty where it can."""
    try:
        registry.placed([name])
        registry.load(name)
    except PluginError as error:
        return str(error)
    return ""


def _row(name: str, point: EntryPoint) -> tuple[str, str, str]:
    """Name, version and origin of a plugin."""
    distribution = Distribution.at(point.metadata)
    return name, distribution.version, f"{distribution.name} ({point.value})"
