"""Records as bytes, because a hundred thousand objects would cost memory and pauses of the garbage collector.

The first octet says what follows. A or AAAA: a usual record, an address and nothing that needs a second thought, as the resource
record without its owner, ready to be sent. With DETAILED added, what SRV records need stands before it: priority, weight, port,
and the labels to strip. BRIEF: all fields that are not as rare as large numbers. OTHER: all fields. SPOILED: why the value could
not be read.
"""

from __future__ import annotations

import struct
from math import floor
from struct import Struct

from pycoredns.plugins.etcd.skydns import DEFAULT_PRIORITY, DEFAULT_WEIGHT, Service
from pycoredns.wire import types

OTHER, BRIEF, SPOILED = 0, 2, 254
DETAILED = 128
_DETAILS = Struct("!BHHHH")
"""Labels to strip, weight; then what an SRV record has: priority, the weight as a share if it is alone, port."""
_WHOLE = 100
_BARE_DETAILS = _DETAILS.pack(0, 0, DEFAULT_PRIORITY, _WHOLE, 0)
NUMBERS, STRIP = slice(4, 10), 1
"""Where a record with details has what an SRV record begins with if it is alone, and the labels to strip."""
BARE_SERVICE = _BARE_DETAILS[3:], 0
"""The same of a record without details."""
_RECORD = Struct("!HHIH")
_STARTS = {
    types.A: 1,
    types.AAAA: 1,
    types.A | DETAILED: 1 + _DETAILS.size,
    types.AAAA | DETAILED: 1 + _DETAILS.size,
}
STARTS = tuple(_STARTS.get(first, 0) for first in range(256))
"""Where the resource record of a usual record begins, by its first octet; 0 for all that are not usual."""
RECORDS = [slice(start, None) for start in STARTS]
"""Where the resource record is in a usual record, by its first octet; slices that are there already save 300 instructions."""
TTLS = [slice(start + 4, start + 8) for start in STARTS]
"""Its TTL, likewise."""
_BRIEF = Struct("!BBHHHBIBHB")
_OTHER = Struct("!BBqqqqqI?IIII")
_LONGEST_REASON = 200


def pack(service: Service, plain: bool) -> bytes:
    """A record as bytes, without its key; ``plain`` says whether the key is what it seems."""
    return (_pack_usual(service) if plain else b"") or _pack_brief(service) or _pack_other(service)


def details_of(octets: bytes) -> tuple[int, int, bytes, bytes]:
    """From what stands before a usual record, or nothing: labels to strip, weight; priority and port as SRV records have them."""
    details = octets or _BARE_DETAILS
    strip, weight, *_ = _DETAILS.unpack(details)
    return strip, weight or DEFAULT_WEIGHT, details[3:5], details[7:]


def _pack_usual(service: Service) -> bytes:
    _, rtype, host, spelling, text, group, port, priority, weight, ttl, targetstrip, mail, lease = service
    if rtype not in (types.A, types.AAAA) or spelling or text or group or mail or lease:
        return b""
    if not (0 <= port <= 65535 and 0 <= priority <= 65535 and 0 <= weight <= 65535 and 0 <= targetstrip <= 255):
        return b""
    if weight and floor(100.0 / weight * weight) != 100:
        return b""
    details = _DETAILS.pack(targetstrip, weight, priority, _WHOLE, port)
    record = _RECORD.pack(rtype, types.IN, ttl, len(host)) + host
    if details == _BARE_DETAILS:
        return bytes((rtype,)) + record  # fits 48 octets of memory, as a ``bytes`` object has 33 of its own; with details 64
    return b"%c%b%b" % (rtype | DETAILED, details, record)


def _pack_brief(service: Service) -> bytes:
    _, rtype, host, spelling, text, group, port, priority, weight, ttl, targetstrip, mail, lease = service
    if spelling or mail or lease:
        return b""
    sizes = len(host), len(text), len(group)
    try:
        fixed = _BRIEF.pack(BRIEF, rtype, port, priority, weight, targetstrip, ttl, *sizes)
    except struct.error:  # something is too large
        return b""
    return b"".join((fixed, host, text, group))


def _pack_other(service: Service) -> bytes:
    _, rtype, host, spelling, text, group, port, priority, weight, ttl, targetstrip, mail, lease = service
    sizes = len(host), len(spelling), len(text), len(group)
    fixed = _OTHER.pack(OTHER, rtype, port, priority, weight, targetstrip, lease, ttl, mail, *sizes)
    return b"".join((fixed, host, spelling, text, group))


def around_host(packed: bytes, size: int) -> tuple[bytes, bytes]:
    """What stands before and behind the host of a record, which has ``size`` octets; it would be the same for another of them."""
    sizes = {BRIEF: _BRIEF.size, OTHER: _OTHER.size}
    start = sizes.get(packed[0], len(packed) - size)
    return packed[:start], packed[start + size :]


def pack_spoiled(reason: str) -> bytes:
    """In place of a record: why there is none."""
    return bytes((SPOILED,)) + reason.encode("utf-8", "replace")[:_LONGEST_REASON]


def reason(packed: bytes) -> str:
    """Why a spoiled record is spoiled."""
    return packed[1:].decode("utf-8", "replace")


def unpack(packed: bytes, key: bytes) -> Service:
    """The record again, which is not a spoiled one, with its key."""
    if place := STARTS[packed[0]]:
        rtype, _, ttl, _ = _RECORD.unpack_from(packed, place)
        details = packed[1:place] or _BARE_DETAILS
        targetstrip, weight, priority, _, port = _DETAILS.unpack(details)
        return Service(key, rtype, packed[place + _RECORD.size :], b"", b"", b"", port, priority, weight, ttl, targetstrip)
    if packed[0] == BRIEF:
        _, rtype, port, priority, weight, targetstrip, ttl, host, text, _ = _BRIEF.unpack_from(packed)
        texts = packed[_BRIEF.size :]
        text += host
        parts = texts[:host], b"", texts[host:text], texts[text:]
        return Service(key, rtype, *parts, port, priority, weight, ttl, targetstrip)
    _, rtype, port, priority, weight, targetstrip, lease, ttl, mail, host, spelling, text, _ = _OTHER.unpack_from(packed)
    texts = packed[_OTHER.size :]
    spelling += host
    text += spelling
    parts = texts[:host], texts[host:spelling], texts[spelling:text], texts[text:]
    return Service(key, rtype, *parts, port, priority, weight, ttl, targetstrip, mail, lease)
