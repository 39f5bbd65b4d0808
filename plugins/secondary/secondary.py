"""Zones of other name servers: who has them, what is served of them, and who says that they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, Self

from pycoredns.answer import Answer
from pycoredns.corefile import kinds
from pycoredns.corefile.configure import parse_directives
from pycoredns.corefile.kinds import Fallthrough
from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import Arguments, Context, Option, Repeated, Repetition, zones_of_block
from pycoredns.corefile.servers import ServerAddress
from pycoredns.errors import StartError
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugins.secondary.asking import Primary
from pycoredns.plugins.secondary.catalog import Change, Member, Owners, members_of
from pycoredns.plugins.secondary.incoming import TransferError
from pycoredns.plugins.secondary.kept import Shelf, shelf_in
from pycoredns.plugins.secondary.options import Folder, From, KeyName, Members, MostMembers, MostRecords
from pycoredns.plugins.secondary.refresh import Follower, zone_log
from pycoredns.plugins.secondary.together import Together
from pycoredns.plugins.secondary.turns import of_this_loop
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.settings import BlockSettings
from pycoredns.tsig import Key
from pycoredns.wire import names
from pycoredns.zone.holder import HoldsZones
from pycoredns.zone.journal import Difference
from pycoredns.zone.zone import Zone

log = logger("plugin/secondary")
USUAL_MOST, USUAL_MOST_MEMBERS = MostRecords(5_000_000), MostMembers(10_000)


@dataclass(frozen=True)
class Source:
    """Where a zone comes from, and how it is kept."""

    servers: tuple[ServerAddress, ...]
    key: KeyName | None
    most: int
    shelf: Shelf | None
    members: Members | None
    """Of a catalog: which zones it may bring."""
    most_members: int


class Inherited(NamedTuple):
    """What there was of a zone before a reload, or under another catalog."""

    follower: Follower
    holder: HoldsZones


@changeable
class Secondary(HoldsZones):
    """Serve zones that other name servers hold, and keep them as they have them."""

    repeated: ClassVar[Repetition] = "merged"

    zones: Annotated[tuple[kinds.Zone, ...], Arguments("zones that are fetched", otherwise=zones_of_block)]
    transfer: Annotated[tuple[From, ...], Repeated("primaries, the first that answers counts")]
    catalog: Annotated[
        tuple[Members, ...], Repeated("the zones list others, which are fetched too: all, or those within these")
    ] = ()
    through: Annotated[Fallthrough, Option("pass questions for missing names on", name="fallthrough")] = Fallthrough()
    key: Annotated[KeyName | None, Option("the key of tsig that questions to primaries are signed with")] = None
    persist: Annotated[Path | None, Option("a folder in which zones are kept for the next start", kind=Folder)] = None
    max_records: Annotated[MostRecords, Option("a zone with more records is not taken")] = USUAL_MOST
    max_members: Annotated[MostMembers, Option("a catalog with more zones is not taken")] = USUAL_MOST_MEMBERS

    @classmethod
    def from_directives(cls, directives: Sequence[Directive], context: Context) -> Self:
        """All lines of a block make one plugin, so that the longest zone answers; ``fallthrough`` holds for all."""
        first, *others = parse_directives(cls, directives, context)
        for other in others:
            first._join(other)
        return first

    def __post_init__(self) -> None:
        """Fetches nothing yet."""
        super().__post_init__()
        servers = tuple(server for line in self.transfer for server in line.servers)
        members = None
        for each in self.catalog:
            members = members | each if members else each
        shelf = shelf_in(self.persist) if self.persist else None
        source = Source(servers, self.key, self.max_records, shelf, members, self.max_members)
        self.sources = dict.fromkeys(map(bytes, self.zones), source)
        self._owners = Owners()
        self._keys: dict[bytes, Key] = {}
        self._inherited: dict[bytes, Inherited] = {}
        self._followers: dict[bytes, Follower] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] | None = None
        self._settle()

    def _join(self, other: Secondary) -> None:
        """Takes the zones of another line; of a zone that stands on both the other's primaries count."""
        for origin, source in other.sources.items():
            earlier = self.sources.get(origin)
            if earlier and earlier.members and source.members:
                source = replace(source, members=earlier.members | source.members)
            self.sources[origin] = source
        self.through = other.through if other.through.zones else self.through
        self._settle()

    def _settle(self) -> None:
        for origin in self.sources:
            self.hold(origin)
        self.fall_through(self.through)

    # --- questions

    def notified(self, request: Request, origin: bytes) -> Answer:
        """Has a zone looked at when a primary says that it has changed; to anybody else there is no answer (RFC 1996 §3.10)."""
        client = request.client[0].partition("%")[0]
        follower = self._followers.get(origin)
        if follower is None or all(primary.server.address != client for primary in follower.primaries):
            return super().notified(request, origin)
        zone_log.info("Notify from %s for %s: checking transfer", client, names.to_text(origin))
        follower.notify(client)
        self._together.notified(origin, client)
        return Response()

    def _look_at(self, origin: bytes, client: str) -> None:
        """Another process has heard of a new version."""
        if origin in self._followers:
            self._followers[origin].notify(client)

    # --- the zones

    def _begin(self, origin: bytes, source: Source) -> Follower:
        """Looks after a zone from now on, or once the plugin runs."""
        primaries = tuple(Primary(server, self._key_of(source)) for server in source.servers)
        follower = Follower(origin, primaries, source.most, source.shelf, self._arrived, self.withdraw)
        self._followers[origin] = follower
        if inherited := self._inherited.pop(origin, None):
            self._inherit(follower, source, *inherited)
        if self._tasks is not None:
            self._tasks[origin] = asyncio.get_running_loop().create_task(self._look_after(follower))
        return follower

    def _inherit(self, follower: Follower, source: Source, old: Follower, holder: HoldsZones) -> None:
        """Goes on with what another had of the zone."""
        self.adopt(holder, follower.origin)
        follower.continue_from(old)
        if source.members is None or old.zone is None:
            return
        try:
            self._apply(follower.origin, source, source.members, members_of(old.zone, source.most_members))
        except TransferError as error:
            log.warning("%s is no catalog yet: %s", names.to_text(follower.origin), error)

    async def _look_after(self, follower: Follower) -> None:
        """A fault of ours ends no zone for good."""
        while True:
            try:
                await follower.restore()
                await follower.run(self._turns)
            except Exception as error:  # a background step ends here; the next may go better
                log.error("zone %s: %r", names.to_text(follower.origin), error, exc_info=error)
                await asyncio.sleep(10.0)

    def _end(self, origin: bytes) -> None:
        """A zone is served no more."""
        self._stop(origin)
        self._followers.pop(origin).forget()
        self._together.ended(origin)
        self.drop(origin)

    def _stop(self, origin: bytes) -> None:
        task = self._tasks.pop(origin, None) if self._tasks is not None else None
        if task is not None:
            task.cancel()

    def _key_of(self, source: Source) -> Key | None:
        if source.key is None:
            return None
        key = self._keys[source.key.name]
        return replace(key, algorithm=source.key.algorithm) if source.key.algorithm else key

    def _arrived(self, zone: Zone, changes: Difference | None) -> None:
        """Serves a new version; raises TransferError for what should be a catalog and is none."""
        source = self.sources.get(zone.origin)
        if source is None or source.members is None:
            self._publish(zone, changes)
            return
        members = members_of(zone, source.most_members)
        self._publish(zone, changes)
        self._apply(zone.origin, source, source.members, members)

    def _publish(self, zone: Zone, changes: Difference | None) -> None:
        self.publish(zone, changes)
        self._together.arrived(zone.origin)

    def _apply(self, catalog: bytes, source: Source, admitted: Members, members: Mapping[bytes, Member]) -> None:
        """Begins, resets and ends zones as a catalog says."""
        outer = [zone for zone in members if names.within(catalog, zone)]
        wanted = {zone: member for zone, member in members.items() if admitted.admit(zone) and zone not in outer}
        shown, of_member = names.to_text(catalog), replace(source, members=None)
        for change in self._owners.apply(catalog, members, wanted, self.sources):
            if change.begins:
                self._begin_member(change, of_member)
            elif change.ends:
                self._end(change.zone)
            log.log(change.level, change.text, *change.told)
        for zone in outer:
            log.warning("Skipping catalog member zone %s from %s: the catalog is in it", names.to_text(zone), shown)
        if outside := len(members) - len(wanted) - len(outer):
            log.warning("Skipped %d member zones from catalog %s: outside configured member zones", outside, shown)
        log.info("Parsed catalog zone %s with %d member zones", shown, len(members))

    def _begin_member(self, change: Change, source: Source) -> None:
        """A new member, or one that comes from elsewhere now; its data are kept if it is still the same."""
        before = self._followers.get(change.zone)
        if before is not None:
            self._stop(change.zone)
            if change.preserves:
                self._inherited[change.zone] = Inherited(before, self)
            else:
                self.withdraw(change.zone)
                before.forget()
        self.hold(change.zone)
        self._begin(change.zone, source)

    # --- start, stop, reload

    def configure(self, settings: BlockSettings) -> None:
        """The keys are those of tsig."""
        self._keys = settings.keys

    def doubts(self, served: Sequence[tuple[str, int]]) -> Iterable[str]:
        """A key that is not there."""
        return [line.removeprefix("plugin/secondary: ") for line in self._missing_keys()]

    def _missing_keys(self) -> list[str]:
        wanted = {source.key.name: None for source in self.sources.values() if source.key is not None}
        lacking = [names.to_text(name) for name in wanted if name not in self._keys]
        return [f"plugin/secondary: there is no key {name}; give it to tsig: secret {name} SECRET" for name in lacking]

    def take_over(self, old: Self) -> None:
        """Goes on with the zones that are there."""
        self._inherited = {origin: Inherited(follower, old) for origin, follower in old._followers.items() if follower.zone}

    async def drain(self, final: bool) -> None:
        """From a reload on the new server alone looks after the zones: a transfer of the old one could end last."""
        if not final and self._tasks is not None:
            for origin in list(self._tasks):
                self._stop(origin)

    @property
    def _topic(self) -> str:
        """What the same plugin is called in every process."""
        services = sorted(service.address for service in self.block.services)
        return " ".join(["secondary", *services, *(origin.hex() for origin in self.sources)])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves what is kept on disk at once, then looks after all zones."""
        if lacking := self._missing_keys():
            raise StartError("\n".join(lacking))
        self._turns, self._together = of_this_loop(), Together(self._look_at)
        for origin, source in self.sources.items():
            self._begin(origin, source)
        while waiting := [follower for follower in self._followers.values() if not follower.restored]:
            for follower in waiting:  # a catalog brings more
                await follower.restore()
        self._inherited.clear()
        loop = asyncio.get_running_loop()
        self._tasks = {origin: loop.create_task(self._look_after(each)) for origin, each in self._followers.items()}
        try:
            async with self._together.running(self._topic):
                yield
        finally:
            tasks, self._tasks = list(self._tasks.values()), None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for shelf in {source.shelf for source in self.sources.values() if source.shelf is not None}:
                await shelf.close()
