"""Answer questions of type ANY with one short record."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pycoredns.answer import Answer
from pycoredns.corefile.options import Repetition
from pycoredns.direct import Direct, unless
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire.message import record
from pycoredns.wire.types import ANY, NOERROR

if TYPE_CHECKING:
    from pycoredns.service import Service

__all__ = ["Any"]

_HINFO = 13
_TTL = 8482
_CPU, _OS = b"ANY obsoleted", b"See RFC 8482"
_RECORD = record(b"", _HINFO, _TTL, b"%c%b%c%b" % (len(_CPU), _CPU, len(_OS), _OS))


class Any(Plugin):
    """Answer questions of type ANY with an HINFO record that stands for them all (RFC 8482 §4.2)."""

    repeated: ClassVar[Repetition] = "first"

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Passes all other types on."""
        return unless(lambda name, tail: tail.qtype == ANY, following)

    def handle(self, request: Request) -> Answer:
        """Passes all other types on."""
        if request.tail.qtype != ANY:
            return self.next(request)
        return Response(NOERROR, request.asked + _RECORD, 1, flags=0)
