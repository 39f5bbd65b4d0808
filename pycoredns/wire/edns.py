"""The OPT record of EDNS(0): reading it in queries, writing it into answers (RFC 6891)."""

from collections.abc import Iterator
from struct import Struct

from pycoredns.wire import types
from pycoredns.wire.message import BadMessageError

NSID, SUBNET, EXPIRE, COOKIE, KEEPALIVE, PADDING, EXTENDED_ERROR = 3, 8, 9, 10, 11, 12, 15
ECHOED = frozenset({NSID, EXPIRE, COOKIE, KEEPALIVE, PADDING})
"""Options of a query that come back in the answer, as CoreDNS gives them back."""

DO = 0x8000
_FIXED = Struct("!BHHIH")
_OPTION = Struct("!HH")


def opt(size: int, flags: int = 0, options: bytes = b"", extended_rcode: int = 0, version: int = 0) -> bytes:
    """An OPT record; ``size`` is the UDP payload size in octets, ``flags`` the low 16 bits of its TTL (DO is 0x8000)."""
    return _FIXED.pack(0, types.OPT, size, extended_rcode << 24 | version << 16 | flags, len(options)) + options


def option(code: int, value: bytes) -> bytes:
    """One option in wire form."""
    return _OPTION.pack(code, len(value)) + value


def options(rdata: bytes) -> Iterator[tuple[int, bytes]]:
    """The options of an OPT record's RDATA; raises BadMessageError where one is cut off."""
    place = 0
    while place < len(rdata):
        if place + 4 > len(rdata):
            raise BadMessageError("EDNS option is cut off")
        code, size = _OPTION.unpack_from(rdata, place)
        place += 4 + size
        if place > len(rdata):
            raise BadMessageError("EDNS option is cut off")
        yield code, rdata[place - size : place]


def echoed(rdata: bytes) -> bytes:
    """Those options of a query that its answer carries too."""
    return b"".join([option(code, value) for code, value in options(rdata) if code in ECHOED]) if rdata else b""
