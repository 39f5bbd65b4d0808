"""One of several workers follows etcd; the others have what it has by asking it for pages and then for what has changed since.

etcd sees one watch, however many workers there are, and each of them can take the watch over where the last one has stopped. What
is handed on is packed already: 5 µs a key for who takes it and 2.6 for who gives it, where reading etcd takes 8 and gRPC.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from struct import Struct
from typing import NamedTuple

from pycoredns.output import logger
from pycoredns.peers import Message, NobodyAnswers, here
from pycoredns.plugins.etcd.copy import SLICE
from pycoredns.plugins.etcd.held import Version
from pycoredns.plugins.etcd.mirror import Mirror
from pycoredns.plugins.etcd.tree import Tree

PAGE = 500
"""Keys that are handed on at once, in 1.3 ms."""
MOST_NOTED = 200_000
"""Changes; who is farther behind reads everything again."""
LONGEST_WAIT = 1.0
"""Seconds without a change after which an answer comes all the same."""
PAUSE = 0.1
"""Seconds until another try where no worker leads just now."""
PAUSE_AFTER_FAILURE = 1.0
"""Seconds until another try where something unexpected went wrong."""
LONGEST_SYNC = 2.0
"""Seconds until who asks for a page has to ask again, as nothing has been read yet."""
_FIXED = Struct("=IIqII")
"""Sizes of the key and of the record, and the version."""
_LEASE = Struct("=qd")
"""A lease, and when it ends."""
_GONE = Version(-1, 0, 0)
"""In place of the version of a key that is no more."""

log = logger("plugin/etcd")


class Entry(NamedTuple):
    """A key as it is now: its version, ``_GONE`` if it is no more; its packed record, empty if it has no place as a name."""

    key: bytes
    version: Version
    record: bytes


def write(entries: Iterable[Entry]) -> bytes:
    """Entries as octets."""
    parts: list[bytes] = []
    for key, version, record in entries:
        parts += (_FIXED.pack(len(key), len(record), *version), key, record)
    return b"".join(parts)


def read(octets: bytes) -> Iterator[Entry]:
    """The entries again."""
    place = 0
    while place < len(octets):
        key_size, record_size, *version = _FIXED.unpack_from(octets, place)
        key = place + _FIXED.size
        record = key + key_size
        place = record + record_size
        yield Entry(octets[key:record], Version(*version), octets[record:place])


class Feed:
    """In the worker that leads: the store of its copy, which notes what changes, and answers the others."""

    def __init__(self, mirror: Mirror, tree: Tree) -> None:
        """Stands between the mirror and the tree from now on."""
        self._mirror = mirror
        self._copy = mirror.copy
        self._tree = tree
        self._epoch = os.urandom(8).hex()
        """Positions count from the beginning of this feed."""
        self._noted: deque[bytes | int] = deque(maxlen=MOST_NOTED)
        """Keys, and leases."""
        self._end = 0
        self._news = asyncio.Event()
        self._copy.store = self
        self._copy.leases.changed = self._note_lease

    # --- the store

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        """Hands a value on to the tree."""
        self._tree.put(key, value, lease)
        self._note(key)

    def delete(self, key: bytes) -> None:
        """Hands a deletion on."""
        self._tree.delete(key)
        self._note(key)

    def changed(self) -> None:
        """Tells those who answer from the tree, and those who follow."""
        self._tree.changed()
        self._news.set()

    def _note_lease(self, lease: int) -> None:
        self._note(lease)
        self._news.set()

    def _note(self, changed: bytes | int) -> None:
        self._noted.append(changed)
        self._end += 1

    # --- those who follow

    async def answer(self, message: Message) -> Message:
        """A page from a key on, all leases, or what has changed since a position."""
        if message.value == "page":
            await self._wait_until_synced()
            return self._page(message.body)
        if message.value == "leases":
            return Message(self._epoch, b"".join(_LEASE.pack(*each) for each in self._copy.leases.deadlines()))
        epoch, position, patient = message.value
        if epoch != self._epoch:
            return Message()
        if patient and position == self._end:
            await self._wait_for_news()
        return self._changes(position)

    async def _wait_until_synced(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_SYNC):
                await self._mirror.synced_event.wait()
        except TimeoutError:
            raise NobodyAnswers("etcd has not been read yet") from None

    def _page(self, start: bytes) -> Message:
        keys = list(islice(self._copy.held.between(start, b""), PAGE))
        return Message([self._epoch, self._end, len(keys) == PAGE], write(map(self._entry, keys)))

    async def _wait_for_news(self) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                await self._news.wait()

    def _changes(self, position: int) -> Message:
        """What has changed since a position, as it is now, and how far the copy is; no value if that is not known any more."""
        skipped = position - (self._end - len(self._noted))
        if skipped < 0:
            return Message()
        noted = dict.fromkeys(islice(self._noted, skipped, skipped + PAGE))
        reached = min(position + PAGE, self._end)
        leases = [[lease, self._copy.leases.deadline(lease)] for lease in noted if isinstance(lease, int)]
        entries = write(self._entry(key) for key in noted if isinstance(key, bytes))
        revision = self._copy.revision if reached == self._end else 0
        return Message([self._epoch, reached, leases, revision, self._copy.cluster, self._mirror.confirmed], entries)

    def _entry(self, key: bytes) -> Entry:
        version = self._copy.held.version(key)
        return Entry(key, version or _GONE, (self._tree.records.get(key) or b"") if version else b"")


class Follower:
    """In the other workers: keeps mirror and tree as those of the worker that leads."""

    def __init__(self, mirror: Mirror, tree: Tree, topic: str) -> None:
        """``topic`` is what the feed is offered as."""
        self._mirror = mirror
        self._copy = mirror.copy
        self._tree = tree
        self._topic = topic
        self._epoch = ""
        self._position = 0

    async def run(self) -> None:
        """Follows until cancelled."""
        while True:
            try:
                if await self._read_all() and await self._read_changes(patient=False):
                    self._mirror.synced_event.set()
                    while await self._read_changes():
                        pass
            except NobodyAnswers:
                await asyncio.sleep(PAUSE)
            except Exception:  # the end of a background task, which has to go on; all that is held may be in doubt
                log.exception("following another worker failed; reading everything again")
                await asyncio.sleep(PAUSE_AFTER_FAILURE)

    async def _ask(self, value: object, body: bytes = b"") -> Message:
        return await here().ask_leader(self._topic, Message(value, body))

    async def _read_all(self) -> bool:
        """Takes over all keys and leases; False if another worker has begun to lead meanwhile."""
        self._copy.revision = 0  # should we lead before this is done, everything has to be read from etcd
        start, self._epoch = b"", ""
        while True:
            page = await self._ask("page", start)
            epoch, position, more = page.value
            if not self._epoch:
                self._epoch, self._position = epoch, position
            if epoch != self._epoch:
                return False
            entries = list(read(page.body))
            following = entries[-1].key + b"\0" if more else b""
            listed = {entry.key for entry in entries}
            gone = [Entry(key, _GONE, b"") for key in self._copy.held.between(start, following) if key not in listed]
            await self._take(entries + gone)
            if not more:
                return await self._read_leases()
            start = following

    async def _read_leases(self) -> bool:
        answer = await self._ask("leases")
        self._copy.leases.learn_all(_LEASE.iter_unpack(answer.body))
        return bool(answer.value == self._epoch)

    async def _read_changes(self, patient: bool = True) -> bool:
        """Takes over what has changed, when something has; False if everything has to be read again."""
        answer = await self._ask([self._epoch, self._position, patient])
        if answer.value is None:
            return False
        _, self._position, leases, revision, cluster, self._mirror.confirmed = answer.value
        await self._take(list(read(answer.body)))
        for lease, deadline in leases:
            self._copy.leases.learn(lease, deadline)
        if revision:
            self._copy.stand_at(revision, cluster)
        return True

    async def _take(self, entries: list[Entry]) -> None:
        for count, entry in enumerate(entries, 1):
            self._take_one(entry)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        if entries:
            self._tree.changed()

    def _take_one(self, entry: Entry) -> None:
        key, version, record = entry
        if version == _GONE:
            if self._copy.held.delete(key):
                self._tree.delete(key)
        elif self._copy.held.note(key, version) and record:
            self._tree.keep(key, record)
