"""Does an answer's first section answer the question, over its aliases (RFC 1034 §3.6.2)?"""

from __future__ import annotations

from pycoredns.request import Request
from pycoredns.response import Walked
from pycoredns.wire import names, types
from pycoredns.wire.walk import Found

POINTER_TO_QUESTION = b"\xc0\x0c"


def answers_question(request: Request, section: Walked) -> bool:
    """Is there a record of the type at the end of the aliases; for ANY at the name itself, for CNAME an alias there?"""
    octets, found = section
    if found and _answers_directly(request, octets, found):
        return True
    try:
        return _answers_in_the_end(request, octets, found)
    except names.BadNameError:
        return False


def _answers_directly(request: Request, octets: bytes, found: list[Found]) -> bool:
    """The usual case, without reading a name: all records are of the type, the first one at the name."""
    first = found[0]
    qtype = request.tail.qtype
    if octets[first.start : first.fixed] not in (request.asked, POINTER_TO_QUESTION):
        return False
    return qtype != types.CNAME and all(each.rtype == qtype and _same_class(request, octets, each) for each in found)


def _same_class(request: Request, octets: bytes, each: Found) -> bool:
    return int.from_bytes(octets[each.fixed + 2 : each.fixed + 4], "big") == request.tail.qclass


def _answers_in_the_end(request: Request, octets: bytes, found: list[Found]) -> bool:
    """Reads the owners and follows the aliases; one that has two targets, or leads back, leads nowhere (RFC 2181 §10.1)."""
    owners: dict[bytes, set[int]] = {}
    targets: dict[bytes, set[bytes]] = {}
    for each in found:
        if _same_class(request, octets, each):
            owner = names.read(octets, each.start)[0].lower()
            owners.setdefault(owner, set()).add(each.rtype)
            if each.rtype == types.CNAME:
                targets.setdefault(owner, set()).add(names.read(octets, each.fixed + 10)[0].lower())
    name, qtype = request.name, request.tail.qtype
    if qtype == types.ANY:
        return name in owners
    if qtype == types.CNAME:
        return len(targets.get(name, ())) == 1
    passed: set[bytes] = set()
    while name in targets and name not in passed:
        passed.add(name)
        if len(targets[name]) > 1:
            return False
        (name,) = targets[name]
    return name not in passed and qtype in owners.get(name, ())
