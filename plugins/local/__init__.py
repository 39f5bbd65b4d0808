"""Answer for localhost and the reverse zones of this host, so that such questions go nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pycoredns.answer import Answer
from pycoredns.corefile.kinds import OnOff
from pycoredns.corefile.options import Option, Repetition
from pycoredns.direct import Direct, unless
from pycoredns.frozen import changeable
from pycoredns.metrics import Counter
from pycoredns.output import logger
from pycoredns.plugin import Outcome, Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types
from pycoredns.wire.message import record
from pycoredns.wire.names import from_text, to_text, within

if TYPE_CHECKING:
    from pycoredns.service import Service

__all__ = ["Local"]

log = logger("plugin/local")

_TTL = 604800
_LOCALHOST = from_text("localhost")
_PREFIX = _LOCALHOST[:-1]
_LOOPBACK = from_text("127.in-addr.arpa")
_ZONES = (_LOCALHOST, from_text("0.in-addr.arpa"), _LOOPBACK, from_text("255.in-addr.arpa"))
# serial 1, refresh, retry and expire 0
_SOA = record(
    b"", types.SOA, _TTL, _LOCALHOST + from_text("root.localhost") + bytes((0, 0, 0, 1)) + bytes(12) + _TTL.to_bytes(4, "big")
)
_HOST = {
    types.A: record(b"", types.A, _TTL, bytes((127, 0, 0, 1))),
    types.AAAA: record(b"", types.AAAA, _TTL, bytes(15) + b"\1"),
}
_APEX = {types.SOA: _SOA, types.NS: record(b"", types.NS, _TTL, _LOCALHOST)}
_RECORDS: dict[bytes, Mapping[int, bytes]] = {
    **dict.fromkeys(_ZONES, _APEX),
    _LOCALHOST: _HOST | _APEX,
    from_text("1.0.0.127.in-addr.arpa"): {types.PTR: record(b"", types.PTR, _TTL, _LOCALHOST)},
}


@changeable
class Local(Plugin):
    """Answer for localhost and the reverse zones of this host, so that they are asked nowhere else (RFC 6761 §6.3, RFC 6303)."""

    repeated: ClassVar[Repetition] = "merged"
    requests = Counter("localhost_requests_total", "Questions for names below localhost, or that begin with it.")

    localhost_prefix: Annotated[bool, Option("whether names that only begin with localhost. are local too", kind=OnOff)] = True

    def __post_init__(self) -> None:
        """Looks up the counter."""
        self._count = self.requests.cell()

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Passes on what cannot be local."""
        return unless(lambda name, tail: name.endswith(_ZONES) or name.startswith(_PREFIX), following)

    def handle(self, request: Request) -> Answer:
        """Passes on what is not local."""
        name = request.name
        if name.endswith(_ZONES) or name.startswith(_PREFIX):
            if self._is_host(name):
                return self._host(request)
            for zone in _ZONES:
                if within(name, zone):
                    return self._in_zone(request, zone)
        return self.next(request)

    def _is_host(self, name: bytes) -> bool:
        """Does a name, other than localhost itself, stand for this host?"""
        if name == _LOCALHOST:
            return False
        return within(name, _LOCALHOST) or (self.localhost_prefix and name.startswith(_PREFIX))

    def _host(self, request: Request) -> Response:
        """An address of this host, counted also when it is given from memory."""
        response = _answer(request, _HOST, len(request.asked))
        response.repeated = self._count_again
        self._count.value += 1
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                'Intercepting localhost query for "%s" %s, from %s',
                to_text(request.name),
                types.type_text(request.qtype),
                request.client[0],
            )
        return response

    def _count_again(self, outcome: Outcome) -> None:
        self._count.value += outcome.times

    def _in_zone(self, request: Request, zone: bytes) -> Response:
        """A record of a zone, or its denial."""
        records = _RECORDS.get(request.name)
        if records is not None:
            return _answer(request, records, len(zone))
        return _denial(request, len(zone), types.NXDOMAIN)


def _answer(request: Request, records: Mapping[int, bytes], zone_size: int) -> Response:
    """The record of the type asked for, or NODATA with the SOA of the zone that is so many octets of the name."""
    found = records.get(request.qtype)
    if found is None:
        return _denial(request, zone_size, types.NOERROR)
    return Response(types.NOERROR, request.asked + found, 1, flags=0)


def _denial(request: Request, zone_size: int, rcode: int) -> Response:
    return Response(rcode, authority=request.asked[-zone_size:] + _SOA, authorities=1, flags=0)
