"""Records as bytes, because a hundred thousand objects would cost memory and pauses of the garbage collector.

The first octet says what follows. A or AAAA: a usual record, an address and nothing that needs a second thought; behind six
octets (priority, weight, port) and the labels to strip stands the resource record without its owner, ready to be sent.
OTHER: all fields. SPOILED: why the value could not be read.
"""

import socket
from math import floor
from struct import Struct

from pycoredns.wire import types

from .skydns import Service

OTHER, SPOILED = 0, 254
DEFAULT_PRIORITY = 10
_USUAL = Struct("!BHHHBHHIH")
_OTHER = Struct("!BqqqqqI?III")
RECORD = 8
"""Where the resource record begins in a usual record."""
_TTL_AND_SIZE = Struct("!4xIH")
_LONGEST_REASON = 200


def pack(service: Service, default_ttl: int, plain: bool) -> bytes:
    """A record as bytes, without its key; `plain` says whether the key is what it seems."""
    return (_pack_usual(service, default_ttl) if plain else None) or _pack_other(service)


def _pack_usual(service: Service, default_ttl: int) -> bytes | None:
    address = service.address
    unusual = service.text or service.group or service.mail or service.lease
    if address is None or unusual or not 0 <= service.targetstrip <= 255:
        return None
    priority, weight, port = service.priority or DEFAULT_PRIORITY, service.weight, service.port
    if min(priority, weight, port) < 0 or max(priority, weight, port) > 65535:
        return None
    rtype, rdata = address
    if service.host != _text(rtype, rdata) or (weight and floor(100.0 / weight * weight) != 100):
        return None
    ttl = service.ttl or default_ttl
    return _USUAL.pack(rtype, priority, weight, port, service.targetstrip, rtype, types.IN, ttl, len(rdata)) + rdata


def _text(rtype: int, rdata: bytes) -> bytes:
    return socket.inet_ntop(socket.AF_INET if rtype == types.A else socket.AF_INET6, rdata).encode()


def _pack_other(service: Service) -> bytes:
    fixed = _OTHER.pack(
        OTHER,
        service.port,
        service.priority,
        service.weight,
        service.targetstrip,
        service.lease,
        service.ttl,
        service.mail,
        len(service.host),
        len(service.text),
        len(service.group),
    )
    return fixed + service.host + service.text + service.group


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
        return Service(key, _text(rtype, packed[_USUAL.size :]), b"", b"", port, priority, weight, ttl, targetstrip)
    _, port, priority, weight, targetstrip, lease, ttl, mail, host, text, _ = _OTHER.unpack_from(packed)
    texts = packed[_OTHER.size :]
    parts = texts[:host], texts[host : host + text], texts[host + text :]
    return Service(key, *parts, port, priority, weight, ttl, targetstrip, mail, lease)
