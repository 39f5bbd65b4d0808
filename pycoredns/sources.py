"""Where a Corefile comes from: a file, standard input, or nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

from pycoredns.assemble import DEFAULT_PORT
from pycoredns.corefile.expand import Corefile, parse
from pycoredns.corefile.expand import read as read_file
from pycoredns.frozen import changeable
from pycoredns.output import logger

DEFAULT_FILE = "Corefile"
log = logger("pycoredns")


@changeable
class Source:
    """A Corefile that can be read again. ``text`` stands for what cannot: standard input, or (empty) the default."""

    file: str
    port: int = DEFAULT_PORT
    text: str | None = None

    def read(self) -> Corefile:
        """Reads it; raises ConfigErrors and OSError."""
        return read_file(self.file) if self.text is None else parse(self.text, self.file)


def find(conf: str | None, port: int = DEFAULT_PORT) -> Source:
    """What ``-conf`` means: a file, ``stdin``, or without it ./Corefile, else a server that answers whoami."""
    if conf == "stdin":
        return Source("stdin", port, sys.stdin.buffer.read().decode("utf-8", "replace"))  # as a file, whatever the locale says
    if conf:
        return Source(conf, port)
    return Source(DEFAULT_FILE, port, "" if _is_missing(DEFAULT_FILE) else None)


def _is_missing(file: str) -> bool:
    """Is there no such file? One that may not be looked at is there: reading it will say what is wrong."""
    try:
        Path(file).stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def tell_doubts(corefile: Corefile) -> None:
    """Logs what is legal in a Corefile, but surely not meant."""
    for doubt in corefile.warnings:
        log.warning("%s", f"{doubt.cause}; {doubt.remedy}" if doubt.remedy else doubt.cause)
