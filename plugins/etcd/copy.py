"""The keys below a prefix as they were at one revision: taken by a listing, led on by events, handed to a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pycoredns.plugins.etcd.errors import HistoryLost, Suspicious
from pycoredns.plugins.etcd.held import Held, Newest, Version
from pycoredns.plugins.etcd.leases import Leases
from pycoredns.plugins.etcd.messages import DELETED, Event, Header, KeyValue, RangeAnswer
from pycoredns.plugins.etcd.reach import Reach, end_of_prefix

if TYPE_CHECKING:
    from pycoredns.plugins.etcd.client import Client

Upcoming: TypeAlias = asyncio.Future[RangeAnswer] | None

PAGE = 2500
"""Keys in a page of a listing: 5,000 take 4 ms at once here."""
MOST_COMPARED = 1 << 20
"""Octets in all keys and values, up to which they are compared with those of an etcd that has come back."""
SLICE = 100
"""Keys after which others have their turn."""


class Store(Protocol):
    """Who gets the keys. None of its methods may raise: a value that makes no sense is the store's affair."""

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        """``key`` has this value now; ``lease`` is 0 or can be asked for with ``Mirror.lease_ttl``."""

    def delete(self, key: bytes) -> None:
        """``key``, which was put before, is no more."""

    def changed(self) -> None:
        """A group of puts and deletions is complete: what was made of the former state must not be used any more."""


