"""Answers are kept by what was asked, and given again (RFC 1035 §7.4, RFC 2308)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property, partial
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Self

from pycoredns.answer import Answer, changed
from pycoredns.corefile.kinds import Zone
from pycoredns.corefile.numbers import Whole, is_whole
from pycoredns.corefile.options import Argument, Arguments, BadValueError, Option, Repeated, zones_of_block
from pycoredns.direct import Direct
from pycoredns.frozen import changeable
from pycoredns.meaning import Meaning
from pycoredns.metrics import Counter, Gauge, before_scrape
from pycoredns.plugin import Outcome, Plugin
from pycoredns.plugins.cache.direct import keeping
from pycoredns.plugins.cache.kept import (
    DENIAL,
    OWN_FLAGS,
    SUCCESS,
    Bounds,
    Budget,
    Kept,
    Noted,
    Popularity,
    Store,
    WeighedStore,
    opened,
)
from pycoredns.plugins.cache.options import (
    PREFER_POSITIVE,
    Disabled,
    Limits,
    LongestTTL,
    Octets,
    Prefetch,
    ServeStale,
    ShortDuration,
)
from pycoredns.plugins.cache.refresh import Refresher
from pycoredns.plugins.cache.tally import Tally
from pycoredns.plugins.cache.verdict import ANSWER, judge
from pycoredns.query import AA, AD, CD
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import edns, names, types

if TYPE_CHECKING:
    from pycoredns.service import Service

CAPACITY = Limits(Whole(10000))
SERVFAIL_DURATION = ShortDuration(5)
LONGEST_SUCCESS, LONGEST_DENIAL = 3600, 1800
EVERYWHERE = (Zone(names.ROOT),)
_CD_MARK = b"\1"


@changeable
class Cache(Plugin):
    """Keep answers, and give them again until their TTL has passed."""

    entries = Gauge("entries", "Answers in the cache.", "server", "type", "zones", "view")
    hits = Counter("hits_total", "Questions answered from the cache.", "server", "type", "zones", "view")
    misses = Counter("misses_total", "Questions passed on. Deprecated: requests less hits.", "server", "zones", "view")
    requests = Counter("requests_total", "Questions that came to the cache.", "server", "zones", "view")
    prefetches = Counter("prefetch_total", "Answers fetched again before or after their end.", "server", "zones", "view")
    served_stale = Counter("served_stale_total", "Questions answered from past their end.", "server", "zones", "view")
    octets = Gauge("bytes", "Memory that the answers take, nearly; shown with max_bytes.", "server", "zones", "view")
    evictions = Counter("evictions_total", "Answers that had to make room.", "server", "type", "zones", "view")

    ttl: Annotated[LongestTTL | None, Argument("longest time an answer is kept, in seconds", meant=is_whole)] = None
    zones: Annotated[tuple[Zone, ...], Arguments("zones to keep answers for", otherwise=zones_of_block)] = EVERYWHERE
    success: Annotated[Limits, Option("limits for positive answers", surplus=True)] = CAPACITY
    denial: Annotated[Limits, Option("limits for denials of existence", surplus=True)] = CAPACITY
    prefetch: Annotated[Prefetch | None, Option("fetches popular answers again before their time is over")] = None
    serve_stale: Annotated[ServeStale | None, Option("gives answers past their time, while no others can be had")] = None
    serve_stale_policy: Annotated[
        tuple[bool, ...], Repeated("which of several answers past their time is given", kind=PREFER_POSITIVE)
    ] = ()
    servfail: Annotated[ShortDuration, Option("how long SERVFAIL is kept")] = SERVFAIL_DURATION
    disable: Annotated[tuple[Disabled, ...], Repeated("keeps no positive answers, or no denials, for some zones")] = ()
    keepttl: Annotated[bool, Option("gives answers with the TTL they came with, not with what is left of it")] = False

    max_bytes: Annotated[Octets | None, Option("memory that all answers may take together, nearly", placeholder="BYTES")] = None

    def __post_init__(self) -> None:
        """Prepares the stores, and what belongs to each sort of answers."""
        if len(self.serve_stale_policy) > 1:
            raise BadValueError("serve_stale_policy can only be specified once", option="serve_stale_policy")
        if self.serve_stale_policy and self.serve_stale is None:
            cause, remedy = "serve_stale_policy requires serve_stale", "add a line serve_stale"
            raise BadValueError(cause, remedy, "serve_stale_policy")
        self.budget = Budget(self.max_bytes) if self.max_bytes else None
        self.stores = {SUCCESS: self._store(self.success), DENIAL: self._store(self.denial)}
        self._successes, self._denials = self.stores[SUCCESS], self.stores[DENIAL]
        self._disabled = {each.sort: each.zones for each in self.disable}
        self.bounds = self._bounds_by_meaning()
        self._answer_bounds = self.bounds[ANSWER]
        self._prefetch = self.prefetch if self.prefetch and self.prefetch.amount else None
        self._stale = int(self.serve_stale.up_to) if self.serve_stale else 0
        self.prefers_positive = bool(self.serve_stale_policy)
        self._choosy = bool(self.disable or self.serve_stale_policy)
        self._refresher = Refresher(self, self.serve_stale or ServeStale())
        self._tallies: dict[Service, Tally] = {}

    def _store(self, limits: Limits) -> Store:
        return WeighedStore(limits.entries, self.budget) if self.budget else Store(limits.entries)

    def _bounds_by_meaning(self) -> dict[Meaning, Bounds]:
        success = self._bounds_of(SUCCESS, self.success.minttl, self.success.ttl or self.ttl or LONGEST_SUCCESS)
        denial = self._bounds_of(DENIAL, self.denial.minttl, self.denial.ttl or self.ttl or LONGEST_DENIAL)
        failure = self._bounds_of(DENIAL, self.servfail, self.servfail)
        others = {Meaning.NO_DATA: denial, Meaning.NO_NAME: denial, Meaning.FAILURE: failure}
        return dict.fromkeys(Meaning, success) | others

    def _bounds_of(self, sort: str, shortest: float, longest: float) -> Bounds:
        store = self.stores[sort]
        return int(min(shortest, longest)), int(longest), sort, store, store.capacity

    @cached_property
    def _all_names(self) -> bool:
        """Does it keep answers for all names that its block is asked for?"""
        return all(any(names.within(served, zone) for zone in self.zones) for served in self.block.zones)

    # --- the way of a question

    def handle(self, request: Request) -> Answer:
        """Answers from the cache, at once where the answer was given before within the same second of its age."""
        key = request.name + request.tail.key
        if request.header.bits & CD:
            key += _CD_MARK
        kept = self._denials.get(key)
        if kept is None:
            kept = self._successes.get(key)
            if kept is None:
                return self._miss(request, key)
            if isinstance(kept, Kept) and monotonic() < kept.turn:
                self.tally(request).successes += 1
                return kept.given
        kept = self.find(key, now := monotonic())
        if kept is None:
            return self._miss(request, key)
        self.tally(request).hit(kept.sort)
        if now >= kept.until:
            return self._refresher.stale(request, key, kept, now)
        if self._prefetch:
            self._consider(self._prefetch, request, key, kept, now)
        return self.give(request, kept, now)

    def find(self, key: bytes, now: float) -> Kept | None:
        """What may be given for a key: denials go before, save SERVFAIL."""
        denied, known = self._denials.find(key), self._successes.find(key)
        latest = now - self._stale
        if self.prefers_positive and self._stale and known is not None:
            good = known.good()
            if good is not None and latest < good.until:
                return good
        if known is not None and latest >= known.until:
            known = None
        if denied is None or latest >= denied.until:
            return known
        return known if known is not None and denied.response.rcode == types.SERVFAIL else denied

    def _miss(self, request: Request, key: bytes) -> Answer:
        """Asks the plugins behind. What they say is for this client only: the next one gets it from the cache."""
        # only a question that was changed on its way can be for a name of no zone of the block
        if self._all_names and request.__class__ is Request:
            request.personal = True
        elif self._keeps(request.name):
            request.make_personal()
        else:
            return self.next(request)
        (self._tallies.get(request.listener.service) or self.tally(request)).misses += 1
        request.authentic = True
        answer = self.next(request)
        if isinstance(answer, Response):
            return self.keep(request, key, answer)
        return changed(answer, partial(self.keep, request, key))

    def _keeps(self, name: bytes) -> bool:
        """Is a name (lower-case wire form) in one of the zones?"""
        return any(names.within(name, zone) for zone in self.zones)

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Keeps what is found directly, where it keeps everything and needs to look at nothing."""
        if following is None or not following.even or self._choosy or self.budget is not None or not self._all_names:
            return None
        return keeping(self, self._tally_of(service), following)

    # --- giving

    def give(self, request: Request, kept: Kept, now: float) -> Response:
        """An answer that still holds, with what is left of its TTL."""
        age = int(now - kept.until + kept.ttl)
        if age != kept.age:
            self._make(kept, age)
        return self.shown(request, kept.given) if kept.authentic else kept.given

    def shown(self, request: Request, response: Response) -> Response:
        """AD is for those who ask for it, or for DNSSEC (RFC 6840 §5.8)."""
        if response.flags & AD and not (request.tail.do or request.header.bits & AD):
            return response.alike(flags=response.flags & ~AD, any_case=response.any_case)
        return response

    def _make(self, kept: Kept, age: int) -> None:
        """Makes the answer of this age. The memo gives it too, for as long as nothing is to be decided here."""
        left = kept.ttl - age
        end_of_second = kept.until - left + 1
        aged = kept.response if self.keepttl or not age else kept.response.with_ttl(left)
        kept.given = aged.alike(
            flags=aged.flags & OWN_FLAGS | AA,
            error=None,
            withheld=0,
            memorable=not self._prefetch or left > self._prefetch.threshold(kept.ttl),
            counts_down=not self.keepttl,
            born=kept.until - kept.ttl,
            until=end_of_second if self._prefetch else kept.until,
            outlasts_changes=True,
            any_case=True,
            repeated=partial(self._repeated, kept),
        )
        kept.age = age
        if not (self._prefetch or kept.authentic):
            kept.turn = kept.until if self.keepttl else end_of_second

    def _repeated(self, kept: Kept, outcome: Outcome) -> None:
        """The memo has given an answer in our place."""
        self.tally(outcome.request).hit(kept.sort, outcome.times)
        if self._prefetch:
            kept.watched().asked(min(monotonic(), outcome.response.until), self._prefetch.duration, outcome.times)

    def _consider(self, prefetch: Prefetch, request: Request, key: bytes, kept: Kept, now: float) -> None:
        """Has a popular answer fetched again in the last part of its time."""
        popularity = kept.watched()
        popularity.asked(now, prefetch.duration)
        left = kept.ttl - int(now - kept.until + kept.ttl)
        if popularity.hits >= prefetch.amount and left <= prefetch.threshold(kept.ttl):
            self._refresher.fetch(request, key, kept, now)

    # --- keeping

    def keep(self, request: Request, key: bytes, response: Response, behind: bool = False) -> Response:
        """Keeps an answer if that may be, with one TTL within bounds on all its records; returns it so.

        ``behind``: it was fetched behind the client's back, and ends an earlier denial.
        """
        meaning, may_be_kept, ttl, even = judge(request, response)
        shortest, longest, sort, store, _ = self._answer_bounds if meaning is ANSWER else self.bounds[meaning]
        bounded = shortest if ttl < shortest else longest if ttl > longest else ttl
        if bounded != ttl or not even:
            response = response.with_ttl(bounded, opt=_upper_bits(request, response))
        elif response.opt is not None:
            response = response.alike(opt=_upper_bits(request, response))
        if may_be_kept and bounded:
            noted = response, bounded, monotonic() + bounded, sort
            kept: Kept | Noted | None = noted
            if self._choosy or behind:
                kept = self._chosen(request, key, opened(noted), behind)
            if kept is not None and (gone := store.put(key, kept)):
                self.tally(request).evictions[sort] += gone
        return self.shown(request, response) if response.flags & AD else response

    def _chosen(self, request: Request, key: bytes, kept: Kept, behind: bool) -> Kept | None:
        """The same where not all are kept, or where it ends a denial; None if it is not to be kept."""
        if kept.sort in self._disabled and any(names.within(request.name, zone) for zone in self._disabled[kept.sort]):
            self.tally(request).kept = True
            return None
        if kept.sort == SUCCESS:
            self._replace_denial(key, kept, behind)
        return kept

    def _replace_denial(self, key: bytes, kept: Kept, behind: bool) -> None:
        """A positive answer ends a denial where it was fetched for that; with ``prefer_positive`` where it answers."""
        if not self.prefers_positive:
            if behind:
                self._denials.drop(key)
        elif kept.response.answers:
            self._denials.drop(key)
        else:
            before = self._successes.find(key)
            kept.last_good = before.good() if before else None

    def remain_popular(self, key: bytes, now: float, hits: int) -> None:
        """The newest answer for a key inherits the questions that its predecessor was asked."""
        kept = self._denials.find(key) or self._successes.find(key)
        if kept is not None:
            kept.popularity = Popularity(now, hits)

    # --- counting, starting, reloading

    def tally(self, request: Request) -> Tally:
        """The counts of the server that was asked."""
        return self._tally_of(request.listener.service)

    def _tally_of(self, service: Service) -> Tally:
        tally = self._tallies.get(service)
        if tally is None:
            zones = ",".join(map(names.to_text, self.zones))
            tally = self._tallies[service] = Tally(service.address, zones, self.block.settings.view)
        return tally

    def count(self) -> None:
        """Brings the metrics up to date."""
        for tally in self._tallies.values():
            tally.fold(self)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Its metrics are there as long as it runs."""
        before_scrape.append(self.count)
        try:
            yield
        finally:
            before_scrape.remove(self.count)
            self.count()

    def take_over(self, old: Self) -> None:
        """Keeps what its predecessor kept, each for the time it was kept for."""
        for sort, store in self.stores.items():
            store.take_over(old.stores[sort], self.zones)


def _upper_bits(request: Request, response: Response) -> bytes | None:
    """What is left of an upstream's OPT record: the upper bits of a long response code (RFC 6891 §6.1.3), beside what of the
    query's comes back."""
    if response.rcode < 16:
        return None
    return edns.opt(0, options=edns.echoed(request.tail.options), extended_rcode=response.rcode >> 4)
