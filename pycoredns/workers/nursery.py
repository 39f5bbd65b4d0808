"""Where workers are forked: by a process whose event loop stands still meanwhile, so that a child begins with none."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

from pycoredns import metrics, output

CRASHED = 70
"""Exit status of a child that ended by an error nobody had thought of (sysexits.h: EX_SOFTWARE)."""
FATAL = 1
"""That of one that says no server should run: see ``output.fatal``."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""Are for the supervisor, which tells its workers; a terminal, or systemd, sends them to all processes."""
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")
_STANDARD = 3
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in prctl(2)

log = output.logger("pycoredns")


class Nursery:
    """Runs the supervisor, on a loop of plain asyncio: uvloop's would be forked with its threads and handlers."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._loop = asyncio.SelectorEventLoop()
        self._births: list[tuple[Callable[[], int], Collection[int], asyncio.Future[int]]] = []

    async def fork(self, child: Callable[[], int], keep: Collection[int]) -> int:
        """Runs a function in a process of its own, which has of our descriptors those in ``keep``; returns its ID."""
        born = self._loop.create_future()
        self._births.append((child, keep, born))
        self._loop.stop()
        return int(await born)

    def run(self, main: Coroutine[Any, Any, int]) -> int:
        """Runs until the coroutine ends; returns what it does."""
        task = self._loop.create_task(main)
        task.add_done_callback(lambda _: self._loop.stop())
        try:
            while not task.done():
                self._loop.run_forever()
                self._give_birth()
            return task.result()
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()

    async def _end(self) -> None:
        """Ends what runs beside the coroutine that has ended, as asyncio.Runner does."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def _give_birth(self) -> None:
        births, self._births = self._births, []
        for child, keep, born in births:
            if born.cancelled():
                continue
            try:
                born.set_result(fork(child, keep))
            except OSError as error:
                born.set_exception(error)


def fork(child: Callable[[], int], keep: Collection[int]) -> int:
    """Forks; no event loop may run just now."""
    gc.freeze()  # a collection in the child would write to each object, and so copy the pages that are shared
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a signal must not reach the child with our handlers
    try:
        process = os.fork()
        if process == 0:
            _live(child, keep, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    gc.unfreeze()
    return process


def _live(child: Callable[[], int], keep: Collection[int], parent: int) -> None:
    """A child's life; never returns."""
    status = CRASHED
    try:
        _end_with(parent)
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _leave_alone(keep)
        metrics.forget()
        status = child()
    except BaseException as error:  # a process ends here
        log.critical("worker process %d failed: %r", os.getpid(), error, exc_info=error)
    finally:
        output.writer.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    """Has the kernel end this process with its parent, where it can: one that stood still would keep its sockets."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it was just too late to ask for that
            os._exit(CRASHED)


def _leave_alone(keep: Collection[int]) -> None:
    """Lets go of what belongs to the parent, connections above all, which would stay open with us.

    The numbers stay in use: objects that we have inherited would otherwise close, one day, what has them then.
    """
    folder = next(each for each in map(Path, _DESCRIPTORS) if each.is_dir())
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(each.name) for each in folder.iterdir()]:
        if descriptor >= _STANDARD and descriptor not in keep and descriptor != nothing:
            _put_in_place(nothing, descriptor)
    os.close(nothing)


def _put_in_place(nothing: int, descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        return  # the one by which the folder was read
    os.dup2(nothing, descriptor, inheritable=False)
