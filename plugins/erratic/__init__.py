"""Answer badly on purpose, to test clients: late, cut off, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pycoredns.answer import Answer, Pending
from pycoredns.corefile.numbers import Duration, Whole
from pycoredns.corefile.options import Arguments, Option, Repetition
from pycoredns.errors import DNSError, Dropped, ServerFailure
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.query import AA, TC
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types
from pycoredns.wire.message import record
from pycoredns.wire.names import from_text

__all__ = ["Erratic"]

_A = record(b"", types.A, 0, bytes((192, 0, 2, 53)))
_AAAA = record(b"", types.AAAA, 0, bytes.fromhex("20010db8000000000000000000000053"))
_TIMES = (2018050825, 7200, 3600, 1209600, 3600)
_SOA = record(
    b"",
    types.SOA,
    0,
    from_text("sns.dns.icann.org") + from_text("noc.dns.icann.org") + b"".join(number.to_bytes(4, "big") for number in _TIMES),
)
_GLUE = {
    b"\1a": record(b"", types.AAAA, 0, bytes.fromhex("20010bd8000000000000000000000053")),
    b"\1b": record(b"", types.AAAA, 0, bytes.fromhex("20010500000000000000000000000054")),
}
_LARGE = 30
_READY = range(3, 5)


class Amount(Whole):
    """One of how many questions; 0: none."""

    placeholder = "AMOUNT"
    lowest, highest = 0, 0x7FFFFFFF


HALF = Amount(2)


@dataclass(frozen=True)
class Some:
    """Which questions are meant."""

    amount: Annotated[Amount, "one of so many"] = HALF


@dataclass(frozen=True)
class Late(Some):
    """Which questions are answered late, and how late."""

    duration: Annotated[Duration, "how much later"] = Duration(0.1)


@changeable
class Erratic(Plugin):
    """Answer badly on purpose, to test clients: late, cut off, or not at all."""

    repeated: ClassVar[Repetition] = "merged"

    words: Annotated[tuple[str, ...], Arguments("mean nothing")] = ()
    drop: Annotated[Some | None, Option("leave one of AMOUNT questions without an answer")] = None
    truncate: Annotated[Some | None, Option("set TC in one of some answers, and leave the end of transfers out")] = None
    delay: Annotated[Late | None, Option("answer one of AMOUNT questions later")] = None
    large: Annotated[bool, Option("give the same address many times")] = False

    def __post_init__(self) -> None:
        """Questions are dropped unless something else is to be done with them."""
        self._asked = 0
        self._truncate = self.truncate.amount if self.truncate else 0
        self._delay = self.delay.amount if self.delay else 0
        self._drop = self.drop.amount if self.drop else 0 if self._truncate or self._delay else Some().amount

    def ready(self) -> bool:
        """For a while only, so that both can be seen."""
        return self._asked in _READY

    def answers_all(self, zone: bytes) -> bool:
        """It never passes a question on."""
        return True

    def handle(self, request: Request) -> Answer:
        """Treats a question by its number."""
        request.make_personal()
        number, self._asked = self._asked, self._asked + 1
        if self._drop and number % self._drop == 0:
            raise Dropped
        # CoreDNS takes the bits of both numbers, not the remainder: 3 means one of 4
        truncated = self._truncate > 0 and number & self._truncate == 0
        if self._delay and self.delay and number % self._delay == 0:
            return self._later(request, truncated, self.delay.duration)
        return self._answer(request, truncated)

    def _answer(self, request: Request, truncated: bool) -> Response:
        flags = AA | TC if truncated else AA
        match request.qtype:
            case types.A:
                times = _LARGE if self.large else 1
                return Response(types.NOERROR, (request.asked + _A) * times, times, flags=flags)
            case types.AAAA:
                return Response(types.NOERROR, request.asked + _AAAA, 1, flags=flags)
            case types.AXFR:
                return _transfer(request.asked, ends=not truncated)
        raise ServerFailure

    def _later(self, request: Request, truncated: bool, seconds: float) -> Answer:
        """The answer, or the error, after a while."""
        pending = Pending()

        def resolve() -> None:
            try:
                pending.resolve(self._answer(request, truncated))
            except DNSError as error:
                pending.fail(error)

        asyncio.get_running_loop().call_later(seconds, resolve)
        return pending


def _transfer(zone: bytes, ends: bool) -> Response:
    """A small zone, by AXFR; without its second SOA if it does not end (RFC 5936 §2.2)."""
    servers = [zone + record(b"", types.NS, 0, label + zone) for label in reversed(_GLUE)]
    addresses = [label + zone + address for label, address in _GLUE.items()]
    records = [zone + _SOA, *servers, *addresses, *([zone + _SOA] if ends else [])]
    return Response(types.NOERROR, b"".join(records), len(records))
