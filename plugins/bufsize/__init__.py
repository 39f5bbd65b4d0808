"""Limit the UDP payload size that clients may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pycoredns.answer import Answer
from pycoredns.corefile.numbers import Whole
from pycoredns.corefile.options import Argument, Repetition
from pycoredns.direct import Direct, unless
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.query import Tail
from pycoredns.request import Request

if TYPE_CHECKING:
    from pycoredns.service import Service

__all__ = ["Bufsize"]

_MOST_KEPT = 1024


class PayloadSize(Whole):
    """Octets of a UDP payload (RFC 6891 §6.2.3)."""

    placeholder = "SIZE"
    lowest, highest = 512, 4096


DEFAULT = PayloadSize(1232)
"""That of DNS Flag Day 2020."""


@changeable
class Bufsize(Plugin):
    """Limit the UDP payload size that clients may ask for, so that neither answers nor those of upstreams are fragmented."""

    repeated: ClassVar[Repetition] = "first"

    size: Annotated[PayloadSize, Argument("octets an answer by UDP may have at most")] = DEFAULT

    def __post_init__(self) -> None:
        """Begins with nothing lowered."""
        self._lowered: dict[Tail, Tail] = {}

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Passes on what needs not be lowered."""
        return unless(lambda name, tail: tail.size > self.size, following)

    def handle(self, request: Request) -> Answer:
        """Lowers a larger size, for those behind and for the answer; queries without EDNS stay as they are."""
        if request.tail.size <= self.size:
            return self.next(request)
        tail = self._lower(request.tail)
        request.answer_in(tail)
        return self.next(request.replace(tail=tail))

    def _lower(self, tail: Tail) -> Tail:
        """The tail with the size lowered; the same tails come again and again, but for those with options."""
        lowered = self._lowered.get(tail)
        if lowered is None:
            lowered = tail.replace(size=self.size)
            if not tail.options:
                if len(self._lowered) >= _MOST_KEPT:
                    self._lowered.clear()
                self._lowered[tail] = lowered
        return lowered
