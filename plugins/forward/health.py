"""Is an upstream well? Asked only after it failed, by a question whose answer does not matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pycoredns.output import logger
from pycoredns.plugins.forward.lookup import question
from pycoredns.plugins.forward.waiting import Waiting
from pycoredns.wire import types

if TYPE_CHECKING:
    from pycoredns.plugins.forward.upstream import Upstream

TIMEOUT = 1.0
DIAL_TIMEOUT = 2.0
_HEADER_SIZE = 12
log = logger("plugin/forward")


class Probe(Waiting):
    """One health check."""

    limit = 512
    counted = False

    def __init__(self, upstream: Upstream) -> None:
        """It goes the way of the questions."""
        check = upstream.terms.check
        self.message = question(check.domain, types.NS, check.recursion)[2:]
        self._upstream = upstream
        self._outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def succeeds(self) -> bool:
        """Does the upstream answer at all, whatever it says?"""
        stream = self._upstream.terms.check_over_tcp
        self._upstream.ask(self, stream)
        try:
            async with asyncio.timeout(DIAL_TIMEOUT if stream or self._upstream.terms.encrypted else TIMEOUT):
                return await self._outcome
        except TimeoutError:
            return False

    def takes(self, reply: bytes, limit: int) -> bool:
        """It is well, as anything shows that could be an answer."""
        if len(reply) < _HEADER_SIZE or reply[2] < 0x80:
            return False
        self._conclude(True)
        return True

    def attempt_failed(self, why: str) -> None:
        """It is not."""
        log.debug("health check of %s failed: %s", self._upstream.terms.endpoint.text, why)
        self._conclude(False)

    def ask_again(self) -> None:
        """An old connection says nothing about its health."""
        if not self._outcome.done():
            self._upstream.ask(self, self._upstream.terms.check_over_tcp)

    def _conclude(self, well: bool) -> None:
        if not self._outcome.done():
            self._outcome.set_result(well)
