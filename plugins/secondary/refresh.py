"""When a zone is looked after: refresh, retry and expiry by its SOA, and at once on NOTIFY (RFC 1034 §4.3.5, RFC 1996)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from random import random
from time import monotonic

from pycoredns.background import in_background
from pycoredns.durations import duration_text
from pycoredns.output import logger
from pycoredns.peers import here
from pycoredns.plugins.secondary.asking import Primary, fetch, reason, serial_at
from pycoredns.plugins.secondary.incoming import NothingNewer, TransferError
from pycoredns.plugins.secondary.kept import Shelf
from pycoredns.plugins.secondary.turns import Turns
from pycoredns.wire import names
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.journal import Difference, is_newer
from pycoredns.zone.zone import Zone

log = logger("plugin/secondary")
zone_log = logger("plugin/file")
"""What CoreDNS tells of zones, whoever holds them."""
FIRST_RETRY, LONGEST_FIRST_RETRY = 0.25, 10.0
"""Seconds between attempts to get a zone that cannot be served: doubled each time, up to the second figure."""
REFRESH_JITTER, RETRY_JITTER = 5.0, 2.0
"""Seconds by which many secondaries of a primary are kept apart, at most."""
PAUSE = 0.25
"""Seconds between two looks at the primaries, however many NOTIFY messages come."""


@dataclass(frozen=True)
class Timers:
    """The SOA's seconds; a zone that expired before its primaries could be asked again would come and go (RFC 1912 §2.2)."""

    refresh: int
    retry: int
    expire: float

    @classmethod
    def of(cls, zone: Zone) -> Timers:
        """What a zone's SOA says (RFC 1035 §3.3.13)."""
        rdata = zone.soa().rdata
        refresh, retry, expire = (max(int.from_bytes(rdata[place : place + 4], "big"), 1) for place in (-16, -12, -8))
        return cls(refresh, retry, max(expire, refresh + REFRESH_JITTER + retry + RETRY_JITTER))


