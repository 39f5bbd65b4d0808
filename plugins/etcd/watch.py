"""A watch: the stream on which etcd tells what changes."""

from __future__ import annotations

import asyncio
from typing import Any

from aetcd import rpc

from pycoredns.plugins.etcd.channel import translated
from pycoredns.plugins.etcd.errors import EtcdError, HistoryLost, Unauthenticated, Unreachable
from pycoredns.plugins.etcd.messages import WatchAnswer
from pycoredns.plugins.etcd.settings import Endpoint

ANSWERS_WITHIN = 5.0
"""Seconds that etcd may take to agree to a watch, or to take a request on its stream."""


class Watch:
    """One watch on one stream of its own."""

    def __init__(self, call: Any, endpoint: Endpoint) -> None:
        """``call`` is a stream on which the watch is being asked for."""
        self._call = call
        self._endpoint = endpoint

    async def read(self) -> WatchAnswer:
        """The next message; raises EtcdError when there will be none."""
        with translated(self._endpoint):
            answer = await self._call.read()
        if not isinstance(answer, rpc.WatchResponse):  # the mark of a stream's end
            raise Unreachable(f"{self._endpoint.text}: the watch was closed")
        message: WatchAnswer = answer
        if message.canceled:  # possibly on the very message that says it was created; then the stream stays open, and silent
            raise cancellation(message, self._endpoint)
        return message

    async def ask_progress(self) -> None:
        """Asks for a message that tells how far the stream is; none comes as long as nothing has happened since it began."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                with translated(self._endpoint):
                    await self._call.write(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))
        except TimeoutError as error:
            raise Unreachable(f"{self._endpoint.text}: the watch takes no request") from error

    def close(self) -> None:
        """Lets go of the stream."""
        self._call.cancel()


async def open_watch(call: Any, endpoint: Endpoint, key: bytes, end: bytes, revision: int) -> Watch:
    """Asks on ``call`` for all changes from ``revision`` on, and waits until etcd has agreed."""
    # Not in fragments: taking a message apart costs etcd time that grows with the square of its length.
    wish = rpc.WatchCreateRequest(key=key, range_end=end, start_revision=revision, progress_notify=True, fragment=False)
    watch = Watch(call, endpoint)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            with translated(endpoint):
                await call.write(rpc.WatchRequest(create_request=wish))
            await watch.read()
    except TimeoutError as error:
        watch.close()
        raise Unreachable(f"{endpoint.text}: the watch does not begin") from error
    except BaseException:
        watch.close()
        raise
    return watch


def cancellation(message: WatchAnswer, endpoint: Endpoint) -> EtcdError:
    """Why etcd ended a watch; "permission denied" is also its word for a token that has run out."""
    if message.compact_revision:
        return HistoryLost(f"{endpoint.text}: all before revision {message.compact_revision} is compacted away")
    reason = message.cancel_reason or "the watch was cancelled"
    return Unauthenticated(f"{endpoint.text}: {reason.rpartition('etcdserver: ')[2]}")
