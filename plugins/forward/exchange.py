"""A question on its way through the upstreams."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from random import choice
from time import perf_counter_ns
from typing import TYPE_CHECKING

from pycoredns.answer import Pending
from pycoredns.errors import ServerFailure
from pycoredns.plugins.forward import measures
from pycoredns.plugins.forward.messages import behind_id, cut, is_bare_error, read_answer, spelling_of
from pycoredns.plugins.forward.waiting import Waiting
from pycoredns.relayed import Relayed, head_of, heads
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire.message import BadMessageError
from pycoredns.wire.walk import end_of_usual

if TYPE_CHECKING:
    from pycoredns.late import Late
    from pycoredns.plugins.forward.plugin import Forward
    from pycoredns.plugins.forward.upstream import Upstream

PAUSE = 0.05
"""Seconds between attempts past two for each upstream, where their number is not limited."""
NO_ONE = "no healthy proxies"


class Exchange(Pending, Waiting):
    """Asks one upstream after the other until one answers, the attempts are used up, or the time is over."""

    _upstream: Upstream
    _place = _down = _attempts = _failovers = 0
    _why = NO_ONE
    _widened = False
    """Is the present upstream asked over TCP because its datagram was truncated?"""
    _respelt = False
    """Is it asked again because its datagram had the name in other letters?"""

    def __init__(self, forward: Forward, request: Request, order: Sequence[Upstream]) -> None:
        """``order`` is that of the upstreams; nobody is asked yet."""
        self._forward = forward
        self._request = request
        self._order = order
        self._late: Late | None = None
        # what only the class has takes 250 instructions to load, an object's own 80 (Python 3.11)
        self.response = self.error = self._callback = self._change = None
        tail, wire = request.tail, request.wire
        self.limit = tail.limit
        if len(wire) == len(request.asked) + tail.beside:  # else it is not passed on as it is
            self.message = request.header.with_ad + wire[12:] if request.authentic else wire[2:]
        else:
            self.message = behind_id(request)

    def begin(self) -> None:
        """Asks the first upstream of the order, or the next one where that is not well."""
        upstream = self._upstream = self._order[0]
        if upstream.fails or self._forward.tells:
            self.advance()
            return
        self._place = 1
        if upstream.turn and not self._stream:
            upstream.turn.append(self)
        else:
            upstream.ask(self, self._stream)

    def was_begun(self, sent: float) -> None:
        """The first upstream of the order was asked before, at this time, in seconds of ``time.monotonic``."""
        self._upstream, self._place, self.sent = self._order[0], 1, sent

    @property
    def _stream(self) -> bool:
        """Are upstreams asked over TCP first?"""
        return self._request.listener.protocol in self._forward.streamed

    @property
    def _over_stream(self) -> bool:
        """Is the present upstream asked over a connection, on which nobody else can answer?"""
        return self._stream or self._widened or self._upstream.terms.encrypted

    def send_by(self, late: Late, request: Request) -> None:
        """Has the answer sent together with others that come with it."""
        if self.error is None and self.response is None:
            self._late, self._client = late, request
        else:
            super().send_by(late, request)

    def advance(self) -> None:
        """Asks the next upstream that is not down, or any when all are; ends when there is no time left."""
        upstream, self._widened, self._respelt = self._next_upstream(), False, False
        if upstream is None:
            self._end()
            return
        self._upstream = upstream
        if self._forward.tells and (metadata := self._request.metadata) is not None:
            metadata.note("forward/upstream", upstream.terms.endpoint.text)
        upstream.ask(self, self._stream)

    def _next_upstream(self) -> Upstream | None:
        order, forward = self._order, self._forward
        while perf_counter_ns() - self._request.received < forward.patience:
            if self._place == len(order):
                self._place = self._down = 0
            upstream = order[self._place]
            self._place += 1
            if not forward.max_fails or upstream.fails <= forward.max_fails:
                return upstream
            self._down += 1
            if self._down == len(order):
                measures.all_unhealthy.cell().value += 1
                # health checks may be at fault, so any will do
                return None if forward.failfast_all_unhealthy_upstreams else choice(order)  # noqa: S311  spreads load
        return None

    def ask_again(self) -> None:
        """The connection was closed before an answer came: the same upstream gets another chance."""
        self._upstream.ask(self, stream=True)

    def takes(self, reply: bytes, limit: int) -> bool:
        """Takes a message with its ID whose question is ours to the letter, or left out of an error.

        Over a connection its letters may be large or small. A datagram that has others is not believed, as the client may have
        chosen them to that end (0x20), but asked for once more: who forges two must guess port and ID twice.
        """
        request = self._request
        asked = request.asked
        answer: Response | None = None
        if reply.startswith(asked + request.tail.question, 12):
            head = heads.get(reply[2:12]) or head_of(reply)
            if not head.to_one:
                return False
            if end_of_usual(reply, 16 + len(asked), head.records) == len(reply) <= limit:
                answer = Relayed(reply, asked, head, True)
        elif not is_bare_error(reply):
            if not (asked := spelling_of(reply, request)):
                return False
            if not (self._over_stream or self._respelt):
                self._ask_for_other_letters()
                return True
        if answer is None:
            try:
                answer = read_answer(reply, asked, limit)
            except (BadMessageError, ServerFailure) as error:
                if self._over_stream or not isinstance(error, BadMessageError):
                    self.attempt_failed(f"{self._upstream.terms.endpoint.text}: {error}")
                    return True
                answer = cut(reply)
        if self.response is None and self.error is None:
            self._upstream.measures.answers.append((answer.rcode, self.sent))
            if not self._forward.choosy or not self._goes_on(answer):
                self._forward.waiting -= 1
                if self._late is None:
                    self.resolve(answer)
                else:
                    self._leave(self._late, answer)
        return True

    def _ask_for_other_letters(self) -> None:
        """The present upstream answers with the name in other letters: it may do so once more, over another ID."""
        if not self.done:
            self._respelt = True
            self._upstream.ask(self, stream=False)

    def _leave(self, late: Late, answer: Response) -> None:
        """Has the answer sent together with others that come with it."""
        try:
            answer = self.response = answer if self._change is None else self._change(answer)
        except Exception as error:  # noqa: BLE001  the query's end: whoever waits gets it
            self._fail(error)
            return
        if late.arrived:
            late.arrived.append((self._client, answer))
        else:
            late.begin(self._client, answer)
        if self._callback is not None:
            self._callback(self)

    def _goes_on(self, answer: Response) -> bool:
        """Is another upstream, or this one over TCP, to be asked in spite of an answer?"""
        forward = self._forward
        if answer.truncated and forward.prefer_udp and not (self._stream or self._widened):
            self._widened = True
            self._upstream.ask(self, stream=True)
            return True
        if answer.rcode not in forward.failover:
            return False
        self._failovers += 1
        self._why = NO_ONE
        if self._failovers == len(self._order):
            return False
        self.advance()
        return True

    def attempt_failed(self, why: str) -> None:
        """No answer came from the present upstream: its health is checked, and the next is asked."""
        if self.done:
            return
        forward, most = self._forward, self._forward.most_attempts
        self._why = why
        self._attempts += 1
        if forward.max_fails:
            self._upstream.check()
        if self._attempts == most or self._down == len(self._order):
            self._end()
        elif not most and self._attempts >= 2 * len(self._order):
            asyncio.get_running_loop().call_later(PAUSE, self.advance)
        else:
            self.advance()

    def _end(self) -> None:
        """No upstream has answered."""
        self._forward.waiting -= 1
        self._fail(ServerFailure(self._why))

    def _fail(self, error: Exception) -> None:
        """Tells who waits, and the client."""
        if self._late is not None:
            self.when_done(partial(self._late.take, self._client))
        self.fail(error)