class Follower:
    """Keeps one zone as its primaries have it."""

    def __init__(
        self,
        origin: bytes,
        primaries: Sequence[Primary],
        most: int,
        shelf: Shelf | None,
        arrived: Callable[[Zone, Difference | None], None],
        expired: Callable[[bytes], None],
    ) -> None:
        """``arrived`` takes each new version, and one that had expired when it is good again; it may raise TransferError.

        ``most`` is how many records the zone may have; ``shelf`` is where it is kept on disk.
        """
        self.origin = origin
        self.primaries = primaries
        self.zone: Zone | None = None
        self.checked = monotonic()
        """When a primary last had what we have."""
        self.expired = False
        self._failing = False
        self.restored = False
        self._most = most
        self._shelf = shelf
        self._arrived = arrived
        self._expired = expired
        self._notified = asyncio.Event()
        self._first_asked = ""
        self._pause = FIRST_RETRY
        self._name = names.to_text(origin)

    def continue_from(self, old: Follower) -> None:
        """Goes on with the version that another has, which is served already."""
        self.zone, self.checked, self.expired, self.restored = old.zone, old.checked, old.expired, True

    async def restore(self) -> None:
        """Serves what is kept on disk, if it has not expired; once."""
        if self.restored:
            return
        self.restored = True
        shelf = self._shelf
        kept = await in_background(lambda: shelf.load(self.origin)) if shelf is not None else None
        if kept is None:
            return
        self.zone, self.checked = kept[0], monotonic() - kept[1]
        self._check_expiry()
        if not self.expired:
            self._serve_restored(self.zone)

    def _serve_restored(self, zone: Zone) -> None:
        try:
            self._arrived(zone, None)
        except TransferError as error:
            log.warning("Zone %s as it was is not served: %s", self._name, error)
            self.zone = None

    def forget(self) -> None:
        """The zone is served no more, nor kept on disk."""
        if self._shelf is not None:
            self._shelf.drop(self.origin)

    def notify(self, client: str) -> None:
        """A primary says that the zone has changed; it is asked first."""
        self._first_asked = client
        self._notified.set()

    async def run(self, turns: Turns) -> None:
        """Looks after the zone until it is cancelled; ``turns`` are those in which primaries are asked."""
        while True:
            self._notified.clear()
            expiry = asyncio.create_task(self._expire_in_time())
            try:
                faults = await self._refresh(turns)
            finally:
                expiry.cancel()
            started, interval = monotonic(), self._interval(not faults)
            if faults:
                self._tell(faults, duration_text(interval))
            self._failing = bool(faults)
            await self._wait(interval)
            await asyncio.sleep(max(0.0, PAUSE - (monotonic() - started)))

    def _tell(self, faults: str, again: str) -> None:
        """Warns that no primary was of use: for a first transfer, for a look at the serial, or for a further one."""
        if self.zone is None:
            log.warning("All '%s' masters failed to transfer, retrying in %s: %s", self._name, again, faults)
            return
        kind = "retry" if self._failing else "refresh"
        zone_log.warning("Failed %s check %s (zone %s, retrying in %s)", kind, faults, self._name, again)

    # --- time

    async def _wait(self, interval: float) -> None:
        """Until the next look at the primaries, or NOTIFY; the zone may expire meanwhile."""
        until = monotonic() + interval
        while (left := until - monotonic()) > 0:
            self._check_expiry()
            try:
                async with asyncio.timeout(min(left, self._time_left())):
                    await self._notified.wait()
                return
            except TimeoutError:
                continue

    def _interval(self, good: bool) -> float:
        if self.zone is None or self.expired:
            interval, self._pause = self._pause, min(self._pause * 2, LONGEST_FIRST_RETRY)
            return interval
        self._pause = FIRST_RETRY
        timers = Timers.of(self.zone)
        if good:
            return timers.refresh + random() * REFRESH_JITTER  # noqa: S311  keeps secondaries apart, no secret
        return timers.retry + random() * RETRY_JITTER  # noqa: S311  likewise

    def _time_left(self) -> float:
        """Seconds until the zone expires."""
        if self.zone is None or self.expired:
            return inf
        return Timers.of(self.zone).expire - (monotonic() - self.checked)

    async def _expire_in_time(self) -> None:
        """Has the zone expire also while primaries are asked: of many zones each waits for its turn, transfers may be long."""
        while (left := self._time_left()) < inf:
            await asyncio.sleep(max(left, 0.0))
            self._check_expiry()

    def _check_expiry(self) -> None:
        if self._time_left() <= 0:
            self.expired = True
            zone_log.error("Zone %s is expired", self._name)
            self._expired(self.origin)

    # --- the primaries

    def _in_order(self) -> list[Primary]:
        """The primaries; the one that sent NOTIFY first."""
        first, self._first_asked = self._first_asked, ""
        return sorted(self.primaries, key=lambda primary: primary.server.address != first)

    async def _refresh(self, turns: Turns) -> str:
        """Gets the zone from the first primary that has a newer one; returns what is wrong with them if none of them was good."""
        client, good, changed, faults = self._first_asked, False, False, list[str]()
        for primary in self._in_order():
            try:
                changed = await self._look_at(primary, turns)
                self._confirm()
            except (TransferError, BadZoneError, OSError) as error:
                faults.append(_fault(primary, error))
                continue
            good = True
            if changed:
                break
        if client and not good:
            zone_log.warning("Notify from %s for %s: failed primary check: %s", client, self._name, "; ".join(faults))
        elif client and not changed:
            zone_log.info("Notify from %s for %s: no SOA serial increase seen", client, self._name)
        if good and faults:
            log.warning("A primary of '%s' failed: %s", self._name, "; ".join(faults))
        return "" if good else "; ".join(faults)

    async def _look_at(self, primary: Primary, turns: Turns) -> bool:
        """Gets the zone where a primary has a newer version, or any other than one that has expired.

        Raises TransferError, BadZoneError or OSError.
        """
        ours = self.zone
        if ours is not None:
            async with turns.look(primary.server):
                serial = await serial_at(primary, self.origin)
            if serial == ours.serial:
                return False
            if not is_newer(serial, ours.serial):
                if not self.expired:
                    raise TransferError(f"its serial {serial} is not newer than ours, {ours.serial}: not taken")
                ours = None
        try:
            async with turns.transfer:
                zone, changes = await fetch(primary, self.origin, ours, self._most)
        except NothingNewer as error:
            if error.serial == error.ours:
                return False
            raise TransferError(f"{error}: not taken") from None
        except OSError as error:
            zone_log.error("Failed to setup transfer `%s' with `\"%s\"': %s", self._name, primary.server, _fault(primary, error))
            raise
        except (TransferError, BadZoneError) as error:
            zone_log.error('Failed to transfer `%s\' from "%s": %s', self._name, primary.server, error)
            raise
        self._take(zone, changes, primary)
        return True

    def _take(self, zone: Zone, changes: Difference | None, primary: Primary) -> None:
        """Puts a new version in the place of the old one."""
        self._arrived(zone, changes)
        self.zone, self.expired = zone, False
        zone_log.info("Transferred: %s from %s", self._name, primary.server)
        if self._shelf is not None and here().leading:
            self._shelf.keep(zone)

    def _confirm(self) -> None:
        """A primary has what we have."""
        self.checked = monotonic()
        if self.expired and self.zone is not None:
            self.expired = False
            self._arrived(self.zone, None)
        shelf, zone = self._shelf, self.zone
        if shelf is not None and zone is not None and not shelf.confirm(self.origin) and here().leading:
            shelf.keep(zone)


def _fault(primary: Primary, error: Exception) -> str:
    """What is wrong with a primary; of one that cannot be reached in CoreDNS's words."""
    if isinstance(error, OSError) and error.errno:
        return f"dial tcp {primary.server}: connect: {os.strerror(error.errno).lower()}"
    return f"{primary.server}: {reason(error)}"
