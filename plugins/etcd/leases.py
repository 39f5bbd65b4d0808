"""How long the leases of the held keys still have; read once for each lease and again before that time is over.

A keepalive makes no watch event, so nobody tells us when a lease is prolonged.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pycoredns.plugins.etcd.errors import EtcdError, LeaseNotFound

if TYPE_CHECKING:
    from pycoredns.plugins.etcd.client import Client

AT_ONCE = 16
"""Requests in flight."""
SOONEST = 1.0
"""Seconds until a lease is read again."""


class Leases:
    """The deadlines of leases, on the monotonic clock."""

    def __init__(self) -> None:
        """Begins with none known."""
        self.changed: Callable[[int], None] | None = None
        """Told of each lease that is new, whose time is known anew, or that has ended."""
        self._deadlines: dict[int, float] = {}
        self._due: list[tuple[float, int]] = []
        """A heap: when to read which lease; exactly one entry for each lease."""
        self._noted = asyncio.Event()

    def note(self, lease: int) -> None:
        """A key is held by ``lease``: from now on its time is kept, until etcd says that it has ended."""
        if lease not in self._deadlines:
            self._deadlines[lease] = 0.0
            heapq.heappush(self._due, (0.0, lease))
            self._noted.set()
            if self.changed is not None:
                self.changed(lease)

    def remaining(self, lease: int) -> int | None:
        """Seconds ``lease`` has left, at least 1 as long as etcd has not said otherwise; None where that is not known (yet)."""
        deadline = self._deadlines.get(lease)
        return max(1, round(deadline - time.monotonic())) if deadline else None

    def deadlines(self) -> Iterator[tuple[int, float]]:
        """All leases, and when they end as far as that is known, else 0."""
        return iter(self._deadlines.items())

    def deadline(self, lease: int) -> float | None:
        """When a lease ends, on the monotonic clock of this machine; 0 if that is not known yet, None if it has ended."""
        return self._deadlines.get(lease)

    def learn(self, lease: int, deadline: float | None) -> None:
        """Takes over what another process has found out; ``resume`` must be called before any is read here."""
        if deadline is None:
            self._deadlines.pop(lease, None)
        else:
            self._deadlines[lease] = deadline

    def learn_all(self, deadlines: Iterable[tuple[int, float]]) -> None:
        """Takes over all that another process knows."""
        self._deadlines = dict(deadlines)

    def resume(self) -> None:
        """Reads all leases anew, now that this is done here."""
        self._due = [(0.0, lease) for lease in self._deadlines]
        self._noted.set()

    async def begin(self, client: Client, within: float) -> None:
        """Reads what is due, so that the first answers have the right TTL; ``within`` seconds at most, and not if etcd fails."""
        with contextlib.suppress(EtcdError, TimeoutError):
            async with asyncio.timeout(within):
                while due := self._take_due(time.monotonic()):
                    await self._read_all(client, due)

    async def keep(self, client: Client) -> None:
        """Reads what is due, until cancelled or etcd fails."""
        while True:
            now = time.monotonic()
            if due := self._take_due(now):
                await self._read_all(client, due)
                continue
            self._noted.clear()
            await self._wait(self._due[0][0] - now if self._due else None)

    def _take_due(self, now: float) -> list[int]:
        due: list[int] = []
        while self._due and self._due[0][0] <= now and len(due) < AT_ONCE:
            due.append(heapq.heappop(self._due)[1])
        return due

    async def _read_all(self, client: Client, leases: list[int]) -> None:
        """Reads ``leases`` side by side; those that could not be read stay due."""
        try:
            remaining = await asyncio.gather(*(read(client, lease) for lease in leases))
        except BaseException:
            for lease in leases:
                heapq.heappush(self._due, (0.0, lease))
            raise
        for lease, seconds in zip(leases, remaining, strict=True):
            self._keep_until(lease, seconds)

    def _keep_until(self, lease: int, seconds: int | None) -> None:
        if seconds is None:
            del self._deadlines[lease]
        else:
            now = time.monotonic()
            self._deadlines[lease] = now + seconds
            heapq.heappush(self._due, (now + max(SOONEST, seconds / 2), lease))
        if self.changed is not None:
            self.changed(lease)

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._noted.wait()
        except TimeoutError:
            return


async def read(client: Client, lease: int) -> int | None:
    """The seconds ``lease`` has left, None if it has ended."""
    try:
        return await client.lease_remaining(lease)
    except LeaseNotFound:
        return None
