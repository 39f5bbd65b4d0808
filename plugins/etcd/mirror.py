"""All keys below a prefix, kept in memory and up to date; etcd may come and go as it likes.

    class Names:                                                    # a Store: what is done with the keys
        def put(self, key: bytes, value: bytes, lease: int) -> None: ...
        def delete(self, key: bytes) -> None: ...
        def changed(self) -> None: ...

    mirror = Mirror(Settings(("http://10.0.0.1:2379",)), b"/skydns/", names)
    task = asyncio.create_task(mirror.run())                        # until cancelled
    await mirror.synced_event.wait()                                # from now on `names` is complete, whatever etcd does

States: INIT → SYNCING → LIVE ↔ STALE. A sync lists the prefix at one revision and hands on only what differs from what is held;
a watch follows from that revision on. What breaks ends the watch, never the data: the next connection resumes behind the last
revision that was seen if the history up to there is still the same, and syncs again if it is not.
"""

import asyncio
import importlib
import logging
import random
import time
from collections.abc import Coroutine, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from .errors import EtcdError, Forbidden, HistoryLost, NewCertificates, Suspicious, Unauthenticated, Unreachable
from .held import Held
from .leases import Leases
from .messages import DELETED, Event, Header, KeyValue
from .settings import Settings

if TYPE_CHECKING:
    from .client import Client
    from .watch import Watch

PAGE = 1000  # keys
SLICE = 100  # keys, then others have their turn: about 4 ms
HEARTBEAT = 2.0  # seconds
SILENT_HEARTBEATS = 4
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two tries

log = logging.getLogger(__name__)


class Store(Protocol):
    """Who gets the keys. None of its methods may raise: a value that makes no sense is the store's affair."""

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        """`key` has this value now; `lease` is 0 or can be asked for with `Mirror.lease_ttl`."""

    def delete(self, key: bytes) -> None:
        """`key`, which was put before, is no more."""

    def changed(self) -> None:
        """A group of puts and deletions is complete: what was made of the former state must not be used any more."""


class State(IntEnum):
    """Where a mirror is; the number is that of the metric."""

    INIT = 0  # nothing read yet
    SYNCING = 1  # reading for the first time
    LIVE = 2  # complete and followed
    STALE = 3  # complete as of a moment ago; etcd does not answer


