"""All keys below a prefix, kept in memory and up to date; etcd may come and go as it likes.

    class Names:                                                    # a Store: what is done with the keys
        def put(self, key: bytes, value: bytes, lease: int) -> None: ...
        def delete(self, key: bytes) -> None: ...
        def changed(self) -> None: ...

    mirror = Mirror(Settings(("http://10.0.0.1:2379",)), b"/skydns/", names)
    task = asyncio.create_task(mirror.run())                        # until cancelled
    await mirror.synced_event.wait()                                # from now on ``names`` is complete, whatever etcd does

States: INIT → SYNCING → LIVE ↔ STALE. A sync lists the prefix at one revision and hands on only what differs from what is held;
a watch follows from that revision on. What breaks ends the watch, never the data: the next connection resumes behind the last
revision that was seen if the history up to there is still the same, and syncs again if it is not.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import time
from collections.abc import Coroutine
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from pycoredns import memory
from pycoredns.background import in_background
from pycoredns.output import logger
from pycoredns.plugins.etcd import allocator
from pycoredns.plugins.etcd.copy import Copy, Store
from pycoredns.plugins.etcd.errors import (
    EtcdError,
    Forbidden,
    HistoryLost,
    NewCertificates,
    Suspicious,
    Unauthenticated,
    Unreachable,
    being_cancelled,
)
from pycoredns.plugins.etcd.settings import Settings

if TYPE_CHECKING:
    from pycoredns.plugins.etcd.client import Client
    from pycoredns.plugins.etcd.watch import Watch

HEARTBEAT = 2.0
"""Seconds between two looks at how far the cluster is."""
SILENT_HEARTBEATS = 4
"""Heartbeats without a message, although there must be some, after which a watch is given up."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two tries."""
FIRST_LEASES = 0.1
"""Seconds that answers wait for the leases to be read, at the start."""

log = logger("plugin/etcd")


class State(IntEnum):
    """Where a mirror is; the number is that of the metric."""

    INIT = 0
    """Nothing read yet."""
    SYNCING = 1
    """Reading for the first time."""
    LIVE = 2
    """Complete and followed."""
    STALE = 3
    """Complete as of a moment ago; etcd does not answer."""


