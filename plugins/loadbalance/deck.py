"""The records of an answer as a deck of cards: told apart by their types, and dealt in one order or another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pycoredns.relayed import Relayed
from pycoredns.response import Response, Walked
from pycoredns.wire import types
from pycoredns.wire.walk import Found

_ADDRESSES = (types.A, types.AAAA)
_MAPPED = bytes(10) + b"\xff\xff"


class Card(NamedTuple):
    """A record that may change its place: an address or a mail exchanger."""

    octets: bytes
    owner: bytes
    """Lower-case wire name."""
    rdata: bytes
    """Of an IPv4 address that is mapped into IPv6 its four octets (RFC 4291 §2.5.5.2)."""


Choose = Callable[[list[Card]], list[Card]]
"""Puts cards into an order."""
Rank = Callable[[Card], int]
"""Which cards stand before others, whatever the order: those of a lower rank."""


def _card(octets: bytes, found: Found) -> Card:
    rdata = octets[found.fixed + 10 : found.end]
    return Card(octets[found.start : found.end], octets[found.start : found.fixed].lower(), rdata.removeprefix(_MAPPED))


class Section:
    """A section's records, told apart."""

    def __init__(self, walked: Walked) -> None:
        """Takes an uncompressed section."""
        self.whole, found = walked
        self.addresses: list[Card] = []
        self.exchangers: list[Card] = []
        aliases: list[bytes] = []
        others: list[bytes] = []
        for each in found:
            if each.rtype in _ADDRESSES:
                self.addresses.append(_card(self.whole, each))
            elif each.rtype == types.MX:
                self.exchangers.append(_card(self.whole, each))
            else:
                (aliases if each.rtype == types.CNAME else others).append(self.whole[each.start : each.end])
        self.aliases, self.others = b"".join(aliases), b"".join(others)

    def joined(self, choose: Choose, choose_exchangers: Choose) -> bytes:
        """Aliases first, as some resolvers want them; addresses and mail exchangers last."""
        return self.aliases + self.others + _octets(choose(self.addresses)) + _octets(choose_exchangers(self.exchangers))

    def ranked(self, rank: Rank, choose: Choose, choose_exchangers: Choose) -> bytes:
        """Addresses by their rank behind the aliases; what else there is comes last."""
        addresses = sorted(choose(self.addresses), key=rank)
        return self.aliases + _octets(addresses) + _octets(choose_exchangers(self.exchangers)) + self.others


def _octets(cards: list[Card]) -> bytes:
    return b"".join([card.octets for card in cards])


def as_they_are(cards: list[Card]) -> list[Card]:
    """No other order."""
    return cards


class Deck:
    """An answer whose records can be dealt."""

    def __init__(self, response: Response, rank: Rank | None = None) -> None:
        """``rank`` goes before any order, in the answer and additional sections."""
        self._response = response.plain()
        self._rank = rank
        self._sections = [Section(walked) for walked in self._response.walk()]

    @property
    def choices(self) -> int:
        """How many records can come first, at most."""
        return max(max(len(section.addresses), len(section.exchangers)) for section in self._sections)

    def deal(self, choose: Choose, **changes: object) -> Response:
        """The answer in an order, with other changes."""
        answer, authority, additional = self._sections
        return self._response.alike(
            answer=self._dealt(answer, choose, choose),
            authority=authority.joined(choose, choose),
            additional=self._dealt(additional, choose, choose),
            any_case=self._response.any_case,
            **changes,
        )

    def deal_addresses(self, choose: Choose) -> Response:
        """The answer with its addresses in an order; a section without any stays as it is."""
        answer, _, additional = self._sections
        return self._response.alike(
            answer=self._dealt(answer, choose, as_they_are) if answer.addresses or self._rank else answer.whole,
            additional=self._dealt(additional, choose, as_they_are) if additional.addresses or self._rank else additional.whole,
            any_case=self._response.any_case,
        )

    def _dealt(self, section: Section, choose: Choose, choose_exchangers: Choose) -> bytes:
        if self._rank:
            return section.ranked(self._rank, choose, choose_exchangers)
        return section.joined(choose, choose_exchangers)


class Run:
    """A relayed answer that ends with addresses of one name and one TTL: dealt in place, without being taken apart."""

    def __init__(self, response: Relayed, length: int) -> None:
        """``length`` is the number of addresses."""
        self._response = response
        self._cards = [_card(response.wire, each) for each in response.found[-length:]]
        self._start = response.found[-length].start
        self.choices = length

    def deal(self, choose: Choose, **changes: object) -> Response:
        """The answer in an order, with other changes."""
        # all cards are of one size and one owner, so that whatever points to a place still finds the same there
        wire = self._response.wire[: self._start] + _octets(choose(self._cards))
        return self._response.alike(wire=wire, any_case=self._response.any_case, **changes)


def run_of(response: Response) -> Run | None:
    """The run that an answer ends with, if nothing else of it can be dealt."""
    if not isinstance(response, Relayed) or response.authorities or response.additionals:
        return None
    last, wire = response.found[-1], response.wire
    kind = (last.rtype, last.ttl, last.end - last.start, wire[last.start : last.fixed])
    length = 0
    for each in response.found:
        if (each.rtype, each.ttl, each.end - each.start, wire[each.start : each.fixed]) == kind:
            length += 1
        elif length or each.rtype != types.CNAME:
            return None
    return Run(response, length) if last.rtype in _ADDRESSES else None
