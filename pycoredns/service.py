"""One address of the server: questions in, replies out, observers told afterwards."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from time import perf_counter_ns
from typing import TypeAlias

from pycoredns import bounds, traffic
from pycoredns.answer import Answer, Pending, attempt, pending
from pycoredns.chain import Block
from pycoredns.direct import LONGEST_NAME, Kind, Way
from pycoredns.errors import DNSError, Dropped, ServerFailure
from pycoredns.late import Late
from pycoredns.listener import Listener
from pycoredns.memo import LONGEST
from pycoredns.metrics import Counter
from pycoredns.output import logger
from pycoredns.plugin import Answered, Outcome, Plugin, tell
from pycoredns.query import NOTHING, Malformed, header_of, headers, tail_of
from pycoredns.request import Request
from pycoredns.response import NO_ANSWER, Response, pack_head
from pycoredns.spelling import may_be_respelled, usual
from pycoredns.wire import edns, names, types
from pycoredns.wire.message import BadMessageError

DEEPEST_INTERNAL = 20
"""How deep the server may ask itself to follow names through its own blocks: as far as CoreDNS goes from file to etcd."""
MOST_INTERNAL = 200
"""How often the server asks itself for one question of a client: each answer may lead to several names, each of which does."""
_MOST_PLACED = 16384
_LONGEST_LABEL = names.LONGEST_LABEL
_LAST_END = 12 + LONGEST_NAME
_LONGEST_PARENT = names.LONGEST_NAME - names.LONGEST_LABEL - 1  # with any label before it the name is not too long

Together: TypeAlias = defaultdict[tuple[Listener, Block], list[Answered]]
Kinds: TypeAlias = defaultdict[tuple[Listener, Block], list[Kind]]

panics = Counter("panics_total", "Questions that ended in an unexpected error.", prefix="coredns_")
log = logger("pycoredns")


class Service:
    """The blocks that are served on one address, e.g. ``dns://:53``."""

    def __init__(self, address: str, served: Iterable[tuple[bytes, Block]], chaos: bool = False) -> None:
        """``served`` are zones (lower-case wire form) with their blocks; ``chaos`` lets other classes than IN to the plugins."""
        self.address = address
        self.zones: dict[bytes, list[Block]] = {}
        self.listeners: list[Listener] = []
        self.outcomes: list[Outcome] = []
        """Answers of the present batch, to be observed once it has been sent."""
        self._counted: Together = defaultdict(list)
        """Those that need not be looked at one by one: they cost no object each, which takes 3 % of a new question."""
        self._late: dict[tuple[Listener, Block], Late] = {}
        self._chaos = chaos
        self._stacktrace = False
        self._kinds: Kinds = defaultdict(list)
        """Of those that were found directly, what is counted of each."""
        self._ways: dict[Block, Way] = {}
        self._placed: dict[bytes, Way] = {}
        self.waiting = 0
        """Questions whose answers are still to come."""
        self.watched = False
        """Does a block have an observer that must see each answer, also one given from memory?"""
        bounds.services.add(self)
        for zone, block in served:
            if self not in block.services:
                block.services.append(self)
            self.watched = self.watched or bool(block.each)
            self._stacktrace = self._stacktrace or block.settings.stacktrace
            self.zones.setdefault(zone, []).append(block)

    # --- the way of a question

    def serve(self, wire: bytes, peer: object, listener: Listener, received: int, key: bytes = b"") -> bytes | None:
        """The reply without its ID; None if there is none, or if it is sent later. Never raises.

        ``key`` is the question without its ID, where the transport has that at hand.
        """
        try:
            header = headers.get(wire[2:12]) or header_of(wire[2:12])
            end = wire.find(0, 12) + 1
            tail = header.tails.get(wire[end:]) or tail_of(wire, end, header)
            asked = wire[12:end]
            name = asked.lower()
            # the look-up of the parent also proves that the name ends where a NUL was found; an apex has a block of its own
            way = self._placed.get(name[name[0] + 1 :])
            if way is None or name[0] > _LONGEST_LABEL or name in self.zones:
                return self._serve_unusual(wire, peer, listener, received)
        except (Malformed, BadMessageError, IndexError, struct.error):
            return self._serve_unusual(wire, peer, listener, received)
        block, look_up, keeps, relay, _ = way
        new = False
        # what the memo is to remember, or may have in another spelling, goes the usual way
        if (
            look_up is not None
            and tail.direct
            and end <= _LAST_END
            and (keeps or (new := not (asked != name or tail.cookie or listener.memo.asked_before(key or wire[2:]))))
        ):
            try:  # all in here: a call more takes 3 % of a new question
                found = look_up(asked, name, tail)
                if found:
                    shape, _, _, answer, authority, additional = found
                    head = header.heads[tail.edns].get(shape) or shape.head(header, tail.edns)
                    reply = b"".join((head, asked, tail.question, answer, authority, additional, tail.opt))
                    kind = tail.key, shape.rcode, len(wire), len(reply) + tail.id_less_opt
                    self._kinds[listener, block].append(kind)
                    return reply
                if found is not None and relay is not None and self.waiting < bounds.overload.most_waiting:
                    late = self._late.get((listener, block)) or self._late_for(listener, block)
                    if relay.ask(relay, (wire, header, asked, tail, peer, listener, received), late):
                        self.waiting += 1
                        return None
            except Exception as error:  # the usual way may do better
                log.error("a look-up failed: %r", error, exc_info=error)
        if not tail.usual:
            return self._serve_unusual(wire, peer, listener, received)
        return self._ask(Request(wire, header, asked, tail, peer, listener, received), block, key, new)

    def _serve_unusual(self, wire: bytes, peer: object, listener: Listener, received: int) -> bytes | None:
        """What is seen for the first time, or is not plain: each check in its place."""
        if len(wire) < 12 or wire[2] & 0x80:
            return None
        try:
            request = Request.read(wire, peer, listener, received)
        except Malformed as error:
            return b"%b%b%b" % (
                error.reply_bits.to_bytes(2, "big"),
                b"\0\1\0\0\0\0\0\0" if error.question else bytes(8),
                error.question,
            )
        if request.tail is NOTHING:
            return self._drop(request, _NO_QUESTION)
        if request.qclass != types.IN and not self._chaos:
            return self._drop(request, _refusal(request))
        if request.tail.version:
            return self._bad_version(request)
        block = self.find(request)
        if block is None or block.empty:
            return self._drop(request, _refusal(request))
        return self._ask(request, block)

    def _bad_version(self, request: Request) -> bytes:
        """BADVERS, with an OPT record of size 0 as CoreDNS sends it (RFC 6891 §6.1.3)."""
        bits = (request.header.reply_bits | types.BADVERS & 15).to_bytes(2, "big")
        return b"%b\0\1\0\0\0\0\0\1%b%b%b" % (
            bits,
            request.asked,
            request.tail.question,
            edns.opt(0, extended_rcode=types.BADVERS >> 4),
        )

    def _ask(self, request: Request, block: Block, key: bytes = b"", new: bool = False) -> bytes | None:
        """Sends a question down its chain; a ``new`` one is known not to be asked often enough to be remembered."""
        try:
            answer = block.handle(request)
            if not isinstance(answer, Response):
                self._wait(request, answer, block)
                return None
            reply = answer.reply(request)
        except Dropped:
            self.outcomes.append(Outcome(request, NO_ANSWER, block))
            return None
        except Exception as error:  # noqa: BLE001  a query ends here
            answer = self.failure(error)
            self.outcomes.append(Outcome(request, answer, block, error))
            return answer.reply(request)
        if answer.memorable and not new and not request.personal and answer.error is None:
            memo, key = request.listener.memo, key or request.wire[2:]
            if (request.asked != request.name or request.tail.cookie) and may_be_respelled(request, answer, key):
                if memo.asked_before(key := usual(key)) and len(key) <= LONGEST:
                    self._remember(partial(memo.remember_usual, key), Outcome(request, answer, block))
            elif memo.asked_before(key) and len(key) <= LONGEST and len(reply) <= LONGEST:
                self._remember(partial(memo.remember, key, reply), Outcome(request, answer, block))
        if block.each or answer.error is not None:
            self.outcomes.append(Outcome(request, answer, block))
        elif block.counters:
            self._counted[request.listener, block].append((request, answer))
        return reply

    def _remember(self, remember: Callable[[Outcome, Block], None], outcome: Outcome) -> None:
        try:
            remember(outcome, outcome.block or _NOWHERE)
        except Exception as error:  # what plugins do there must not cost the answer
            log.error("an answer could not be remembered: %r", error, exc_info=error)

    def failure(self, error: Exception) -> Response:
        """The server's own answer after an error."""
        if not isinstance(error, DNSError):
            panics.cell().value += 1
            shown = error if self._stacktrace else None
            log.error('Recovered from panic in server: "%s" %r', self.address, error, exc_info=shown)
        return Response(error.rcode if isinstance(error, DNSError) else types.SERVFAIL, flags=0)

    def _drop(self, request: Request, response: Response) -> bytes:
        """Answers what belongs to no zone."""
        self.outcomes.append(Outcome(request, response, None))
        return response.reply(request)

    # --- answers that come later

    def _wait(self, request: Request, answer: Answer, block: Block) -> None:
        """Has an answer sent when it comes; where too many wait, none is."""
        if self.waiting >= bounds.overload.most_waiting:
            if isinstance(answer, Coroutine):
                answer.close()
            raise bounds.overload.refusal(self.address)
        self.waiting += 1
        listener = request.listener
        late = self._late.get((listener, block)) or self._late_for(listener, block)
        if late.expected:
            listener.expect(request.peer)
        (answer if isinstance(answer, Pending) else pending(answer)).send_by(late, request)

    def _late_for(self, listener: Listener, block: Block) -> Late:
        late = self._late[listener, block] = Late(self, listener, block)
        return late

    def _outcome(self, request: Request, done: Pending, block: Block) -> Outcome:
        """What became of a question that the server asked itself, error or not."""
        try:
            return Outcome(request, done.result(), block)
        except Dropped:
            return Outcome(request, NO_ANSWER, block)
        except Exception as error:  # noqa: BLE001  a query ends here
            return Outcome(request, self.failure(error), block, error)

    # --- who answers what

    def find(self, request: Request) -> Block | None:
        """The block of the longest zone that holds the name; for DS records one above it.

        A zone's DS records are its parent's (RFC 4035 §3.1.4.1): they are asked of the block just above, those of other names of
        the topmost one, as CoreDNS does.
        """
        name, parent = request.name, names.parent(request.name)
        zone = self._zone_of(name)
        if zone is None:
            return None
        blocks = self.zones[zone]
        found = blocks[0]
        if found.empty:
            return found
        if request.qtype == types.DS:
            return self._above(name, zone)
        if zone != name and len(blocks) == 1 and len(parent) <= _LONGEST_PARENT:
            self._place(parent, found)
        return found

    def _above(self, name: bytes, zone: bytes) -> Block:
        """Who is asked for the DS records of a name, of which ``zone`` is the longest that holds it."""
        apex, found = zone == name, self.zones[zone][0]
        while zone != names.ROOT and not found.empty:
            zone = self._zone_of(names.parent(zone)) or names.ROOT
            if zone == names.ROOT:  # the root's block hardly serves the parent
                break
            found = self.zones[zone][0]
            if apex:
                break
        return found

    def _zone_of(self, name: bytes) -> bytes | None:
        """The longest zone that holds a name."""
        zones = self.zones
        while name not in zones:
            if name == names.ROOT:
                return None
            name = names.parent(name)
        return name

    def _place(self, parent: bytes, block: Block) -> None:
        """Remembers the block for all names with this parent, and how to ask it."""
        if len(self._placed) >= _MOST_PLACED:
            self._placed.clear()
        way = self._ways.get(block)
        if way is None:
            way = self._ways[block] = block.way(self)
        self._placed[parent] = way

    def resolve(self, request: Request, name: bytes, qtype: int) -> Answer:
        """Asks the server itself for another name (wire form), through its own blocks with their cache, log and metrics.

        An error arrives as the answer that a client would get. The answer to ``request`` is not remembered, because it depends on
        another block. Raises ServerFailure past a depth, or where that has been done too often for the client's question.
        """
        request.make_personal()
        if request.depth >= DEEPEST_INTERNAL:
            raise ServerFailure(f"{names.to_text(name)} leads through more than {DEEPEST_INTERNAL} other names")
        if request.count_internal() > MOST_INTERNAL:
            raise ServerFailure(f"{names.to_text(request.origin.name)} leads to more than {MOST_INTERNAL} other names")
        asked = request.replace(name, request.tail.replace(qtype=qtype), deeper=True)
        block = self.find(asked)
        if block is None or block.empty:
            outcome = Outcome(asked, _refusal(asked), None)
            outcome.duration = 0
            self.observe(outcome)
            return outcome.response
        started, later = perf_counter_ns(), Pending()

        def finish(done: Pending) -> None:
            outcome = self._outcome(asked, done, block)
            outcome.duration = perf_counter_ns() - started
            self.observe(outcome)
            later.resolve(outcome.response)

        attempt(lambda: block.handle(asked)).when_done(finish)
        return later.result() if later.done else later

    # --- observers, memory

    def settle(self, duration: int) -> None:
        """Has the outcomes of a listener's batch observed, which took so many nanoseconds until it was sent."""
        if self.outcomes:
            outcomes, self.outcomes = self.outcomes, []
            for outcome in outcomes:
                outcome.duration = duration
                self.observe(outcome)
        if self._kinds:
            found, self._kinds = self._kinds, defaultdict(list)
            for (listener, block), kinds in found.items():
                self.count_kinds(listener, block, kinds, duration)
        if self._counted:
            counted, self._counted = self._counted, defaultdict(list)
            for (_, block), together in counted.items():
                self.count(block, together, [duration] * len(together))

    def count(self, block: Block, answered: list[Answered], durations: list[int]) -> None:
        """Shows a listener's answers that have left together to those who count."""
        tell(block.batch_counters, answered, durations)

    def count_kinds(self, listener: Listener, block: Block, kinds: list[Kind], duration: int) -> None:
        """Shows answers of one listener that were given directly and have left together to those who count."""
        tell(self._ways[block].counters, listener, kinds, duration)

    def observe(self, outcome: Outcome) -> None:
        """Shows an answer that has left to all who watch its block."""
        block = outcome.block or _NOWHERE
        tell(block.counters, outcome)
        if block.each:
            tell(block.each, outcome)
        if block.failures and str(outcome.error or outcome.response.error or ""):
            tell(block.failures, outcome)

    def leave(self, listener: Listener) -> None:
        """No more questions come there; answers that are still to come know their way."""
        self.listeners.remove(listener)
        for left in [each for each in self._late if each[0] is listener]:
            del self._late[left]

    def memo_is_stale(self) -> None:
        """Some data have changed: every remembered reply is looked at anew before it is given again."""
        for listener in self.listeners:
            listener.memo.leap()


def _refusal(request: Request) -> Response:
    """REFUSED for what belongs to no zone. Its OPT record is its own, so that it counts in its size, as in CoreDNS."""
    response = Response(types.REFUSED, flags=0)
    response.opt = request.tail.opt or None
    return response


class _NoQuestion(Response):
    """The answer to a mere header: another one."""

    def size(self, request: Request) -> int:
        """The same for all."""
        return 12

    def reply(self, request: Request) -> bytes:
        """The header behind its ID."""
        return pack_head(request.header.reply_bits | self.rcode, 0, 0, 0, 0)


_NO_QUESTION = _NoQuestion(types.SERVFAIL, flags=0)


class _Nowhere(Plugin):
    """Counts what belongs to no zone, in the place of a block's plugins."""

    step = False

    def observe(self, outcome: Outcome) -> None:
        """Counts an answer."""
        traffic.count_dropped(outcome)


_NOWHERE = Block((), [_Nowhere()])
