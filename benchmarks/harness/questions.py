"""The questions of a workload, as the messages that are sent: made anew for each round, the same for every server."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, count, cycle, islice
from pathlib import Path

import dns.rdatatype

HEADER = struct.pack("!6H", 0, 0x0100, 1, 0, 0, 0)  # RD; the generators of load put in the ID
HEADER_WITH_OPT = struct.pack("!6H", 0, 0x0100, 1, 0, 0, 1)
DNSSEC_OK = 0x8000
UDP_SIZE = 1232  # bytes an answer may have, as resolvers say since 2020
OPT, COOKIE, COOKIE_BYTES = 41, 10, 8  # RFC 6891 §6.1.2, RFC 7873 §4
GOLDEN_RATIO = 0.618033988749895
BOTH_CASES = {True: str.upper, False: str.lower}


class QuestionsError(ValueError):
    """Questions that cannot be made as described."""


@dataclass(frozen=True)
class Kind:
    """One kind of question: names made from `name`, each asked for all `types`, `share` of all draws among several kinds.

    With a `search` list each name is first asked below its domains, as a resolver with ndots:5 does in a pod.
    """

    name: str
    count: int
    generator: str = "numbered"
    types: tuple[str, ...] = ("A",)
    search: tuple[str, ...] = ()
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a generator that is not known."""
        if self.generator not in GENERATORS:
            raise QuestionsError(f"unknown generator {self.generator!r}; there are {', '.join(GENERATORS)}")

    def groups(self, round_number: int) -> Iterator[list[tuple[str, str]]]:
        """Name and type of what is asked together, for ever."""
        for label in GENERATORS[self.generator](self.count, round_number):
            name = self.name.format(label)
            names = [f"{name}.{domain}" for domain in self.search] + [name]
            yield [(each, kind) for each in names for kind in self.types]


def numbered(names: int, round_number: int) -> Iterator[str]:
    """0, 1, 2 … over and over, in an order that is random but the same in every round; each begins far from all others."""
    order = [str(number) for number in random.Random(0).sample(range(names), names)]
    start = int(round_number * GOLDEN_RATIO % 1 * names)
    return cycle(order[start:] + order[:start])


def unseen(names: int, round_number: int) -> Iterator[str]:
    """Labels that no other round asks for, and this one once."""
    source = random.Random(round_number)
    return (f"{round_number}-{source.randrange(1 << 40):x}-{number}" for number in count())


def zipf(names: int, round_number: int) -> Iterator[str]:
    """Numbers of which the k-th is drawn with a weight of 1/k: few are asked often, most seldom."""
    source, weights = random.Random(round_number), list(accumulate(1 / rank for rank in range(1, names + 1)))
    while True:
        yield from map(str, source.choices(range(names), cum_weights=weights, k=1000))


GENERATORS: dict[str, Callable[[int, int], Iterator[str]]] = {"numbered": numbered, "unseen": unseen, "zipf": zipf}


@dataclass(frozen=True)
class Style:
    """How a client writes its questions."""

    edns: bool = False
    dnssec_ok: bool = False
    cookies: bool = False  # a random one in each message, as dig sends them
    mixed_case: bool = False  # 0x20: a random case for each letter

    def message(self, name: str, qtype: str, source: random.Random) -> bytes:
        """A query, its ID 0."""
        if self.mixed_case:
            name = "".join(BOTH_CASES[source.random() < 0.5](letter) for letter in name)
        question = wire_name(name) + struct.pack("!2H", dns.rdatatype.from_text(qtype), 1)
        if not (self.edns or self.dnssec_ok or self.cookies):
            return HEADER + question
        options = struct.pack("!2H", COOKIE, COOKIE_BYTES) + source.randbytes(COOKIE_BYTES) if self.cookies else b""
        opt = struct.pack("!BHHIH", 0, OPT, UDP_SIZE, DNSSEC_OK if self.dnssec_ok else 0, len(options))
        return HEADER_WITH_OPT + question + opt + options


def wire_name(name: str) -> bytes:
    """A name without escapes in wire form."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def drawn(kinds: tuple[Kind, ...], round_number: int) -> Iterator[tuple[str, str]]:
    """Names and types of a round, for ever; of several kinds each as often as its share says."""
    groups, source = [kind.groups(round_number) for kind in kinds], random.Random(round_number)
    shares = list(accumulate(kind.share for kind in kinds))
    while True:
        for choice in source.choices(range(len(kinds)), cum_weights=shares, k=1000) if len(kinds) > 1 else [0] * 1000:
            yield from next(groups[choice])


def messages(kinds: tuple[Kind, ...], style: Style, round_number: int, number: int) -> Iterator[bytes]:
    """The first so many queries of a round."""
    source = random.Random(round_number)
    for name, qtype in islice(drawn(kinds, round_number), number):
        yield style.message(name, qtype, source)


def write_framed(path: Path, queries: Iterator[bytes]) -> None:
    """Writes messages as on a TCP stream (RFC 1035 §4.2.2), which is what dnsperf reads with -B."""
    path.write_bytes(b"".join(struct.pack("!H", len(each)) + each for each in queries))
