"""How likely each address comes first: weights by name and address, from a file."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from random import choices
from typing import TypeAlias

from pycoredns.plugins.loadbalance.deck import Card
from pycoredns.wire import names

Weights: TypeAlias = dict[tuple[bytes, bytes], int]
"""Weights of 1 to 255 by lower-case wire name and packed address."""

HEAVIEST = 255


class BadWeights(Exception):
    """A file of weights that cannot be read; the text says which line and why."""


def parse(lines: Iterable[str]) -> Weights:
    """The weights of a file: a line with a name, then lines with an address and its weight; ``#`` begins a comment line."""
    weights: Weights = {}
    name: bytes | None = None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if len(words) == 1:
                name = _name(words[0])
            elif name is None:
                raise BadWeights("missing domain name before the first address")
            else:
                packed, weight = _weighted(words)
                weights.setdefault((name, packed), weight)
        except BadWeights as error:
            raise BadWeights(f"line {number}: {error}") from None
    return weights


def _name(word: str) -> bytes:
    if packed_address(word) is not None:
        raise BadWeights(f'wrong domain name: "{word}" is an address; its weight may be missing')
    try:
        return names.from_text(word).lower()
    except names.BadNameError as error:
        raise BadWeights(f"wrong domain name: {error}") from None


def _weighted(words: list[str]) -> tuple[bytes, int]:
    """The packed address and the weight of a line's words."""
    if len(words) > 2:
        raise BadWeights(f'could not parse "{" ".join(words)}": a name, or an address and its weight')
    packed = packed_address(words[0])
    if packed is None:
        raise BadWeights(f'wrong IP address: "{words[0]}"')
    if not (words[1].isascii() and words[1].isdecimal() and len(words[1]) < 10 and 0 < int(words[1]) <= HEAVIEST):
        raise BadWeights(f'wrong weight value: "{words[1]}"; it must be 1 to {HEAVIEST}')
    return packed, int(words[1])


def packed_address(word: str) -> bytes | None:
    """4 or 16 octets, 4 also for an IPv4 address that is mapped into IPv6; None for what is no address."""
    try:
        address = ip_address(word)
    except ValueError:
        return None
    return ((isinstance(address, IPv6Address) and address.ipv4_mapped) or address).packed


def with_first(weights: Weights, cards: list[Card]) -> list[Card]:
    """Addresses with one in the first place, chosen by its weight; it changes places with the one that stood there."""
    if len(cards) < 2:
        return cards
    heights = [weights.get((card.owner, card.rdata), 1) for card in cards]
    (chosen,) = choices(range(len(cards)), heights)  # noqa: S311  no secret
    dealt = list(cards)
    dealt[0], dealt[chosen] = dealt[chosen], dealt[0]
    return dealt
