"""The command line: CoreDNS's flags and some of our own, then our sub-commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from types import SimpleNamespace
from typing import TYPE_CHECKING

from pycoredns.commands.arguments import overload, port, telling, waiting, workers
from pycoredns.frozen import frozen

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

COMMANDS = {
    "check": "find all mistakes of a Corefile without starting",
    "plugins": "list the plugins there are, in the order of the chain",
    "help": "show a plugin's options",
    "dev": "run a server with an etcd and sample records of its own, to try things",
    "query": "ask a name server a question",
    "dnssec": "make the keys that sign a zone",
    "zone": "print a zone in canonical form, with what is wrong with it",
    "completion": "print a script that completes these commands in a shell",
}


@frozen
class Flag:
    """A word of the command line that is for the server: one or two dashes stand before its names."""

    names: tuple[str, ...]
    default: object
    help: str
    placeholder: str = ""
    kind: Callable[[str], object] | None = None
    """What is made of the word behind it; None: no word stands there."""


SERVER_FLAGS = {
    "conf": Flag(("-conf", "--conf"), None, "Corefile to load, or stdin (default: ./Corefile)", "FILE", str),
    "port": Flag(("-dns.port", "--dns.port", "-p"), 53, "default port", "PORT", port),
    "pidfile": Flag(("-pidfile", "--pidfile"), "", "file to write the process ID to", "FILE", str),
    "plugins": Flag(("-plugins", "--plugins"), False, "list installed plugins"),
    "quiet": Flag(("-quiet", "--quiet"), False, "print nothing at the start"),
    "version": Flag(("-version", "--version"), False, "show version"),
    "waiting": Flag(
        ("-waiting", "--waiting"), 20_000, "questions whose answers may be to come at a time (default: 20000)", "N", waiting
    ),
    "overload": Flag(("-overload", "--overload"), False, "what more of them get: servfail (default) or silence", "HOW", overload),
    "workers": Flag(
        ("-workers", "--workers"), 1, "processes that answer questions, or auto for one on each core (default: 1)", "N", workers
    ),
}
FLAGS = (*(name for flag in SERVER_FLAGS.values() for name in flag.names if not name.startswith("--")), "--help")
"""CoreDNS's flags, and those of our own: -waiting, -overload, -workers; two dashes do as well."""
_STANDARD_ERROR = 2
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
EPILOG = """\
Without a command a server is run from the Corefile that -conf names, else ./Corefile, else one that answers whoami on port 53.
With -workers several processes share the work, and signals, reloads, /metrics, /health and /ready are those of one server.
Signals: SIGUSR1 reloads the Corefile, SIGTERM and SIGINT let pending answers leave and end the server, SIGQUIT
ends it at once.
"""


def parser(commands: Sequence[str] = tuple(COMMANDS)) -> ArgumentParser:
    """The whole command line, or only some of its commands."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    made = ArgumentParser(
        "pycoredns",
        description="A DNS server that runs CoreDNS Corefiles.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for dest, flag in SERVER_FLAGS.items():
        if flag.kind is None:
            made.add_argument(*flag.names, dest=dest, action="store_true", help=flag.help)
        else:
            made.add_argument(
                *flag.names, dest=dest, metavar=flag.placeholder, type=telling(flag.kind), default=flag.default, help=flag.help
            )
    subparsers = made.add_subparsers(metavar="COMMAND", dest="command")
    for name in commands:
        import_module(f"pycoredns.commands.{name}").add_parser(subparsers)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    _fill_standard_streams()
    words = _without_truths(sys.argv[1:] if arguments is None else arguments)
    plain = _read_plain(words)
    options = _read_all(words) if plain is None else plain
    return _tell(options) if options.command or options.version or options.plugins else _serve(options)


def _read_all(words: Sequence[str]) -> Namespace:
    """What the words say, by argparse; it tells of mistakes, and helps."""
    called = words[0] if words and words[0] in COMMANDS else None
    wants_help = not {"-h", "--help", "-help"}.isdisjoint(words)
    return parser([called] if called else list(COMMANDS) if wants_help or _unknown(words) else []).parse_args(
        ["--help" if word == "-help" else word for word in words]
    )


def _fill_standard_streams() -> None:
    """Puts /dev/null where a standard stream has been closed: else a socket would get its number, and log lines or a crash."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python has none for those that were closed when it began
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(_STANDARD_ERROR, "w", closefd=False)


def _without_truths(words: Sequence[str]) -> list[str]:
    """The words with flags that stand for themselves as such, where they say so, as Go's do: -quiet=true, -version=0."""
    switches = {name for flag in SERVER_FLAGS.values() if flag.kind is None for name in flag.names}
    found = []
    for word in words:
        name, equals, truth = word.partition("=")
        if not equals or name not in switches or truth not in _TRUTHS:
            found.append(word)
        elif _TRUTHS[truth]:
            found.append(name)
    return found


def _read_plain(words: Sequence[str]) -> SimpleNamespace | None:
    """The server's flags as they are mostly written; None for all else. Importing argparse takes a twentieth of the start."""
    options = SimpleNamespace(command=None, **{dest: flag.default for dest, flag in SERVER_FLAGS.items()})
    by_name = {name: dest for dest, flag in SERVER_FLAGS.items() for name in flag.names}
    left = iter(words)
    for word in left:
        if word not in by_name:
            return None
        dest = by_name[word]
        kind = SERVER_FLAGS[dest].kind
        value = next(left, "-") if kind else ""
        if value.startswith("-"):
            return None
        try:
            setattr(options, dest, kind(value) if kind else True)
        except ValueError:
            return None
    return options


def _unknown(words: Sequence[str]) -> bool:
    """Does a word look like a command, being neither a flag nor the value of one? Then all of them are named in the error."""
    with_value = {name for flag in SERVER_FLAGS.values() if flag.kind for name in flag.names}
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            return True
        if word in with_value:
            next(left, None)
    return False


def _tell(options: Namespace | SimpleNamespace) -> int:
    """What prints and ends: quietly, and as by SIGPIPE, where nobody reads any more."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error is: a Corefile may hold what the locale has not
    try:
        status = _print(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left, which is written at the end
        return 128 + signal.SIGPIPE
    return status


def _print(options: Namespace | SimpleNamespace) -> int:
    """A command, and the flags that only print."""
    if options.command:
        return int(options.run(options))
    if options.version:
        from pycoredns.serve import version_lines

        print("\n".join(version_lines()))
    else:
        from pycoredns.registry import available

        print("\n".join(sorted(available())))
    return 0


def _serve(options: Namespace | SimpleNamespace) -> int:
    """The server itself."""
    from pycoredns import memory

    memory.begin()
    from pycoredns import bounds, serve, sources

    bounds.overload.most_waiting, bounds.overload.silent = options.waiting, options.overload
    return serve.run(sources.find(options.conf, options.port), options.quiet, options.pidfile, workers=options.workers)