class Mirror:
    """The keys below a prefix; its plain attributes are the values of its metrics."""

    def __init__(self, settings: Settings, prefix: bytes, store: Store) -> None:
        """Prepare only: `run` does the work."""
        self.settings = settings
        self.prefix = prefix
        self.store = store
        self.state = State.INIT
        self.synced_event = asyncio.Event()
        self.held = Held()  # its length and `bytes` are metrics, too
        self.leases = Leases()
        self.revision = 0  # all up to here is held; 0: nothing is known for certain, a full sync is due
        self.lag = 0  # revisions by which the cluster was ahead at the last heartbeat
        self.confirmed = 0.0  # when, on the monotonic clock, nothing was known to be missing
        self.reconnects = 0
        self.full_syncs = 0
        self.events = 0
        self._cluster = 0
        self._seen = 0  # how far the stream has come; may be ahead of `revision`, see _note_progress
        self._messages = 0
        self._second_look = False
        self._pause = SHORTEST_PAUSE

    @property
    def synced(self) -> bool:
        """Whether the first sync is done, so that the store is complete."""
        return self.synced_event.is_set()

    @property
    def unconfirmed_for(self) -> float:
        """Seconds since it was last certain that nothing is missing; infinite before the first sync."""
        return time.monotonic() - self.confirmed if self.synced else float("inf")

    def lease_ttl(self, lease: int) -> int | None:
        """Seconds that `lease` has left, None where that is not known."""
        return self.leases.remaining(lease)

    async def run(self) -> None:
        """Follow etcd until cancelled."""
        # In a thread: importing gRPC takes 100 ms, in which queries are answered.
        client_module = await asyncio.to_thread(importlib.import_module, f"{__package__}.client")
        async with client_module.Client(self.settings) as client:
            try:
                while True:
                    pause = await self._follow_until_it_breaks(client)
                    self.reconnects += 1
                    await client.rotate()
                    await asyncio.sleep(pause)
            finally:
                self._falter()

    async def _follow_until_it_breaks(self, client: "Client") -> float:
        """Follow etcd; when that is over, the seconds to wait before the next try."""
        try:
            await self._follow(client)
        except EtcdError as error:
            self._report(error)
            if isinstance(error, Unauthenticated):
                client.forget_token()
            if isinstance(error, HistoryLost):
                self.revision = 0
            if error.pause is not None:
                return error.pause
        except Exception:  # the end of a background task, which must go on: all that is held may be in doubt
            log.exception("etcd: the mirror failed; reading everything again")
            self.revision = 0
        finally:
            self._falter()
        return self._next_pause()

    def _falter(self) -> None:
        self.state = State.STALE if self.synced else State.INIT

    def _report(self, error: EtcdError) -> None:
        held = f"answering with the {len(self.held)} keys held" if self.synced else "nothing to answer with yet"
        level = logging.ERROR if isinstance(error, Forbidden | Suspicious) else logging.WARNING
        log.log(level, "etcd: %s; %s", error, held)

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnections, guards nothing

    async def _follow(self, client: "Client") -> None:
        if not await self._continues(client):
            await self._sync(client)
        watch = await client.watch(self.prefix, self._end, self.revision + 1)
        self._seen = self.revision
        self.state = State.LIVE
        try:
            await first_failure(self._read(watch), self._heartbeats(client, watch), self.leases.keep(client))
        finally:
            watch.close()

    @property
    def _end(self) -> bytes:
        """The first key behind those that begin with the prefix, as etcd wants it."""
        stem = self.prefix.rstrip(b"\xff")
        return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"

    async def _continues(self, client: "Client") -> bool:
        """Whether this etcd has the history that we have followed, so that the watch can resume.

        A cluster that was wiped keeps its id and may even be past our revision again: so look back at that revision
        whether it has as many keys as we hold, and whether the newest of ours is the newest there.
        """
        newest = self.held.newest()
        if not self.revision or newest is None:
            return False
        key, written = newest
        try:
            all_keys = await client.range(self.prefix, self._end, revision=self.revision, limit=1, keys_only=True)
            answer = await client.range(key, revision=self.revision, keys_only=True)
        except HistoryLost:
            return False
        same_key = bool(answer.kvs) and answer.kvs[0].mod_revision == written
        return same_key and all_keys.count == len(self.held) and answer.header.cluster_id == self._cluster

    async def _sync(self, client: "Client") -> None:
        """List everything at one revision; take over what differs, then drop what is not there any more."""
        if not self.synced:
            self.state = State.SYNCING
        self.revision = 0
        held_before = len(self.held)
        header, missing = await self._list(client)
        self._doubt(len(missing), held_before)
        await self._drop(missing)
        self.revision, self._cluster = header.revision, header.cluster_id
        self.full_syncs += 1
        self._confirm(time.monotonic())
        self.synced_event.set()

    async def _list(self, client: "Client") -> tuple[Header, list[bytes]]:
        """Take over all that differs; what the first page says of the cluster, and the keys that are held but not listed."""
        missing: list[bytes] = []
        start: bytes = self.prefix or b"\0"
        page = await client.range(start, self._end, limit=PAGE)
        header = page.header
        while True:
            following = page.kvs[-1].key + b"\0" if page.more else self._end
            listed = {pair.key for pair in page.kvs}
            missing += (key for key in self.held.between(start, following) if key not in listed)
            await self._take_page(page.kvs)
            if not page.more:
                return header, missing
            start = following
            page = await client.range(start, self._end, revision=header.revision, limit=PAGE)

    async def _take_page(self, pairs: Sequence[KeyValue]) -> None:
        for count, pair in enumerate(pairs, 1):
            self._put(pair)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        self.store.changed()

    def _doubt(self, missing: int, held: int) -> None:
        """Refuse to believe, once, that most of what is held has gone: an etcd restored empty looks like that."""
        if self._second_look or missing * 2 <= held:
            self._second_look = False
            return
        self._second_look = True
        raise Suspicious(
            f"{missing} of {held} keys are gone from etcd, too many to believe at once; looking again in {Suspicious.pause:.0f} s"
        )

    async def _drop(self, keys: Sequence[bytes]) -> None:
        for count, key in enumerate(keys, 1):
            self._delete(key)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        self.store.changed()

    def _put(self, pair: KeyValue) -> None:
        key, value = pair.key, pair.value
        if not self.held.put(key, pair.mod_revision, len(value)):
            return
        if pair.lease:
            self.leases.note(pair.lease)
        self.store.put(key, value, pair.lease)

    def _delete(self, key: bytes) -> None:
        if self.held.delete(key):
            self.store.delete(key)

    async def _read(self, watch: "Watch") -> None:
        while True:
            message = await watch.read()
            self._messages += 1
            if message.events:
                await self._apply(message.events)
            else:
                self._note_progress(message.header.revision, whole_stream=message.watch_id < 0)

    async def _apply(self, events: Sequence[Event]) -> None:
        """Take over the events of one message, which holds revisions as a whole."""
        for count, event in enumerate(events, 1):
            if event.type == DELETED:
                self._delete(event.kv.key)
            else:
                self._put(event.kv)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        self.events += len(events)
        self.revision = events[-1].kv.mod_revision
        self._seen = max(self._seen, self.revision)
        self.store.changed()

    def _note_progress(self, revision: int, *, whole_stream: bool) -> None:
        """All up to `revision` has been sent.

        Before 3.4.25 and 3.5.8, etcd may answer a request for progress before it sends the events that belong there
        (etcd-io/etcd#15220): enough to know that the stream is alive, not to resume there.
        """
        self._seen = max(self._seen, revision)
        if not whole_stream:
            self.revision = max(self.revision, revision)

    async def _heartbeats(self, client: "Client", watch: "Watch") -> None:
        """Compare ourselves with the cluster every 2 s; raise when etcd, or only the watch, has fallen silent."""
        silent, messages = 0, self._messages
        while silent <= SILENT_HEARTBEATS:
            await asyncio.sleep(HEARTBEAT)
            await self._look_for_new_files(client)
            asked = time.monotonic()
            # The prefix as a key: a prefix-only user may read it, and etcd need not count all keys behind it.
            answer = await client.range(self.prefix or b"\0", keys_only=True)
            self.lag = max(0, answer.header.revision - self._seen)
            if not self.lag:
                self._confirm(asked)
                self._pause = SHORTEST_PAUSE
            else:
                await watch.ask_progress()
            silent = silent + 1 if self.lag and messages == self._messages else 0
            messages = self._messages
        raise Unreachable(f"{client.endpoint.text}: the watch has fallen silent, {self.lag} revisions behind")

    async def _look_for_new_files(self, client: "Client") -> None:
        if not client.has_new_files():
            return
        if await client.can_connect(self.prefix):
            raise NewCertificates(f"{client.endpoint.text}: connecting again with the new TLS files")
        log.error("etcd: %s: the new TLS files do not work; staying with the old connection", client.endpoint.text)

    def _confirm(self, moment: float) -> None:
        self.confirmed = moment


async def first_failure(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until the first one ends, cancel the others, and raise what ended it."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    done.pop().result()