class Copy:
    """Keys are held as key and revision only; the values are with the store."""

    def __init__(self, prefix: bytes, store: Store) -> None:
        """Begins empty."""
        self._prefix = prefix
        self.start = prefix or b"\0"
        self.end = end_of_prefix(prefix)
        self.store = store
        self.held = Held()
        self.leases = Leases()
        self.revision = 0
        """All up to here is held; 0: not known for certain, so that a full sync is due."""
        self.cluster = 0
        """The id of the cluster whose revision that is."""
        self.full_syncs = 0
        self.events = 0
        self._second_look = False
        self._whole = asyncio.Lock()
        """Held while a message is taken over, as there are revisions of which half is held then."""
        self._replaced: dict[bytes, Version | None] | None = None
        """During a comparison: what was held of the keys that messages have changed since it began."""

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self.held)

    @property
    def size(self) -> int:
        """Octets in all keys and values."""
        return self.held.size

    async def continues(self, client: Client) -> bool:
        """Has this etcd the history that we have followed, so that a watch can resume where we are?

        A cluster that was wiped keeps its id, may be past our revision again, and may even have been filled with the same keys
        in the same order: so look back at that revision whether it has as many keys as we hold, and the same newest value. Where
        that is no more than a page, look at all: so few are filled in, with one changed among them, before we are back.
        """
        newest = await self._newest()
        if not self.revision or newest is None:
            return False
        few = len(self.held) <= PAGE and self.size <= MOST_COMPARED
        try:
            everything = await client.range(
                self.start, self.end, revision=self.revision, limit=PAGE if few else 1, keys_only=not few
            )
            answer = everything if few else await client.range(newest.key, revision=self.revision)
        except HistoryLost:
            return False
        same = bool(answer.kvs) and all(map(self._is_held, answer.kvs))
        return same and everything.count == len(self.held) and answer.header.cluster_id == self.cluster

    def _is_held(self, pair: KeyValue) -> bool:
        return self.held.version(pair.key) == Version.of(pair.mod_revision, pair.value, pair.lease)

    async def confirm(self, client: Client, since: int) -> tuple[int, int]:
        """The cluster's revision, and one up to which nothing is missing that has changed since; 0 where something may be.

        All up to just before ``since`` is known to be held. etcd looks at every key for it. It is asked about our own revision,
        as of which what is under way makes no difference, or about now where that is compacted away.
        """
        with suppress(HistoryLost):
            return await self._compare(client, since, now=False)
        return await self._compare(client, since, now=True)

    async def _compare(self, client: Client, since: int, *, now: bool) -> tuple[int, int]:
        async with self._whole:
            revision, count = 0 if now else self.revision, len(self.held)
            self._replaced = replaced = dict[bytes, Version | None]()
        try:
            answer = await client.range(self.start, self.end, revision=revision, limit=PAGE, keys_only=True, since=since)
        finally:
            self._replaced = None

        def held_then(pair: KeyValue) -> bool:
            version = replaced[pair.key] if pair.key in replaced else self.held.version(pair.key)
            return version is not None and version.revision >= pair.mod_revision

        complete = not answer.more and answer.count == count and all(map(held_then, answer.kvs))
        return answer.header.revision, (revision or answer.header.revision) if complete else 0

    async def _newest(self) -> Newest | None:
        """What was written last; nothing is written meanwhile."""
        newest = None
        for count, candidate in enumerate(self.held.newest_of_blocks(), 1):
            if newest is None or candidate.revision > newest.revision:
                newest = candidate
            if count % SLICE == 0:
                await asyncio.sleep(0)
        return newest

    async def sync(self, client: Client) -> None:
        """Lists everything at one revision; takes over what differs, then drops what is not there any more."""
        self.revision = 0
        held_before = len(self.held)
        header, missing = await self._list(client)
        self._doubt(len(missing), held_before)
        await self._drop(missing)
        self.revision, self.cluster = header.revision, header.cluster_id
        self.full_syncs += 1

    async def _list(self, client: Client) -> tuple[Header, list[bytes]]:
        """Takes over all that differs; says what the first page says of the cluster, and which keys are held but not listed."""
        missing: list[bytes] = []
        reach = Reach(self._prefix)
        page = await client.range(reach.start, reach.end, limit=PAGE)
        header = page.header
        while True:
            start = reach.start
            reach.advance(page)
            async with self._fetched(client, reach, header.revision) as upcoming:
                if held := list(self.held.between(start, reach.start)):
                    listed = {pair.key for pair in page.kvs}
                    missing += (key for key in held if key not in listed)
                await self._take(page.kvs)
                if upcoming is None:
                    return header, missing
                page = await upcoming

    @asynccontextmanager
    async def _fetched(self, client: Client, reach: Reach, revision: int) -> AsyncIterator[Upcoming]:
        """The page that comes now, if one does, which etcd looks up while the one before it is taken over."""
        if reach.over:
            yield None
            return
        upcoming = asyncio.ensure_future(client.range(reach.start, reach.end, revision=revision, limit=PAGE))
        try:
            yield upcoming
        finally:
            upcoming.cancel()

    async def _take(self, pairs: Sequence[KeyValue]) -> None:
        for start in range(0, len(pairs), SLICE):
            self._put_in_order(pairs[start : start + SLICE])
            await asyncio.sleep(0)
        self.store.changed()

    def _put_in_order(self, pairs: Sequence[KeyValue]) -> None:
        """Takes over pairs in the order of their keys: all at once where they are behind all that is held, as at the start."""
        keys, values, leases = [pair.key for pair in pairs], [pair.value for pair in pairs], [pair.lease for pair in pairs]
        if not self.held.extend(keys, [pair.mod_revision for pair in pairs], values, leases):
            for pair in pairs:
                self._put(pair)
            return
        put = self.store.put
        for key, value, lease in zip(keys, values, leases, strict=True):
            if lease:
                self.leases.note(lease)
            put(key, value, lease)

    def _doubt(self, missing: int, held: int) -> None:
        """Refuses to believe, once, that most of what is held has gone: an etcd restored empty looks like that."""
        if self._second_look or missing * 2 <= held:
            self._second_look = False
            return
        self._second_look = True
        raise Suspicious(
            f"{missing} of {held} keys are gone, too many to believe at once; looking again in {Suspicious.pause:.0f} s"
        )

    async def _drop(self, keys: Sequence[bytes]) -> None:
        for count, key in enumerate(keys, 1):
            self._delete(key)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        self.store.changed()

    async def apply(self, events: Sequence[Event]) -> None:
        """Takes over the events of one message, which holds revisions as a whole."""
        async with self._whole:
            if self._replaced is not None:
                for event in events:
                    self._replaced.setdefault(event.kv.key, self.held.version(event.kv.key))
            await self._take_over(events)
            self.events += len(events)
            self.revision = events[-1].kv.mod_revision
        self.store.changed()

    async def _take_over(self, events: Sequence[Event]) -> None:
        for count, event in enumerate(events, 1):
            if event.type == DELETED:
                self._delete(event.kv.key)
            else:
                self._put(event.kv)
            if count % SLICE == 0:
                await asyncio.sleep(0)

    def stand_at(self, revision: int, cluster: int) -> None:
        """All up to a revision of a cluster is held, though another process has listed and watched it."""
        self.revision, self.cluster = revision, cluster

    def _put(self, pair: KeyValue) -> None:
        key, value, lease = pair.key, pair.value, pair.lease
        if not self.held.put(key, pair.mod_revision, value, lease):
            return
        if lease:
            self.leases.note(lease)
        self.store.put(key, value, lease)

    def _delete(self, key: bytes) -> None:
        if self.held.delete(key):
            self.store.delete(key)
