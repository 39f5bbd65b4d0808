"""Asking again for what is kept: before its time is over (prefetch), or after (RFC 8767)."""

from __future__ import annotations

from asyncio import get_running_loop
from time import monotonic
from typing import TYPE_CHECKING

from pycoredns.answer import Answer, Pending, attempt
from pycoredns.errors import DNSError
from pycoredns.listener import STREAM_LIMIT, Listener
from pycoredns.meaning import Meaning, meaning_of
from pycoredns.memo import Memo
from pycoredns.output import logger
from pycoredns.plugins.cache.kept import OWN_FLAGS, Kept
from pycoredns.plugins.cache.options import ServeStale
from pycoredns.plugins.cache.verdict import judge
from pycoredns.query import AA
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types

if TYPE_CHECKING:
    from pycoredns.plugins.cache.cache import Cache
    from pycoredns.service import Service

log = logger("plugin/cache")


class Background(Listener):
    """Where the cache's own questions come from: nobody waits, and an answer has no need to be small."""

    protocol = "tcp"
    limit = STREAM_LIMIT
    family = "2"
    """As CoreDNS counts what has no address."""

    def __init__(self, service: Service) -> None:
        """``service`` is the one whose client was the reason to ask."""
        self.service = service
        self.memo = Memo(0)

    def client(self, peer: object) -> tuple[str, int]:
        """There is none."""
        return "::", 0

    def local(self, peer: object) -> tuple[str, int]:
        """There is none."""
        return "::", 0

    def send(self, peer: object, message: bytes) -> None:
        """Nobody waits for it."""


class Refresher:
    """Asks the plugins behind a cache again."""

    def __init__(self, cache: Cache, terms: ServeStale) -> None:
        """``terms`` say what is given past its time, and how."""
        self._cache = cache
        self._terms = terms
        self._backgrounds: dict[Service, Background] = {}

    # --- behind the client's back

    def fetch(self, request: Request, key: bytes, kept: Kept, now: float, recheck: float = 0.0, stale: bool = False) -> None:
        """Asks for an answer again, unless that is being done, or has failed less than ``recheck`` seconds ago."""
        popularity = kept.watched()
        if not popularity.begin(now, recheck):
            return
        self._cache.tally(request).prefetches += 1
        asked = request.at(self._background(request.listener.service))
        asked.authentic = True

        def done(pending: Pending) -> None:
            response = self._response(pending)
            fetched = not stale
            if response is not None and (not stale or self._better(asked, key, response)):
                self._cache.keep(asked, key, response, behind=True)
                fetched = True
            popularity.end(monotonic(), recheck, fetched)
            if fetched:
                self._cache.remain_popular(key, now, popularity.hits)

        attempt(lambda: self._cache.next(asked)).when_done(done)

    def _background(self, service: Service) -> Background:
        listener = self._backgrounds.get(service)
        if listener is None:
            listener = self._backgrounds[service] = Background(service)
        return listener

    def _response(self, pending: Pending) -> Response | None:
        """What was answered; an error is none."""
        try:
            return pending.result()
        except DNSError:
            return None
        except Exception as error:  # a background question ends here
            log.error("a question behind the cache failed: %r", error, exc_info=error)
            return None

    def _better(self, request: Request, key: bytes, response: Response) -> bool:
        """Does an answer take the place of one past its time (RFC 8767 §4)?"""
        if response.truncated:
            return False
        if self._cache.prefers_positive:
            meaning, may_be_kept, *_ = judge(request, response)
            if meaning is Meaning.ANSWER and may_be_kept and response.answers:
                return True
            self._cache.keep(request, key, response, behind=True)
            return False
        if meaning_of(request, response) in (Meaning.OTHER, Meaning.ZONE_MATTER):
            return False
        return response.rcode in (types.NOERROR, types.NXDOMAIN)

    # --- past its time

    def stale(self, request: Request, key: bytes, kept: Kept, now: float) -> Answer:
        """An answer past its time; or what takes its place, if that is waited for."""
        if self._terms.verify:
            return self._verified(request, key, kept, now)
        self.fetch(request, key, kept, now, self._terms.recheck, stale=True)
        return self._given(request, kept)

    def _given(self, request: Request, kept: Kept) -> Response:
        """What is past its time, as it is given."""
        self._cache.tally(request).stale += 1
        ttl = self._terms.ttl or (kept.ttl if self._cache.keepttl else 0)
        response = kept.response.with_ttl(ttl)
        flags = response.flags & OWN_FLAGS | AA
        return self._cache.shown(request, response.alike(flags=flags, error=None, withheld=0, memorable=False))

    def _verified(self, request: Request, key: bytes, kept: Kept, now: float) -> Answer:
        """Asks first, for as long as it may take."""
        tracked, timeout = self._terms.recheck > 0, self._terms.timeout
        if tracked and not kept.watched().begin(now, self._terms.recheck):
            return self._given(request, kept)
        later = Pending()

        def done(pending: Pending) -> None:
            response = self._response(pending)
            if response is not None:
                response = self._kept(request, key, response) if self._better(request, key, response) else None
            if tracked:
                kept.watched().end(monotonic(), self._terms.recheck, response is not None)
            if not later.done:
                later.resolve(response or self._given(request, kept))

        request.make_personal()
        request.authentic = True
        attempt(lambda: self._cache.next(request)).when_done(done)
        if later.done:
            return later.result()
        if timeout:
            get_running_loop().call_later(timeout, self._give_up, later, request, kept)
        return later

    def _give_up(self, later: Pending, request: Request, kept: Kept) -> None:
        """The client waits no longer; the answer is kept when it comes."""
        if not later.done:
            later.resolve(self._given(request, kept))

    def _kept(self, request: Request, key: bytes, response: Response) -> Response:
        """A new answer, kept; one that was not waited for without end is given as it is from the cache."""
        cache = self._cache
        if not self._terms.timeout:
            return cache.keep(request, key, response)
        given, now = cache.keep(request, key, response, behind=True), monotonic()
        found = cache.find(key, now)
        return cache.give(request, found, now) if found is not None and now < found.until else given
