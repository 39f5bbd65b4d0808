"""`pycoredns completion SHELL`: a script that completes commands, flags and plugin names in a shell."""

from __future__ import annotations

import argparse

_BASH = """\
_pycoredns() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{words}" -- "$word"))
    elif [ "${{COMP_WORDS[1]}}" = help ]; then
        COMPREPLY=($(compgen -W "{plugins}" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -o filenames -F _pycoredns pycoredns
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + _BASH
_FISH = """\
complete -c pycoredns -n __fish_use_subcommand -f -a "{words}"
complete -c pycoredns -n "__fish_seen_subcommand_from help" -f -a "{plugins}"
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes these commands in a shell",
        description='Prints a script for a shell to evaluate, as in: eval "$(pycoredns completion bash)"',
    )
    parser.add_argument("shell", choices=sorted(SCRIPTS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the script."""
    from pycoredns.cli import COMMANDS, FLAGS
    from pycoredns.registry import available

    words = " ".join([*COMMANDS, *FLAGS])
    print(SCRIPTS[arguments.shell].format(words=words, plugins=" ".join(sorted(available()))), end="")
    return 0
