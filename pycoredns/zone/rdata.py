"""RDATA that is read again when questions are answered: is it whole?"""

from __future__ import annotations

from pycoredns.wire import types
from pycoredns.wire.message import LAYOUTS, NAME, STRING
from pycoredns.wire.names import LONGEST_LABEL, LONGEST_NAME, BadNameError

_LAYOUTS = {
    **LAYOUTS,
    types.SVCB: (2, NAME),
    types.HTTPS: (2, NAME),
    types.NSEC3: (4, STRING, STRING),
    types.NSEC3PARAM: (4, STRING),
}
CHECKED = frozenset(_LAYOUTS)
"""Types that have names or lengths in their RDATA which answers depend on."""
_GO_ON = frozenset({types.RRSIG, types.NSEC, types.NSEC3, types.SVCB, types.HTTPS})
"""Types with something behind that: a signature, a bitmap, parameters."""


def is_whole(rtype: int, rdata: bytes) -> bool:
    """Are all names and strings of a checked type there, without compression, and nothing behind them that is not its own?"""
    place = 0
    try:
        for part in _LAYOUTS[rtype]:
            place = _behind_name(rdata, place) if part == NAME else place + (part if part > 0 else 1 + rdata[place])
    except (IndexError, BadNameError):
        return False
    return place == len(rdata) or (place < len(rdata) and rtype in _GO_ON)


def _behind_name(rdata: bytes, place: int) -> int:
    start = place
    while length := rdata[place]:
        place += length + 1
        if length > LONGEST_LABEL or place - start >= LONGEST_NAME:
            raise BadNameError("name too long, or compressed")
    return place + 1
