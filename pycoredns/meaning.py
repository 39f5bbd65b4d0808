"""What an answer says about its question, whatever its names and records are (RFC 2308 §1, §2)."""

from __future__ import annotations

from enum import Enum, auto
from time import time

from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types
from pycoredns.wire.edns import DO

_HALF = 1 << 31


class Meaning(Enum):
    """The sorts of answers."""

    ANSWER = auto()
    """Records, or NOERROR with nothing that would say more."""
    NO_DATA = auto()
    """The name is there, the type is not."""
    NO_NAME = auto()
    """The name is not there."""
    DELEGATION = auto()
    """Other servers know."""
    FAILURE = auto()
    """SERVFAIL or NOTIMP."""
    ZONE_MATTER = auto()
    """A transfer or a notification."""
    OTHER = auto()
    """Any other error, or what contradicts itself."""

    __hash__ = object.__hash__  # not Enum's, which is a call of Python's at each look-up


def meaning_of(request: Request, response: Response) -> Meaning:
    """The sort of an answer, as CoreDNS sorts them."""
    if request.header.opcode != types.QUERY or request.qtype in types.TRANSFERS:
        return Meaning.ZONE_MATTER
    if response.opt and _has_outdated_signature(response):
        return Meaning.OTHER
    rcode = response.rcode
    if rcode in (types.SERVFAIL, types.NOTIMP):
        return Meaning.FAILURE
    if rcode == types.NXDOMAIN:
        return Meaning.OTHER if response.answers else Meaning.NO_NAME
    if rcode != types.NOERROR:
        return Meaning.OTHER
    return Meaning.ANSWER if response.answers else _without_answer(response)


def _without_answer(response: Response) -> Meaning:
    """What the authority section says where the first one says nothing."""
    present = [each.rtype for each in response.walk()[1][1]]
    if types.SOA in present:
        return Meaning.NO_DATA
    return Meaning.DELEGATION if types.NS in present else Meaning.ANSWER


def _has_outdated_signature(response: Response) -> bool:
    """Does an answer with DO hold a signature that is not valid now (RFC 4034 §3.1.5)?"""
    if not response.opt or not int.from_bytes(response.opt[7:9], "big") & DO:
        return False
    now = int(time())
    for octets, found in response.walk():
        for each in found:
            if each.rtype == types.RRSIG and not _valid(octets[each.fixed + 10 : each.end], now):
                return True
    return False


def _valid(signature: bytes, now: int) -> bool:
    """Is it between a signature's inception and expiration, in the arithmetic of RFC 1982?"""
    expiration, inception = int.from_bytes(signature[8:12], "big"), int.from_bytes(signature[12:16], "big")
    return (now - inception) % (2 * _HALF) < _HALF and (expiration - now) % (2 * _HALF) < _HALF
