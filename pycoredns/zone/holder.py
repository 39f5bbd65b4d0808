"""Plugins that hold zones, and those that follow what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pycoredns.answer import Answer
from pycoredns.corefile.kinds import Fallthrough
from pycoredns.direct import Direct, Found
from pycoredns.errors import Dropped, Refused, ServerFailure
from pycoredns.output import logger
from pycoredns.plugin import Plugin, overrides
from pycoredns.query import Tail
from pycoredns.request import Request
from pycoredns.wire import names, types
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.journal import Difference, Journal, difference
from pycoredns.zone.lookup import Missing
from pycoredns.zone.zone import Zone

if TYPE_CHECKING:
    from pycoredns.service import Service

log = logger("plugin/file")
"""Also of *secondary*, as in CoreDNS."""
_MOST_PLACES = 16384


class FollowsZones(Plugin):
    """Wants to know of new versions of zones: transfer sends NOTIFY."""

    def zone_changed(self, zone: Zone) -> None:
        """A plugin of the same block holds a new version of a zone."""


class HoldsZones(Plugin):
    """Answers from zones in memory; subclasses bring them there.

    ``hold`` says which zones there will be, ``publish`` gives each its present version. A zone that is held but not there is
    answered with SERVFAIL.
    """

    needs_all: ClassVar[bool] = True
    """Does no server start with it while one of its zones cannot be read?"""
    missing: Missing | None = None
    """Asked before a name is denied: set where there is ``fallthrough``."""

    def __post_init__(self) -> None:
        """Begins without zones; subclasses with a ``__post_init__`` call this first."""
        self._held: dict[bytes, Zone | None] = {}
        self._journals: dict[bytes, Journal] = {}
        self._places: dict[bytes, Zone] = {}  # of the parents of names: the zone they are in

    # --- the zones

    def hold(self, origin: bytes) -> None:
        """From now on answers for a zone (lower-case wire form), which may come later."""
        self._held.setdefault(origin, None)
        self._places.clear()

    def drop(self, origin: bytes) -> None:
        """Answers for a zone no longer."""
        self._held.pop(origin, None)
        self._journals.pop(origin, None)
        self._places.clear()
        self.changed()

    def withdraw(self, origin: bytes) -> None:
        """A zone is not to be answered from any more, as it has expired; SERVFAIL until it is published again."""
        self._held[origin] = None
        self._places.clear()
        self.changed()

    def publish(self, zone: Zone, changes: Difference | None = None) -> None:
        """A new version is there; ``changes`` are those since the last one, if they have been found out already."""
        old = self._held.get(zone.origin)
        if old is not None and old.serial != zone.serial:
            self._journals.setdefault(zone.origin, Journal()).add(changes or difference(old, zone))
        else:
            self._journals.pop(zone.origin, None)  # what has another content under the same serial follows from nothing
        self._held[zone.origin] = zone
        self._places.clear()
        self.changed()
        for plugin in self.block.plugins:
            if isinstance(plugin, FollowsZones):
                plugin.zone_changed(zone)

    def adopt(self, old: HoldsZones, origin: bytes) -> None:
        """Takes a zone over from a predecessor as it is, on a reload of the Corefile."""
        self._held[origin] = old._held.get(origin)
        if origin in old._journals:
            self._journals[origin] = old._journals[origin].copy()  # for a while both get the same new versions

    def faults(self) -> Iterable[BadZoneError]:
        """What is wrong with the zones that are to be held, for ``pycoredns check``."""
        return ()

    def zone(self, origin: bytes) -> Zone | None:
        """Exactly this zone, in its newest version; None if it is not held, or not there."""
        return self._held.get(origin)

    def changes(self, origin: bytes, since: int) -> Sequence[Difference] | None:
        """What changed since a serial, oldest first; None where that is not known (any more)."""
        zone = self._held.get(origin)
        if zone is not None and zone.serial == since:
            return ()
        return self._journals[origin].since(since) if origin in self._journals else None

    # --- questions

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Answers for names that stand alone, where no signatures are wanted."""
        held = self._held
        place = self._places.get

        def look_up(asked: bytes, name: bytes, tail: Tail) -> Found | None:
            zone = place(name[name[0] + 1 :])
            return zone.look_up(name, tail, zone.short) if zone is not None and name not in held and not tail.do else None

        return Direct(look_up, even=False)

    def handle(self, request: Request) -> Answer:
        """Answers from the zone with the longest name that holds the one asked for."""
        name = request.name
        zone = self._places.get(name[name[0] + 1 :])
        if zone is None or name in self._held or request.header.opcode:
            return self._handle_special(request)
        return zone.answer(request, self.missing)

    def _handle_special(self, request: Request) -> Answer:
        """A zone's own name, a parent that is not known yet, other opcodes, other zones."""
        origin = self.origin_of(request.name)
        if origin is None:
            return self.elsewhere(request)
        if request.header.opcode == types.NOTIFY and request.qtype not in types.TRANSFERS:
            return self.notified(request, origin)
        return self.answered(request, origin)

    def answered(self, request: Request, origin: bytes) -> Answer:
        """Answers from the zone with this name, or from its parent where that is to say something of it."""
        if request.qtype == types.DS and request.name == origin:
            origin = self._parent_of(origin)
        zone = self._held[origin]
        if zone is None:
            raise Refused if request.qtype in types.TRANSFERS else ServerFailure
        if request.name != origin:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._places[names.parent(request.name)] = zone
        return zone.answer(request, self.missing)

    def _parent_of(self, origin: bytes) -> bytes:
        """The zone that answers for the DS records of another: its parent, if that is here and knows any (RFC 4035 §3.1.4.1)."""
        above = self.origin_of(names.parent(origin))
        zone = self._held.get(above) if above is not None else None
        return origin if above is None or zone is None or not zone.secures(origin) else above

    @cached_property
    def is_last(self) -> bool:
        """Does nobody stand behind it that could know more names?"""
        behind = self.block.plugins[self.block.plugins.index(self) + 1 :]
        return not any(plugin.step and overrides(plugin, "handle") for plugin in behind)

    def elsewhere(self, request: Request) -> Answer:
        """A name outside the zones: refused where nobody stands behind that could know it, as CoreDNS does."""
        if self.is_last:
            raise Refused
        return self.next(request)

    def fall_through(self, through: Fallthrough) -> None:
        """Has questions for names that are missing passed on, those of some zones."""
        self.missing = (lambda request: self.next(request) if through.covers(request.name) else None) if through.zones else None

    def notified(self, request: Request, origin: bytes) -> Answer:
        """Somebody says that a zone has changed elsewhere, which concerns a secondary only (RFC 1996 §3.11)."""
        log.info("Dropping notify from %s for %s", request.client[0].partition("%")[0], names.to_text(origin))
        raise Dropped

    def origin_of(self, name: bytes) -> bytes | None:
        """The longest of the held zones that a name is in."""
        while name not in self._held:
            if name == names.ROOT:
                return None
            name = names.parent(name)
        return name
