"""Records as bytes, because a hundred thousand objects would cost memory and pauses of the garbage collector.

The first octet says what follows. A or AAAA: a usual record, an address and nothing that needs a second thought; behind six
octets (priority, weight, port) and the labels to strip stands the resource record without its owner, ready to be sent.
OTHER: all fields. SPOILED: why the value could not be read.
"""

from math import floor
from struct import Struct

from pycoredns.wire import types

from .skydns import DEFAULT_PRIORITY, Service

OTHER, SPOILED = 0, 254
_USUAL = Struct("!BHHHBHHIH")
_OTHER = Struct("!BBqqqqqI?IIII")
_LONGEST_REASON = 200


def pack(service: Service, plain: bool) -> bytes:
    """A record as bytes, without its key; `plain` says whether the key is what it seems."""
    return (_pack_usual(service) if plain else b"") or _pack_other(service)


def pack_address(rdata: bytes, ttl: int) -> bytes:
    """A usual record that is an IPv4 address and nothing else, at a plain key."""
    return _USUAL.pack(types.A, DEFAULT_PRIORITY, 0, 0, 0, types.A, types.IN, ttl, 4) + rdata


def _pack_usual(service: Service) -> bytes:
    _, rtype, host, spelling, text, group, port, priority, weight, ttl, targetstrip, mail, lease = service
    if rtype not in (types.A, types.AAAA) or spelling or text or group or mail or lease:
        return b""
    if not (0 <= port <= 65535 and 0 <= priority <= 65535 and 0 <= weight <= 65535 and 0 <= targetstrip <= 255):
        return b""
    if weight and floor(100.0 / weight * weight) != 100:
        return b""
    return _USUAL.pack(rtype, priority, weight, port, targetstrip, rtype, types.IN, ttl, len(host)) + host


def _pack_other(service: Service) -> bytes:
    _, rtype, host, spelling, text, group, port, priority, weight, ttl, targetstrip, mail, lease = service
    sizes = len(host), len(spelling), len(text), len(group)
    fixed = _OTHER.pack(OTHER, rtype, port, priority, weight, targetstrip, lease, ttl, mail, *sizes)
    return b"".join((fixed, host, spelling, text, group))


def pack_spoiled(reason: str) -> bytes:
    """In place of a record: why there is none."""
    return bytes((SPOILED,)) + reason.encode("utf-8", "replace")[:_LONGEST_REASON]


def reason(packed: bytes) -> str:
    """Why a spoiled record is spoiled."""
    return packed[1:].decode("utf-8", "replace")


def unpack(packed: bytes, key: bytes) -> Service:
    """The record again, which is not a spoiled one, with its key."""
    if packed[0] != OTHER:
        rtype, priority, weight, port, targetstrip, _, _, ttl, _ = _USUAL.unpack_from(packed)
        return Service(key, rtype, packed[_USUAL.size :], b"", b"", b"", port, priority, weight, ttl, targetstrip)
    _, rtype, port, priority, weight, targetstrip, lease, ttl, mail, host, spelling, text, _ = _OTHER.unpack_from(packed)
    texts = packed[_OTHER.size :]
    spelling += host
    text += spelling
    parts = texts[:host], texts[host:spelling], texts[spelling:text], texts[text:]
    return Service(key, rtype, *parts, port, priority, weight, ttl, targetstrip, mail, lease)