class Mirror:
    """The keys below a prefix, and how well they are followed."""

    def __init__(self, settings: Settings, prefix: bytes, store: Store) -> None:
        """Reads nothing yet: ``run`` does."""
        self.settings = settings
        self.copy = Copy(prefix, store)
        self.state = State.INIT
        self.synced_event = asyncio.Event()
        self.reconnects = 0
        self.lag = 0
        """Revisions of the cluster that we had not been told of at the last heartbeat."""
        self.confirmed = 0.0
        """When nothing was known to be missing, in seconds of ``time.monotonic``."""
        self._heartbeat = (0, 0.0)
        """The cluster's revision then, and when it was asked for."""
        self._seen = 0
        """The revision up to which the stream has told everything."""
        self._certain = 0
        """The revision up to which no change can have been left out; 0: nothing is followed yet."""
        self._doubtful = False
        """Was something missing at the last heartbeat that may just be under way?"""
        self._messages = 0
        self._complaints: dict[str, str] = {}
        """The last one of each endpoint since we were last live."""
        self._pause = SHORTEST_PAUSE

    @property
    def synced(self) -> bool:
        """Is the first sync done, so that the store is complete?"""
        return self.synced_event.is_set()

    @property
    def unconfirmed_for(self) -> float:
        """Seconds since it was last certain that nothing is missing; infinite before the first sync."""
        return time.monotonic() - self.confirmed if self.synced else float("inf")

    def lease_ttl(self, lease: int) -> int | None:
        """Seconds that ``lease`` has left, None where that is not known."""
        return self.copy.leases.remaining(lease)

    async def run(self) -> None:
        """Follows etcd until cancelled."""
        allocator.share_one_arena()
        # gRPC takes 100 ms
        client_module = await in_background(partial(importlib.import_module, "pycoredns.plugins.etcd.client"))
        async with client_module.Client(self.settings) as client:
            while True:
                pause = await self._follow_until_it_breaks(client)
                self.reconnects += 1
                await client.rotate()
                await asyncio.sleep(pause)

    async def _follow_until_it_breaks(self, client: Client) -> float:
        """Follows etcd; when that is over, gives the seconds to wait before the next try."""
        try:
            await self._follow(client)
        except EtcdError as error:
            self._complain(client.endpoint.text, error)
            if isinstance(error, Unauthenticated):
                client.forget_token()
            return self._pause_after(error)
        except asyncio.CancelledError:
            if being_cancelled():
                raise
        except Exception:  # the end of a background task, which has to go on; all that is held may be in doubt
            log.exception("the mirror failed; reading everything again")
            self.copy.revision = 0
        finally:
            self.state = State.STALE if self.synced else State.INIT
        return self._next_pause()

    def _pause_after(self, error: EtcdError) -> float:
        if isinstance(error, HistoryLost):
            self.copy.revision = 0
            if self.state is State.LIVE and self._pause == SHORTEST_PAUSE:
                self._next_pause()  # at once, but only once until something has been confirmed again
                return 0.0
        return self._next_pause() if error.pause is None else error.pause

    def _complain(self, endpoint: str, error: EtcdError) -> None:
        """Logs the error; not again and again while etcd stays away."""
        if self._complaints.get(endpoint) == str(error):
            return
        self._complaints[endpoint] = str(error)
        held = f"answering from the {len(self.copy)} keys held" if self.synced else "there is nothing to answer from yet"
        level = logging.ERROR if isinstance(error, Forbidden | Suspicious) else logging.WARNING
        log.log(level, "%s; %s", error, held)

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311  spreads reconnections, guards nothing

    async def _follow(self, client: Client) -> None:
        if not await self.copy.continues(client):
            await self._sync(client)
            self._certain, self._doubtful = self.copy.revision, False
        self._certain = self._certain or self.copy.revision  # as another worker has left it
        self._seen = self.copy.revision
        watch = await client.watch(self.copy.start, self.copy.end, self.copy.revision + 1)
        self.state = State.LIVE
        self._complaints.clear()
        log.info("following %s from revision %d on, with %d keys", client.endpoint.text, self.copy.revision, len(self.copy))
        try:
            await first_end(self._read(watch), self._heartbeats(client, watch), self.copy.leases.keep(client))
        finally:
            watch.close()

    async def _sync(self, client: Client) -> None:
        if not self.synced:
            self.state = State.SYNCING
        asked = time.monotonic()
        await self.copy.sync(client)
        allocator.trim()
        memory.settle()  # a collection that goes over a million keys takes 20 ms
        if not self.synced:
            await self.copy.leases.begin(client, FIRST_LEASES)
        self.confirmed = asked
        self.synced_event.set()

    async def _read(self, watch: Watch) -> None:
        while True:
            message = await watch.read()
            self._messages += 1
            if message.events:
                await self.copy.apply(message.events)
                self._advance(self.copy.revision)
                continue
            self._advance(message.header.revision)
            if message.watch_id >= 0:
                # Not where the whole stream is meant: before 3.4.25 and 3.5.8, etcd may answer our request for progress before
                # it sends the events that belong there (etcd-io/etcd#15220). So that is no place to resume from.
                self.copy.revision = max(self.copy.revision, message.header.revision)

    def _advance(self, revision: int) -> None:
        """The stream has told everything up to ``revision``."""
        self._seen = max(self._seen, revision)
        wanted, asked = self._heartbeat
        self.lag = max(0, wanted - self._seen)
        if not self.lag:
            self.confirmed = max(self.confirmed, asked)
            self._pause = SHORTEST_PAUSE

    async def _heartbeats(self, client: Client, watch: Watch) -> None:
        """Compares ourselves with the cluster every 2 s; raises Unreachable when etcd, or the watch alone, has fallen silent."""
        silent = 0
        while silent < SILENT_HEARTBEATS:
            messages = self._messages
            await asyncio.sleep(HEARTBEAT)
            await look_for_new_files(client, self.copy.start)
            silent = silent + 1 if self.lag and messages == self._messages else 0
            asked = time.monotonic()
            self._heartbeat = await self._cluster_revision(client), asked
            self._advance(self.copy.revision)
            if self.lag:
                await watch.ask_progress()
        raise Unreachable(f"{client.endpoint.text}: the watch has fallen silent, {self.lag} revisions behind")

    async def _cluster_revision(self, client: Client) -> int:
        """The cluster's revision now, asked for so that a compaction that has overtaken us is noticed.

        A watch that reads slowly meanwhile may never get the changes before it, and is not told so (etcd-io/etcd#17529, before
        3.4.31 and 3.5.13). Then all keys are looked at, at two heartbeats, as changes may be under way; HistoryLost is raised
        where some may be missing.
        """
        reached = self.copy.revision
        try:
            # The prefix as a key: one who may read only the prefix may read it, and etcd need not count what is below.
            answer = await client.range(self.copy.start, revision=self._certain, keys_only=True)
        except HistoryLost:
            revision, certain = await self.copy.confirm(client, self._certain + 1)
            if certain:
                self._certain = certain
                self.copy.revision = max(self.copy.revision, certain)
            elif self._doubtful:
                raise HistoryLost(f"{client.endpoint.text}: changes from before a compaction may be missing") from None
            self._doubtful = not certain
            return revision
        self._certain = reached
        return answer.header.revision


async def look_for_new_files(client: Client, key: bytes) -> None:
    """Raises NewCertificates if the TLS files have been replaced by others that work; complains if those do not."""
    if not client.has_new_files():
        return
    try:
        await client.try_connecting(key)
    except EtcdError as error:
        log.error("the new TLS files do not work: %s; staying with the old connection", error)
        return
    raise NewCertificates(f"{client.endpoint.text}: connecting again with the new TLS files")


async def first_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Runs all until one ends, cancels the others, and raises what ended it."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    done.pop().result()
