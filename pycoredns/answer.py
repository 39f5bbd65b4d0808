"""Answers that are there, or will come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pycoredns.errors import ServerFailure, forget_way
from pycoredns.response import Response

if TYPE_CHECKING:
    from pycoredns.late import Late
    from pycoredns.request import Request

Answer: TypeAlias = Awaitable[Response]
"""What a handler returns: a Response, or something that will be one."""


class Pending:
    """An answer that will come by a callback, without a task of its own."""

    response: Response | None = None
    """The answer, once it is there."""
    error: Exception | None = None
    """What came in its place, if something did."""
    _callback: Callable[[Pending], object] | None = None
    _change: Callable[[Response], Response] | None = None

    @property
    def done(self) -> bool:
        """Has the answer, or an error, come?"""
        return self.response is not None or self.error is not None

    def result(self) -> Response:
        """The answer; raises the error that came in its place."""
        if self.response is not None:
            return self.response
        raise self.error or RuntimeError("no answer has come yet")

    def resolve(self, response: Response) -> None:
        """The answer is there: all who wait are called. Later calls do nothing."""
        if self.response is None and self.error is None:
            if self._change is not None:
                try:
                    response = self._change(response)
                except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
                    self.fail(error)
                    return
            self.response = response
            callback, self._callback = self._callback, None
            if callback is not None:
                callback(self)

    def fail(self, error: Exception) -> None:
        """No answer will come, for this reason. Later calls do nothing."""
        if not self.done:
            self.error = error
            callback, self._callback = self._callback, None
            if callback is not None:
                callback(self)
                forget_way(error)

    def when_done(self, callback: Callable[[Pending], object]) -> None:
        """Calls back with this object, at once if it is done."""
        if self.response is not None:
            callback(self)
        elif self.error is not None:
            callback(self)
            forget_way(self.error)
        elif self._callback is None:
            self._callback = callback
        else:
            first = self._callback
            self._callback = lambda done: (first(done), callback(done))

    def change(self, change: Callable[[Response], Response]) -> bool:
        """Has the answer changed when it comes; False, and nothing done, where somebody waits for it as it is."""
        if self.response is not None or self.error is not None or self._callback is not None or self._change is not None:
            return False
        self._change = change
        return True

    def send_by(self, late: Late, request: Request) -> None:
        """Has the answer sent by those who do that when it is there, as the one to a client's question."""
        self.when_done(partial(late.take, request))

    def __await__(self) -> Generator[object, None, Response]:
        """Waits in a coroutine."""
        if not self.done:
            from asyncio import get_running_loop

            future = get_running_loop().create_future()
            self.when_done(lambda _: None if future.done() else future.set_result(None))
            yield from future
        return self.result()


T = TypeVar("T")


def then(answer: Answer, change: Callable[[Response], Answer]) -> Answer:
    """Changes an answer now if it is there, or when it comes."""
    if isinstance(answer, Response):
        return change(answer)
    if isinstance(answer, Pending):
        changed = Pending()
        answer.when_done(lambda done: _pass_on(done, change, changed))
        return changed
    return _wait_and_change(answer, change)


def changed(answer: Answer, change: Callable[[Response], Response]) -> Answer:
    """The same where a change never waits, and never asks anybody: an answer that will come needs no other that waits for it."""
    if isinstance(answer, Pending) and answer.change(change):
        return answer
    return then(answer, change)


def _pass_on(done: Pending, change: Callable[[Response], Answer], changed: Pending) -> None:
    """Gives a changed answer to those who wait for it."""
    try:
        answer = change(done.result())
    except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
        changed.fail(error)
        return
    if isinstance(answer, Response):
        changed.resolve(answer)
    elif isinstance(answer, Pending):
        answer.when_done(lambda later: _pass_on(later, lambda response: response, changed))
    else:
        _start(answer, changed)


def pending(answer: Answer) -> Pending:
    """Any answer as one that calls back: a coroutine runs in a task of its own."""
    if isinstance(answer, Pending):
        return answer
    later = Pending()
    if isinstance(answer, Response):
        later.resolve(answer)
    else:
        _start(answer, later)
    return later


def attempt(ask: Callable[[], Answer]) -> Pending:
    """What somebody answers, now or later, with an answer or an error."""
    try:
        return pending(ask())
    except Exception as error:  # noqa: BLE001  whoever waits gets it
        (failed := Pending()).fail(error)
        return failed


def _start(answer: Answer, changed: Pending) -> None:
    """Waits for a coroutine in a task, and passes its answer on."""
    from asyncio import CancelledError, ensure_future

    async def wait() -> None:
        try:
            changed.resolve(await answer)
        except CancelledError:
            if task.cancelling():  # it is this task that is to end
                raise
            changed.fail(ServerFailure("what the answer was waiting for was cancelled"))
        except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
            changed.fail(error)

    _tasks.add(task := ensure_future(wait()))
    task.add_done_callback(_tasks.discard)


_tasks: set[Awaitable[None]] = set()


async def _wait_and_change(answer: Answer, change: Callable[[Response], Answer]) -> Response:
    return await change(await answer)
