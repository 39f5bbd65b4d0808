"""`pycoredns help PLUGIN`: a plugin's purpose, usage and options, as it declares them."""

from __future__ import annotations

import argparse
import sys

from pycoredns import registry
from pycoredns.corefile.describe import describe, summary
from pycoredns.corefile.suggest import suggestion
from pycoredns.errors import PluginError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("help", help="show a plugin's options")
    parser.add_argument("plugin", metavar="PLUGIN", nargs="?", help="a plugin's name; without it, all are listed")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints what there is to know about a plugin, or a line about each."""
    name = arguments.plugin
    if name is None:
        return _list()
    if name not in registry.available():
        remedy = suggestion(name, list(registry.available())) or "pycoredns plugins lists those there are"
        print(f'there is no plugin "{name}"; {remedy}', file=sys.stderr)
        return 1
    try:
        print(describe(registry.load(name), name))
    except PluginError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _list() -> int:
    """A line about each plugin, by name."""
    names = sorted(registry.available())
    width = max(map(len, names), default=0)
    for name in names:
        try:
            print(f"{name:{width}}  {summary(registry.load(name))}")
        except PluginError as error:
            print(f"{name:{width}}  {error}")
    return 0
