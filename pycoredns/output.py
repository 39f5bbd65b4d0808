"""The server's lines on standard output, as CoreDNS writes them: ``[INFO] plugin/reload: ...``.

Lines are written by a thread, so that a pipe nobody reads stops no answer; past a bound they are dropped and counted.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque

from pycoredns.metrics import Counter

BOUND = 200_000
"""Lines that wait at most to be written."""

dropped = Counter("dropped_total", "Log lines dropped because nobody took them.", prefix="coredns_log_lines_")


class Writer(threading.Thread):
    """Writes lines to a file descriptor in their order."""

    def __init__(self, descriptor: int) -> None:
        """Starts with the first line."""
        super().__init__(name="output", daemon=True)
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._lock = threading.Lock()
        self._begun = False

    def write(self, line: str) -> None:
        """Takes a line, without its end."""
        if len(self._lines) >= BOUND:
            dropped.cell().value += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._rouse()

    def write_all(self, lines: list[str]) -> None:
        """Takes many lines at once."""
        room = BOUND - len(self._lines)
        if room < len(lines):
            dropped.cell().value += len(lines) - max(room, 0)
            lines = lines[: max(room, 0)]
        self._lines.extend(lines)
        if not self._wake.is_set():
            self._rouse()

    def _rouse(self) -> None:
        with self._lock:
            if not self._begun:
                self._begun = True
                self.start()
        self._idle.clear()
        self._wake.set()

    def run(self) -> None:
        """Writes what is there, then sleeps."""
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._lines:
                self._write_some()
            self._idle.set()

    def _write_some(self) -> None:
        lines = self._lines
        chunk = [lines.popleft() for _ in range(min(len(lines), 512))]
        octets = ("\n".join(chunk) + "\n").encode("utf-8", "backslashreplace")
        try:
            while octets:
                octets = octets[os.write(self._descriptor, octets) :]
        except BlockingIOError:
            self._lines.extendleft(reversed(chunk))
            self._wake.wait(0.01)
        except OSError:
            dropped.cell().value += len(chunk)

    def flush(self, seconds: float = 1.0) -> None:
        """Waits until all lines are written, but no longer than so many seconds."""
        if self._lines or not self._idle.is_set():
            self._idle.wait(seconds)


writer = Writer(1)
"""Standard output."""

_LEVELS = {
    logging.WARNING: "WARNING",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
    logging.INFO: "INFO",
    logging.DEBUG: "DEBUG",
}


class _Handler(logging.Handler):
    """Hands the records of ``logging`` to the writer."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record as CoreDNS would."""
        prefix = f"{record.name}: " if record.name.startswith("plugin/") else ""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        writer.write(f"[{_LEVELS.get(record.levelno, record.levelname)}] {prefix}{text}")


def set_up() -> None:
    """Sends all logging to standard output; DEBUG is shown once the debug plugin asks for it."""
    root = logging.getLogger()
    root.handlers[:] = [_Handler()]
    root.setLevel(logging.INFO)


def say(text: str) -> None:
    """A line without a level: the start-up lines."""
    writer.write(text)


def complain(text: str) -> None:
    """Lines on standard error."""
    writer.flush()
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def logger(name: str) -> logging.Logger:
    """The logger of a plugin (``plugin/NAME``) or of the server itself (``pycoredns``)."""
    return logging.getLogger(name)
