"""RDATA as it is signed: names in it are lower-case (RFC 4034 §6.2, RFC 6840 §5.1)."""

from pycoredns.wire import types

_BEFORE_NAMES = {
    **dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12, 14, 17, 39), 0),
    **dict.fromkeys((15, 18, 21, 26, 36), 2),
    33: 6,
}
"""Types whose RDATA ends with one or two names: how many octets stand before them."""
_SOA_NUMBERS = 20
_NAPTR = 35
HOLD_NAMES = frozenset({*_BEFORE_NAMES, types.SOA, _NAPTR})
"""Types whose RDATA is not signed just as it is."""


def lower_names(rtype: int, rdata: bytes) -> bytes:
    """The RDATA with the names in it, which are whole, in lower case; a label's length is never an upper-case letter."""
    before = _BEFORE_NAMES.get(rtype)
    if before is not None:
        return rdata[:before] + rdata[before:].lower()
    if rtype == types.SOA:
        return rdata[:-_SOA_NUMBERS].lower() + rdata[-_SOA_NUMBERS:]
    if rtype == _NAPTR:
        return _lower_naptr(rdata)
    return rdata


def _lower_naptr(rdata: bytes) -> bytes:
    """Two numbers and three strings stand before the name (RFC 3403 §4.1)."""
    place = 4
    for _ in range(3):
        place += rdata[place] + 1 if place < len(rdata) else 0
    return rdata[:place] + rdata[place:].lower()
