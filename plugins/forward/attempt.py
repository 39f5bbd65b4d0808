"""A plain question's way to an upstream and back, without objects for question and answer (see ``pycoredns.direct``)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING

from pycoredns.answer import pending
from pycoredns.meaning import Meaning
from pycoredns.output import logger
from pycoredns.plugins.forward.exchange import Exchange
from pycoredns.plugins.forward.records import Records, authority_of, chain_of, dead_end_of
from pycoredns.plugins.forward.waiting import Waiting
from pycoredns.query import OPT_HEAD
from pycoredns.relayed import plainness
from pycoredns.request import Request
from pycoredns.wire import types
from pycoredns.wire.walk import is_run_of_addresses, with_one_ttl

if TYPE_CHECKING:
    from pycoredns.direct import Query, Relay
    from pycoredns.late import Late
    from pycoredns.plugins.forward.plugin import Forward
    from pycoredns.plugins.forward.upstream import Upstream

ANSWER = Meaning.ANSWER
_IN = types.IN.to_bytes(2, "big")
_BEGINNINGS = {kind + _IN: b"\xc0\x0c" + kind + _IN for kind in (n.to_bytes(2, "big") for n in (types.A, types.AAAA, types.TXT))}
"""By type and class asked for: how records begin that answer just that, and hold no names."""
_ONE = b"\0\1"
_NOTHING_SAID, _DO_SAID = bytes(6), b"\0\0\x80\0\0\0"
"""What stands in an OPT record behind the size, where there is nothing more, or only DO."""
_question_and_record, _record = Struct("!4s6sIH").unpack_from, Struct("!6sIH").unpack_from
log = logger("plugin/forward")


def ask(forward: Forward, relay: Relay, query: Query, late: Late) -> bool:
    """Asks the first upstream; False, and nothing done, if the question has to go the usual way."""
    wire, header, asked, tail, _, _, _ = query
    # else somewhere are octets that are not passed on; or nobody may wait any more; or the listener wants to know who does
    if len(wire) != len(asked) + tail.beside or forward.waiting >= forward.most_waiting or late.expected:
        return False
    forward.waiting += 1
    attempt = object.__new__(Attempt)  # __init__, called by a class, takes as long as all that it does
    attempt.message = header.with_ad + wire[12:] if relay.authentic else wire[2:]
    attempt.limit = tail.limit
    attempt.forward = forward
    attempt.relay = relay
    attempt.query = query
    attempt.late = late
    attempt.order = order = forward.order()
    attempt.exchange = None
    upstream = order[0]
    if upstream.fails:
        attempt.go_on(begun=False).advance()
    elif upstream.turn:
        upstream.turn.append(attempt)
    else:
        upstream.ask(attempt, stream=False)
    return True


class Attempt(Waiting):
    """Asks an upstream and takes its answer if that is plain; whatever else happens, an Exchange goes on from there."""

    forward: Forward
    relay: Relay
    query: Query
    late: Late
    order: Sequence[Upstream]
    exchange: Exchange | None
    """What has gone on."""

    def takes(self, reply: bytes, limit: int) -> bool:
        """Takes a message with its ID whose question is ours to the letter, and all of whose records answer it."""
        try:
            if self.exchange is None and self._takes_plain(reply):
                return True
        except (struct.error, IndexError):  # it is cut off
            pass
        except Exception as error:  # the usual way may do better
            log.error("an answer could not be passed on directly: %r", error, exc_info=error)
        return self.go_on().takes(reply, limit)

    def _takes_plain(self, reply: bytes) -> bool:
        """All in here, as a call more takes 3 % of the way back."""
        wire, header, asked, tail, peer, _, received = self.query
        relay, late = self.relay, self.late
        meaning, rcode, answers = header.plainness.get(reply[2:12]) or plainness(header, reply[2:12])
        first = start = 16 + len(asked)
        question, beginning, ttl, size = _question_and_record(reply, start - 4)
        if meaning is None:
            return False
        if meaning is ANSWER and beginning == _BEGINNINGS.get(question):
            fixed, end, count, grown, even = start + 2, start + 12 + size, answers, answers * (len(asked) - 2), True
            if answers > 1:
                end = _end_of_alike(reply, end, answers - 1, beginning, ttl)
        elif (records := _other_records(reply, start, asked, question, answers, meaning)) is not None:
            first, fixed, end, count, ttl, grown, even = records
        else:
            return False
        arrange = relay.arrange if answers > 1 else None
        if arrange is not None and not is_run_of_addresses(reply, first, end):
            return False
        keep, opt, counted = relay.keep, tail.opt, end
        if end != len(reply):
            if not (opt and reply[11]) or reply[end : end + 3] != OPT_HEAD:
                return False
            if (said := reply[end + 5 :]) != _NOTHING_SAID and not (said == _DO_SAID and tail.do):
                return False
            if keep is None:  # who keeps an answer takes its own OPT record off
                opt, counted = tail.bare_opt, len(reply)
        elif opt and reply[11]:
            return False
        if end + len(opt) > tail.limit or question != tail.question or not reply.startswith(asked, 12):
            return False
        if keep is not None:
            if not even:
                reply = with_one_ttl(reply, fixed, count, ttl)
            reply = keep(asked, tail, reply, meaning, fixed, count, ttl)
        if arrange is not None:
            reply = arrange(reply, first, end)
        message = b"".join((wire[:2], reply[2:10], _ONE, reply[12:end], opt)) if opt else wire[:2] + reply[2:]
        self.forward.waiting -= 1
        self.order[0].measures.answers.append((rcode, self.sent))
        late.kinds[received].append((tail.key, rcode, len(wire), counted + grown))
        if late.direct:
            late.direct.append((peer, message))
        else:
            late.begin_direct(peer, message)
        return True

    # --- all the rest

    def go_on(self, begun: bool = True) -> Exchange:
        """What can do all that may become necessary: its question has been sent to the first upstream if it has ``begun``."""
        if self.exchange is None:
            request = Request(*self.query)
            request.authentic = self.relay.authentic
            self.exchange = Exchange(self.forward, request, self.order)
            if begun:
                self.exchange.was_begun(self.sent)
            pending(self.relay.usual(request, self.exchange)).send_by(self.late, request)
        return self.exchange

    def attempt_failed(self, why: str) -> None:
        """No answer will come from the first upstream."""
        self.go_on().attempt_failed(why)

    def ask_again(self) -> None:
        """The connection was closed before an answer came."""
        self.go_on().ask_again()


def _other_records(reply: bytes, start: int, asked: bytes, question: bytes, answers: int, meaning: Meaning) -> Records | None:
    """The records of an answer behind aliases, or of a denial, where there are no others."""
    if not answers:
        return authority_of(reply, start)
    if question not in _BEGINNINGS:
        return None
    return chain_of(reply, start, asked, question, answers) if meaning is ANSWER else dead_end_of(reply, start, asked, answers)


def _end_of_alike(reply: bytes, place: int, count: int, beginning: bytes, ttl: int) -> int:
    """Where so many records end that all begin alike; 0 for others."""
    for _ in range(count):
        found, found_ttl, size = _record(reply, place)
        if found != beginning or found_ttl != ttl:
            return 0
        place += 12 + size
    return place
