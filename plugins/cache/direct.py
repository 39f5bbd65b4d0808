"""What is found or relayed without a Request and a Response is kept so, too (see ``pycoredns.direct``).

The two closures say what ``Cache.keep`` says, but of octets. They run for each question, so they spell out what would be a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from pycoredns.answer import Answer, changed
from pycoredns.direct import Direct, Found, LookUp, Relay, Shape, found_with_ttl
from pycoredns.meaning import Meaning
from pycoredns.plugins.cache.kept import DENIAL, SUCCESS, Bounds, Store
from pycoredns.plugins.cache.tally import Tally
from pycoredns.query import Tail
from pycoredns.request import Request
from pycoredns.wire.walk import with_one_ttl

if TYPE_CHECKING:
    from pycoredns.plugins.cache.cache import Cache

_MOST_PLANS = 1024

Plan: TypeAlias = tuple[int, str, Store, int, bool]
"""The TTL in seconds that an answer is kept with, where, how many may be there, and whether it had another TTL before."""


def keeping(cache: Cache, tally: Tally, following: Direct) -> Direct:
    """Keeps what is found directly, but gives nothing so: what the cache holds goes the usual way."""
    relay = following.relay and _relay(cache, tally, following.relay)
    return Direct(_look_up(cache, tally, following.look_up), keeps=True, relay=relay)


def _look_up(cache: Cache, tally: Tally, look_up: LookUp) -> LookUp:
    """Keeps what is found in memory."""
    successes, denials = cache.stores[SUCCESS], cache.stores[DENIAL]
    plans = Plans(cache.bounds)

    def look_up_and_keep(asked: bytes, name: bytes, tail: Tail) -> Found | tuple[()] | None:
        key = name + tail.key
        if key in denials or key in successes:
            return None
        found = look_up(asked, name, tail)
        if not found:
            return found
        plan = plans[found[:2]]
        if plan is None:
            return None
        ttl, sort, store, capacity, other = plan
        if other:
            found = found_with_ttl(found, asked, ttl)
        tally.misses += 1
        store[key] = found, ttl, monotonic() + ttl, sort
        if len(store) > capacity:
            tally.make_room(sort, store)
        return found

    return look_up_and_keep


class Plans(dict[tuple[Shape, bytes], Plan | None]):
    """How answers are kept, by their shape and the octets of their TTL: each made when it is first asked for."""

    def __init__(self, bounds: Mapping[Meaning, Bounds]) -> None:
        """Takes the bounds of each meaning."""
        super().__init__()
        self._bounds = bounds

    def __missing__(self, key: tuple[Shape, bytes]) -> Plan | None:
        """None if it is not to be kept."""
        if len(self) >= _MOST_PLANS:
            self.clear()
        shape, octets = key
        ttl = int.from_bytes(octets, "big")
        shortest, longest, sort, store, capacity = self._bounds[shape.meaning]
        bounded = min(max(ttl, shortest), longest)
        plan = self[key] = (bounded, sort, store, capacity, bounded != ttl) if bounded else None
        return plan


def _relay(cache: Cache, tally: Tally, relay: Relay) -> Relay:
    """Keeps what comes from elsewhere."""
    bounds, usual = cache.bounds, relay.usual

    def keep(asked: bytes, tail: Tail, wire: bytes, meaning: Meaning, fixed: int, count: int, ttl: int) -> bytes:
        tally.misses += 1
        shortest, longest, sort, store, capacity = bounds[meaning]
        bounded = shortest if ttl < shortest else longest if ttl > longest else ttl
        if bounded != ttl:
            wire = with_one_ttl(wire, fixed, count, bounded)
        if bounded:
            store[asked.lower() + tail.key] = (wire, asked), bounded, monotonic() + bounded, sort
            if len(store) > capacity:
                tally.make_room(sort, store)
        return wire

    def keep_usual(request: Request, answer: Answer) -> Answer:
        request.personal = True
        tally.misses += 1
        return changed(usual(request, answer), partial(cache.keep, request, request.name + request.tail.key))

    return replace(relay, usual=keep_usual, authentic=True, keep=keep)
