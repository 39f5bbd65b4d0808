"""The OPT record of EDNS(0): reading it in queries, writing it into answers (RFC 6891)."""

from collections.abc import Callable, Iterator, Mapping
from struct import Struct

from pycoredns.wire import names, types
from pycoredns.wire.message import BadMessageError

LONG_LIVED_QUERY, UPDATE_LEASE, NSID, SUBNET, EXPIRE, COOKIE, KEEPALIVE, PADDING, EXTENDED_ERROR = 1, 2, 3, 8, 9, 10, 11, 12, 15
REPORT_CHANNEL, ZONE_VERSION = 18, 19
ECHOED = frozenset({NSID, EXPIRE, COOKIE, KEEPALIVE, PADDING})
"""Options of a query that come back in the answer, as CoreDNS gives them back."""

DO = 0x8000
_FIXED = Struct("!BHHIH")
_OPTION = Struct("!HH")
_LONGEST_PREFIX = {1: 32, 2: 128}  # by address family


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


def check(rdata: bytes) -> None:
    """Raises BadMessageError where an option of an OPT record's RDATA is cut off, or cannot be what its code says."""
    for code, value in options(rdata):
        if code in _SHAPES and not _SHAPES[code](value):
            raise BadMessageError(f"EDNS option {code} is malformed")


def _is_subnet(value: bytes) -> bool:
    """RFC 7871 §6. The address may be of any length: nothing is done with it."""
    if len(value) < 4:
        return False
    family, source, scope = int.from_bytes(value[:2], "big"), value[2], value[3]
    return max(source, scope) <= _LONGEST_PREFIX.get(family, -1) if family else not source


def _is_name(value: bytes) -> bool:
    try:
        names.read(value, 0)
    except names.BadNameError:
        return False
    return True


_SHAPES: Mapping[int, Callable[[bytes], bool]] = {
    LONG_LIVED_QUERY: lambda value: len(value) >= 18,  # RFC 8764 §3.2
    UPDATE_LEASE: lambda value: len(value) in (4, 8),  # RFC 9664 §4
    SUBNET: _is_subnet,
    EXPIRE: lambda value: not value or len(value) >= 4,  # RFC 7314 §2
    KEEPALIVE: lambda value: len(value) in (0, 2),  # RFC 7828 §3.1
    EXTENDED_ERROR: lambda value: len(value) >= 2,  # RFC 8914 §2
    REPORT_CHANNEL: _is_name,  # RFC 9567 §5.1
    ZONE_VERSION: lambda value: len(value) != 1,  # RFC 9660 §2; CoreDNS takes the empty one of a query for malformed
}
