"""The look-ups that are not one record of one name: cuts, aliases, wildcards, denials, additional data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycoredns.errors import Refused
from pycoredns.plugin import Handler
from pycoredns.request import AA, Request
from pycoredns.response import Answer, Response
from pycoredns.wire import types
from pycoredns.zone.packed import counted, find, records

if TYPE_CHECKING:
    from pycoredns.zone.zone import Zone


def answer(zone: Zone, request: Request, missing: Handler | None) -> Answer:
    """The answer of a zone to a question about one of its names."""
    name, do = request.name, request.do
    if request.qtype in (types.AXFR, types.IXFR):
        raise Refused
    node = zone.nodes.get(name)
    if node is None:
        if missing is not None:
            return missing(request)
        return Response(types.NXDOMAIN, b"", 0, *zone.start[do], flags=AA)
    packed = find(node, request.tail.question)
    if packed is None:
        return Response(types.NOERROR, b"", 0, *zone.start[do], flags=AA)
    return Response(types.NOERROR, records(packed, name, do), counted(packed, do), *zone.authority[do])
