"""`pycoredns check`: all mistakes of a Corefile at once, and what is legal but surely not meant. Opens no port."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pycoredns.check import Finding, check


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("check", help="find all mistakes of a Corefile without starting")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="Corefile", help="the Corefile, or stdin (default: ./Corefile)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json gives a list of objects, for CI")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings. 0: none is an error; 1: some are, or the file cannot be read."""
    file = arguments.file
    try:
        octets = sys.stdin.buffer.read() if file in ("stdin", "-") else Path(file).read_bytes()
    except OSError as error:
        print(f"{file}: cannot be read ({error.strerror}); pycoredns check FILE checks another", file=sys.stderr)
        return 1
    findings = check(octets.decode("utf-8", "replace"), "stdin" if file == "-" else file)
    (_print_json if arguments.format == "json" else _print_text)(file, findings)
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def _print_text(file: str, findings: Sequence[Finding]) -> None:
    """A line for each finding, then how many there are."""
    for finding in findings:
        print(finding)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    print(f"{file}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}" if findings else f"{file}: no mistakes found")


def _counted(number: int, noun: str) -> str:
    """As `1 error`, `2 errors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_json(file: str, findings: Sequence[Finding]) -> None:
    """A list of objects with file, line, severity, cause, remedy and plugin."""
    print(json.dumps([finding.fields() for finding in findings], indent=2))
