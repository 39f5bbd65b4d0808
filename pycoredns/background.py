"""What is done beside the answers: long work in threads, and what goes on as long as somebody wants it."""

from __future__ import annotations

import asyncio
import errno
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pycoredns.output import logger

T = TypeVar("T")
log = logger("pycoredns")
POLITE = 0.0005
"""Seconds after which a thread that works for long lets the event loop have its turn; Python's own measure is 5 ms."""
MOST_THREADS = 16
"""What is to be done beyond that waits."""


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Has something go on meanwhile, in a task; in the end it is cancelled, and waited for. What ends it before is logged."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_tell_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_end(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("a background task has ended: %r", error, exc_info=error)


async def in_background(work: Callable[[], T]) -> T:
    """Does in a thread what takes long, so that answers hardly wait for it.

    A process that ends meanwhile does not wait for it either: what must be done to its end is awaited, and not cancelled.
    """
    return await asyncio.wrap_future(_threads.begin(work))


class _Threads:
    """Threads that last as long as there is work, with short turns, which are one measure for the whole process.

    They are daemons: those of asyncio are joined when the process ends, even where a zone of a million names is being read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0
        self._unfinished = 0
        self._usual = 0.0

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Has it done as soon as a thread is free for it; one that is cancelled before is not begun.

        Raises OSError where there is no thread, and the system gives none.
        """
        future: Future[T] = Future()
        with self._lock:
            if not self._unfinished:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(POLITE)
            self._unfinished += 1
            self._waiting.append((future, work))
            starts = self._threads < MOST_THREADS
            self._threads += starts
        future.add_done_callback(self._finish)
        if starts:
            self._start_thread(future)
        return future

    def _start_thread(self, future: Future[Any]) -> None:
        """One more. Where the system gives none those at work do what is to be done, if there are any."""
        try:
            threading.Thread(target=self._run, name="background", daemon=True).start()
        except RuntimeError as error:
            with self._lock:
                self._threads -= 1
                alone = not self._threads
            if alone and future.cancel():
                raise OSError(errno.EAGAIN, str(error)) from None

    def _finish(self, _: Future[Any]) -> None:
        with self._lock:
            self._unfinished -= 1
            if not self._unfinished:
                sys.setswitchinterval(self._usual)

    def _run(self) -> None:
        while (task := self._next()) is not None:
            _do(*task)
            del task  # which may hold a zone

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None


def _do(future: Future[T], work: Callable[[], T]) -> None:
    """Does it, if it is still wanted; what it raises is raised where it is awaited."""
    try:
        if future.set_running_or_notify_cancel():
            future.set_result(work())
    except BaseException as error:  # noqa: BLE001  it goes on in the loop
        future.set_exception(error)
    finally:
        del future  # the error knows this frame, and would keep itself


_threads = _Threads()
