"""An etcd that is followed, by all plugins that have the same settings, and across reloads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from pycoredns.metrics import Counter, Gauge, before_scrape
from pycoredns.output import logger
from pycoredns.peers import Role, here
from pycoredns.plugins.etcd.feed import Feed, Follower
from pycoredns.plugins.etcd.keys import root_of
from pycoredns.plugins.etcd.mirror import Mirror, State
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.tree import Tree

PREFIX = "coredns_etcd_"
LABELS = ("endpoints", "path")

state = Gauge("mirror_state", "0: nothing read yet, 1: reading, 2: followed, 3: etcd is away.", *LABELS, prefix=PREFIX)
unconfirmed = Gauge("unconfirmed_seconds", "Time since it was last certain that nothing is missing.", *LABELS, prefix=PREFIX)
lag = Gauge("revision_lag", "Revisions that etcd was ahead when it was last asked.", *LABELS, prefix=PREFIX)
keys = Gauge("keys", "Keys held.", *LABELS, prefix=PREFIX)
octets = Gauge("bytes", "Size of all keys and values.", *LABELS, prefix=PREFIX)
bad_values = Gauge("bad_values", "Keys whose value is no record.", *LABELS, prefix=PREFIX)
reconnects = Counter("reconnects_total", "Times the connection was lost or could not be made.", *LABELS, prefix=PREFIX)
full_syncs = Counter("full_syncs_total", "Times everything was read.", *LABELS, prefix=PREFIX)
events = Counter("events_total", "Changes told by etcd.", *LABELS, prefix=PREFIX)
METRICS = (state, unconfirmed, lag, keys, octets, bad_values, reconnects, full_syncs, events)
_WORST_FIRST: tuple[float, ...] = (State.STALE, State.INIT, State.SYNCING, State.LIVE)


log = logger("plugin/etcd")


class Identity(NamedTuple):
    """What must be the same for a mirror to be shared."""

    settings: Settings
    path: str
    default_ttl: int


class Source:
    """A mirror, and the tree that it keeps up to date."""

    def __init__(self, identity: Identity) -> None:
        """Follows nothing yet: ``begin`` does."""
        self._labels = ",".join(identity.settings.endpoints), identity.path
        root = root_of(identity.path)
        self.tree = Tree(root, identity.default_ttl)
        self.mirror = Mirror(identity.settings, root + b"/", self.tree)
        self.tree.sorted_keys = self.mirror.copy.held
        self._topic = f"etcd/{sha256(repr(identity).encode()).hexdigest()}"
        self._task: asyncio.Task[None] | None = None
        self._stack = ExitStack()

    def begin(self) -> None:
        """Follows etcd or, where there are several workers, the one that does."""
        if here().leading:
            self._lead()
            return
        self._stack.enter_context(here().succeeding(self._succeed))
        self._run(Follower(self.mirror, self.tree, self._topic).run())

    def _lead(self) -> None:
        if here().role is Role.WORKER:
            feed = Feed(self.mirror, self.tree)
            self._stack.enter_context(here().offering(self._topic, feed.answer))
        _measured.append(self)
        self._stack.callback(_measured.remove, self)
        self._run(self.mirror.run())

    def _succeed(self) -> None:
        """Follows etcd from where the worker was that did so and is gone."""
        if self._task is not None:
            self._task.cancel()
        self.mirror.copy.leases.resume()
        self._lead()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work, name="etcd mirror")
        self._task.add_done_callback(tell_end)

    async def end(self) -> None:
        """Follows it no more."""
        self._stack.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))  # whatever ended it has been told, and must not keep others from ending

    def show(self) -> None:
        """Adds to the metrics; of what says how up to date it is the worst is shown."""
        mirror, copy = self.mirror, self.mirror.copy
        for metric, number in (
            (keys, len(copy)),
            (octets, copy.size),
            (bad_values, self.tree.spoiled),
            (reconnects, mirror.reconnects),
            (full_syncs, copy.full_syncs),
            (events, copy.events),
        ):
            metric.cell(*self._labels).value += number
        for metric, value in ((unconfirmed, mirror.unconfirmed_for), (lag, mirror.lag)):
            cell = metric.cell(*self._labels)
            cell.value = max(cell.value, value)
        others = state.cells.get(self._labels)
        state.cell(*self._labels).value = min(mirror.state, others.value if others else State.LIVE, key=_WORST_FIRST.index)


_measured: list[Source] = []
"""Those that follow etcd themselves. Some may have the same labels: they differ in credentials, TLS files or default TTL."""


def measure() -> None:
    """Brings the metrics up to date."""
    for metric in METRICS:
        metric.cells.clear()
    for source in _measured:
        source.show()


before_scrape.append(measure)


def tell_end(task: asyncio.Task[None]) -> None:
    """Logs what ended the mirror, if nobody has cancelled it."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("etcd is followed no more: %r", error, exc_info=error)


_sources: dict[Identity, Source] = {}


@asynccontextmanager
async def following(identity: Identity, changed: Callable[[], None]) -> AsyncIterator[Source]:
    """The source of this identity, followed until the last one has left who uses it; ``changed`` is called at each change."""
    source = _sources.get(identity)
    if source is None:
        source = _sources[identity] = Source(identity)
        source.begin()
    source.tree.listeners.append(changed)
    try:
        yield source
    finally:
        source.tree.listeners.remove(changed)
        if not source.tree.listeners:
            del _sources[identity]
            await source.end()
