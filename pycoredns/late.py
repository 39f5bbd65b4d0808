"""Answers that come later than their questions' turn of the loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from time import perf_counter_ns
from typing import TYPE_CHECKING

from pycoredns.answer import Pending
from pycoredns.errors import Dropped
from pycoredns.listener import Listener
from pycoredns.plugin import Answered, Outcome
from pycoredns.request import Request
from pycoredns.response import NO_ANSWER, Response
from pycoredns.stream import Stream

if TYPE_CHECKING:
    from pycoredns.chain import Block
    from pycoredns.direct import Kind
    from pycoredns.service import Service


class Late:
    """Those of one listener and block: all that come in one turn of the loop are counted, and may be sent, together."""

    def __init__(self, service: Service, listener: Listener, block: Block) -> None:
        """The service counts how many are waited for."""
        self._service = service
        self._listener = listener
        self._block = block
        self._alone = bool(block.each)
        self._sent: list[Answered] = []
        self.expected = type(listener).expect is not Listener.expect
        """Does the listener want to know what will come?"""
        self.arrived: list[Answered] = []
        """Answers that leave at the end of this turn: ``begin`` takes the first, others are just put here, without a call."""
        self.direct: list[tuple[object, bytes]] = []
        """Peers and whole messages, likewise; ``begin_direct`` takes the first."""
        self.kinds: defaultdict[int, list[Kind]] = defaultdict(list)
        """What is counted of them, by the time at which their questions came."""

    def begin(self, request: Request, response: Response) -> None:
        """Takes the first of some answers that come together."""
        self.arrived.append((request, response))
        asyncio.get_running_loop().call_soon(self._send_arrived)

    def _send_arrived(self) -> None:
        arrived, self.arrived = self.arrived, []
        self._service.waiting -= len(arrived)
        replies, block = [], self._block
        for request, response in arrived:
            try:
                reply = response.reply(request)
            except Exception as error:  # noqa: BLE001  a query ends here
                self._fail(request, error)
                continue
            replies.append((request.peer, request.wire[:2] + reply))
            if self._alone or response.error is not None:
                self._observe(Outcome(request, response, block))
            else:
                self._sent.append((request, response))
        self._listener.send_all(replies)
        self._settle()

    def begin_direct(self, peer: object, message: bytes) -> None:
        """Takes the first of some messages that come together."""
        self.direct.append((peer, message))
        asyncio.get_running_loop().call_soon(self._send_direct)

    def _send_direct(self) -> None:
        direct, self.direct = self.direct, []
        kinds, self.kinds = self.kinds, defaultdict(list)
        self._service.waiting -= len(direct)
        self._listener.send_all(direct)
        now = perf_counter_ns()
        for received, together in kinds.items():
            self._service.count_kinds(self._listener, self._block, together, now - received)

    def take(self, request: Request, done: Pending) -> None:
        """Sends an answer that has come."""
        self._service.waiting -= 1
        try:
            response = done.response or done.result()
            if isinstance(response, Stream):
                self._stream(request, response)
                return
            reply = response.reply(request)
        except Exception as error:  # noqa: BLE001  a query ends here
            self._fail(request, error)
            return
        self._listener.send(request.peer, request.wire[:2] + reply)
        if self._alone or response.error is not None:
            self._observe(Outcome(request, response, self._block))
        elif self._block.counters:
            if not self._sent:
                asyncio.get_running_loop().call_soon(self._settle)
            self._sent.append((request, response))

    def _settle(self) -> None:
        """Has those counted that have left in a turn of the loop."""
        sent, self._sent = self._sent, []
        if not sent:
            return
        now = perf_counter_ns()
        self._service.count(self._block, sent, [now - request.received for request, _ in sent])

    def _observe(self, outcome: Outcome) -> None:
        """Has an answer observed that has left by itself."""
        outcome.duration = perf_counter_ns() - outcome.request.received
        self._service.observe(outcome)

    def _fail(self, request: Request, error: Exception) -> None:
        """Answers after an error, unless nothing is to be sent."""
        if isinstance(error, Dropped):
            self._listener.forget(request.peer)
            outcome = Outcome(request, NO_ANSWER, self._block)
        else:
            response = self._service.failure(error)
            self._listener.send(request.peer, request.wire[:2] + response.reply(request))
            outcome = Outcome(request, response, self._block, error)
        self._observe(outcome)

    def _stream(self, request: Request, answer: Stream) -> None:
        """Sends an answer of many messages; it is observed once, when the last has left or no more can."""
        self._service.waiting += 1

        def ended(error: Exception | None) -> None:
            self._service.waiting -= 1
            self._observe(Outcome(request, answer, self._block, error))

        self._listener.stream(request.peer, answer.messages(request), ended)
