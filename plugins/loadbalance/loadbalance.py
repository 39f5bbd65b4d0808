"""Answers whose addresses stand in another order each time, so that clients spread over them (RFC 1794)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import randrange, shuffle
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pycoredns.answer import Answer, then
from pycoredns.background import beside, in_background
from pycoredns.corefile.kinds import Network
from pycoredns.corefile.numbers import Duration
from pycoredns.corefile.options import Argument, BadValueError, Option, Repeated, Repetition
from pycoredns.direct import Direct, Found, Relay
from pycoredns.errors import StartError
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugin import Plugin
from pycoredns.plugins.loadbalance.deck import Card, Deck, Run, as_they_are, run_of
from pycoredns.plugins.loadbalance.weights import BadWeights, Weights, parse, with_first
from pycoredns.query import Tail
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types

if TYPE_CHECKING:
    from pycoredns.service import Service

log = logger("plugin/loadbalance")

USUAL_RELOAD = Duration(30)
MOST_ORDERS = 16
"""Orders that are prepared for an answer which is given from memory."""


@changeable
class Loadbalance(Plugin):
    """Put the addresses of an answer into another order each time."""

    repeated: ClassVar[Repetition] = "last"

    policy: Annotated[
        Literal["round_robin", "weighted"], Argument("all come first equally often, or by the weights of a file")
    ] = "round_robin"
    weightfile: Annotated[Path | None, Argument("names, their addresses and the weights of these")] = None
    reload: Annotated[Duration | None, Option("how often the file is looked at; 0s: never again (default 30s)")] = None
    prefer: Annotated[tuple[Network, ...], Repeated("networks whose addresses come first", placeholder="CIDR")] = ()

    def __post_init__(self) -> None:
        """Prepares the networks; weights are read by ``running``."""
        weighted = self.policy == "weighted"
        if weighted and self.weightfile is None:
            raise BadValueError("missing weight file argument", "usage: loadbalance weighted WEIGHTFILE")
        if not weighted and self.weightfile is not None:
            raise BadValueError(f'unexpected "{self.weightfile.name}"', "only weighted takes a file")
        if not weighted and self.reload is not None:
            raise BadValueError('unknown property "reload"', "only the file of weighted is reloaded", "reload")
        self._weighted = weighted
        self._weights: Weights = {}
        self._text: str | None = None
        self._networks = [
            (len(net.network_address.packed), int(net.network_address), net.max_prefixlen - net.prefixlen) for net in self.prefer
        ]
        self._rank = self._rank_of if self.prefer else None

    def _rank_of(self, card: Card) -> int:
        """The number of the first preferred network that holds an address."""
        value = int.from_bytes(card.rdata, "big")
        for number, (size, network, host_bits) in enumerate(self._networks):
            if len(card.rdata) == size and value >> host_bits == network >> host_bits:
                return number
        return len(self._networks)

    # --- answers

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Shuffles what is found directly; not where the order depends on more than chance."""
        if following is None or self._weighted or self._rank:
            return None

        def look_up(asked: bytes, name: bytes, tail: Tail) -> Found | tuple[()] | None:
            found = following.look_up(asked, name, tail)
            if not found or found[0].answers < 2:
                return found
            shape, ttl, until, answer, authority, additional = found
            return shape, ttl, until, in_any_order(answer, len(answer) // shape.answers), authority, additional

        return following._replace(look_up=look_up, relay=following.relay and self._balancing(following.relay))

    def _balancing(self, relay: Relay) -> Relay:
        """Has what comes from elsewhere shuffled, where there is something to choose between."""

        def balance(request: Request, answer: Answer) -> Answer:
            return then(relay.usual(request, answer), partial(self._balanced, request))

        return replace(relay, usual=balance, arrange=_rearranged)

    def handle(self, request: Request) -> Answer:
        """Has the answer of the plugins behind balanced."""
        answer = self.next(request)
        if isinstance(answer, Response):
            return self._balanced(request, answer)
        return then(answer, partial(self._balanced, request))

    def _balanced(self, request: Request, response: Response) -> Response:
        """The answer in another order; most have nothing to choose between."""
        if response.answers < 2 and response.authorities < 2 and response.additionals < 2:
            return response
        if response.rcode or request.qtype in types.TRANSFERS:
            return response
        return self._weigh(request, response) if self._weighted else self._shuffle(response)

    def _shuffle(self, response: Response) -> Response:
        """Any order; from memory such orders in turn that each record comes first equally often."""
        deck = (None if self._rank else run_of(response)) or Deck(response, self._rank)
        if deck.choices < 2:
            return deck.deal(as_they_are)
        return deck.deal(shuffled, orders=partial(_orders, deck))

    def _weigh(self, request: Request, response: Response) -> Response:
        """The first address by the weights; each time anew, so that their ratio is kept."""
        if request.qtype not in (types.A, types.AAAA, types.SRV):
            return Deck(response, self._rank).deal_addresses(as_they_are) if self._rank else response
        request.make_personal()
        return Deck(response, self._rank).deal_addresses(partial(with_first, self._weights))

    # --- weights

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reads the weights, and looks for new ones from time to time; raises StartError."""
        if self.weightfile is None:
            yield
            return
        interval = USUAL_RELOAD if self.reload is None else self.reload
        try:
            await self._load(self.weightfile)
        except OSError as error:
            if not interval or isinstance(error, IsADirectoryError):  # a folder will hardly become a file
                raise StartError(f"plugin/loadbalance: weight file open error: {_reason(self.weightfile, error)}") from None
            log.warning("Failed to open weight file: %s. Will try again in %s", _reason(self.weightfile, error), interval.written)
        except BadWeights as error:
            raise StartError(f"plugin/loadbalance: {self.weightfile}: {error}") from None
        if not interval:
            yield
            return
        async with beside(self._keep_loading(self.weightfile, interval)):
            yield

    async def _keep_loading(self, file: Path, interval: float) -> None:
        """Reads the file again and again; what cannot be read changes nothing."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self._load(file)
            except OSError as error:
                log.error("weight file open error: %s", _reason(file, error))
            except BadWeights as error:
                log.error("%s: %s", file, error)

    async def _load(self, file: Path) -> None:
        """Reads the weights if the file is another than before; raises OSError or BadWeights, of the same file once."""
        text = await in_background(partial(file.read_text, "utf-8", "replace"))
        if text != self._text:
            self._text = text
            self._weights = await in_background(lambda: parse(text.splitlines()))
            log.info("Successfully reloaded weight file %s", file)


def _reason(file: Path, error: OSError) -> str:
    """Why a file cannot be read, as in the lines about other files."""
    return f"open {file}: {(error.strerror or str(error)).lower()}"


def shuffled(cards: list[Card]) -> list[Card]:
    """The cards in any order."""
    if len(cards) < 2:
        return cards
    dealt = list(cards)
    shuffle(dealt)
    return dealt


def _rearranged(wire: bytes, start: int, end: int) -> bytes:
    """A message with the addresses between two places, which are equally long, in any order."""
    size = 12 + (wire[start + 10] << 8 | wire[start + 11])
    return b"%b%b%b" % (wire[:start], in_any_order(wire[start:end], size), wire[end:])


def in_any_order(octets: bytes, size: int) -> bytes:
    """Records that are equally long, so many octets each, in any order."""
    records = [octets[start : start + size] for start in range(0, len(octets), size)]
    shuffle(records)
    return b"".join(records)


def _orders(deck: Deck | Run) -> list[Response]:
    """So many orders that each record comes first once, but not too many."""
    start = randrange(deck.choices)  # noqa: S311  no secret
    return [deck.deal(partial(_turned, start + number)) for number in range(min(deck.choices, MOST_ORDERS))]


def _turned(number: int, cards: list[Card]) -> list[Card]:
    """One card in the first place, the others in any order."""
    if len(cards) < 2:
        return cards
    first = number % len(cards)
    return [cards[first], *shuffled(cards[:first] + cards[first + 1 :])]
