"""The server's lines on standard output, as CoreDNS writes them: ``[INFO] plugin/reload: ...``.

Lines are written by a thread, so that a pipe nobody reads stops no answer; past a bound they are dropped and counted.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import stat
import sys
import threading
from collections import deque
from contextlib import suppress

from pycoredns.metrics import Counter, Gauge, before_scrape

BOUND = 100_000
"""Lines that wait at most to be written."""
MOST_OCTETS = 16 << 20
"""Their octets at most: what strangers ask for may make long lines."""
GATHERING = 0.004
"""Seconds in which lines gather before they are written together: a wake-up for each line would cost more than the line."""
WHOLE_IN_PIPES = 4096
"""A write of so many octets (PIPE_BUF on Linux) is never mixed with those of other processes; see pipe(7)."""
AT_ONCE = 512
"""Lines that are written together."""

waiting = Gauge("waiting", "Log lines that wait to be written.", prefix="coredns_log_lines_")
dropped = Counter("dropped_total", "Log lines dropped because nobody took them.", prefix="coredns_log_lines_")


class Writer:
    """Writes lines to a file descriptor, in their order, by a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        """The thread starts with the first line."""
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self.forget()

    @property
    def waiting(self) -> int:
        """How many lines wait."""
        return len(self._lines)

    def forget(self) -> None:
        """Begins anew, without lines and without a thread, as a forked child must."""
        self._lines.clear()
        self._taken = self._given = 0
        """Octets of all lines that came, and of those that wait no more; the thread alone counts these."""
        self._awake = self._held = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._roused, self._hurried, self._idle = threading.Event(), threading.Event(), threading.Event()
        self._idle.set()

    def write(self, line: str) -> None:
        """Takes a line, without its end."""
        if len(self._lines) >= BOUND or self._taken - self._given > MOST_OCTETS:
            dropped.cell().value += 1
            return
        self._taken += len(line)
        self._lines.append(line)
        if not self._awake and not self._held:
            self._rouse()

    def hold(self) -> None:
        """Keeps the lines that come from now on until ``release``, or ``flush``."""
        self.flush()
        self._held = True

    def release(self) -> None:
        """Writes what was held, and holds no more."""
        self._held = False
        if self._lines and not self._awake:
            self._rouse()

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="output", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system gives none now; the next line asks again
                    return
                self._thread = thread
            self._awake = True
            self._idle.clear()
            self._roused.set()

    def _run(self) -> None:
        while self._roused.wait():
            self._roused.clear()
            while self._awake:
                self._hurried.wait(GATHERING)
                while self._lines:
                    self._write_some()
                self._fall_asleep()

    def _fall_asleep(self) -> None:
        with self._lock:
            self._awake = False  # first, so that a line is either seen here or rouses
            if self._lines:
                self._awake = True
            else:
                self._idle.set()

    def _write_some(self) -> None:
        """Writes a part of the lines, each of them as a whole."""
        lines = [self._lines.popleft() for _ in range(min(len(self._lines), AT_ONCE))]
        self._given += sum(map(len, lines))
        octets = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        size = WHOLE_IN_PIPES if self._is_pipe() else len(octets)
        start = 0
        while start < len(octets):
            end = octets.rfind(b"\n", start, start + size) + 1 or octets.find(b"\n", start) + 1
            self._put(octets[start:end])
            start = end

    def _is_pipe(self) -> bool:
        try:
            mode = os.fstat(self._descriptor).st_mode
        except OSError:
            return False
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)  # systemd's journal is a socket

    def _put(self, octets: bytes) -> None:
        """Writes all of it, however long that takes; lines that cannot be written are counted."""
        try:
            while octets:
                try:
                    octets = octets[os.write(self._descriptor, octets) :]
                except BlockingIOError:  # somebody who shares the descriptor has set O_NONBLOCK
                    select.select((), (self._descriptor,), ())
        except (OSError, ValueError):
            dropped.cell().value += octets.count(b"\n")

    def flush(self, seconds: float = 1.0) -> None:
        """Waits until all lines are written, those that were held as well, but no longer than so many seconds."""
        self.release()
        self._hurried.set()
        if self._awake:
            self._idle.wait(seconds)
        self._hurried.clear()


writer = Writer(1)
"""Standard output."""
atexit.register(writer.flush)
os.register_at_fork(after_in_child=writer.forget)  # its thread and its lines stay with the parent


def measure() -> None:
    """Brings the gauge up to date."""
    waiting.cell().value = writer.waiting


before_scrape.append(measure)

_OURS = ("plugin/", "pycoredns")
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
        if record.levelno < logging.INFO and not record.name.startswith(_OURS):
            return
        prefix = f"{record.name}: " if record.name.startswith("plugin/") else ""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        writer.write(f"[{_LEVELS.get(record.levelno, record.levelname)}] {prefix}{text}")


def set_up() -> None:
    """Sends all logging to standard output."""
    logging.getLogger().handlers[:] = [_Handler()]
    show_debug(False)


def show_debug(shown: bool) -> None:
    """Says whether lines of level DEBUG are shown: the plugin debug asks for it. Those of libraries never are."""
    logging.getLogger().setLevel(logging.DEBUG if shown else logging.INFO)


def say(text: str) -> None:
    """A line without a level: the start-up lines."""
    writer.write(text)


def complain(text: str) -> None:
    """Lines on standard error."""
    writer.flush()
    with suppress(OSError):  # a full disk, a pipe that nobody reads: what follows happens all the same
        sys.stderr.write(text.rstrip("\n") + "\n")
        sys.stderr.flush()


def logger(name: str) -> logging.Logger:
    """The logger of a plugin (``plugin/NAME``) or of the server itself (``pycoredns``)."""
    return logging.getLogger(name)


def fatal(text: str) -> None:
    """Ends the process at once with a line that says why, the last of the log; for a plugin that must not let it run on."""
    writer.write(f"[FATAL] {text}")
    writer.flush()
    os._exit(1)
