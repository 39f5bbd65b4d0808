"""The command line: CoreDNS's flags and -workers, then our sub-commands."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module

from pycoredns.commands.arguments import port, workers

COMMANDS = {
    "check": "find all mistakes of a Corefile without starting",
    "plugins": "list the plugins there are, in the order of the chain",
    "help": "show a plugin's options",
    "dev": "run a server with an etcd and sample records of its own, to try things",
    "query": "ask a name server a question",
    "dnssec": "make the keys that sign a zone",
    "completion": "print a script that completes these commands in a shell",
}
FLAGS = ("-conf", "-dns.port", "-p", "-pidfile", "-plugins", "-quiet", "-version", "-workers", "--help")
"""CoreDNS's flags, and -workers; two dashes do as well."""
EPILOG = """\
Without a command a server is run from the Corefile that -conf names, else ./Corefile, else one that answers whoami on port 53.
Signals: SIGUSR1 reloads the Corefile, SIGTERM and SIGINT let pending answers leave and end the server.
"""


def parser(commands: Sequence[str] = tuple(COMMANDS)) -> ArgumentParser:
    """The whole command line, or only some of its commands."""
    made = ArgumentParser(
        "pycoredns",
        description="A DNS server that runs CoreDNS Corefiles.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("-conf", "--conf", metavar="FILE", help="Corefile to load, or stdin (default: ./Corefile)")
    made.add_argument("-dns.port", "--dns.port", "-p", dest="port", metavar="PORT", type=port, default=53, help="default port")
    made.add_argument("-pidfile", "--pidfile", metavar="FILE", default="", help="file to write the process ID to")
    made.add_argument("-plugins", "--plugins", action="store_true", help="list installed plugins")
    made.add_argument("-quiet", "--quiet", action="store_true", help="print nothing at the start")
    made.add_argument("-version", "--version", action="store_true", help="show version")
    made.add_argument(
        *("-workers", "--workers"),
        metavar="N",
        type=workers,
        default=1,
        help="processes that answer questions, or auto for one on each core (default: 1)",
    )
    subparsers = made.add_subparsers(metavar="COMMAND", dest="command")
    for name in commands:
        import_module(f"pycoredns.commands.{name}").add_parser(subparsers)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    called = words[0] if words and words[0] in COMMANDS else None
    wants_help = not {"-h", "--help", "-help"}.isdisjoint(words)
    options = parser([called] if called else list(COMMANDS) if wants_help or _unknown(words) else []).parse_args(
        ["--help" if word == "-help" else word for word in words]
    )
    if options.command:
        return int(options.run(options))
    return _serve(options)


def _unknown(words: Sequence[str]) -> bool:
    """Does a word look like a command? Then all of them are named in the error."""
    return bool(words) and not words[0].startswith("-")


def _serve(options: Namespace) -> int:
    """The server itself, and the flags that only print."""
    if options.plugins:
        from pycoredns.registry import available

        print("\n".join(sorted(available())))
        return 0
    from pycoredns import memory

    memory.begin()
    from pycoredns import serve, sources

    if options.version:
        print("\n".join(serve.version_lines()))
        return 0
    return serve.run(sources.find(options.conf, options.port), options.quiet, options.pidfile, workers=options.workers)
