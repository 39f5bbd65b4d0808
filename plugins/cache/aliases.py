"""Does an answer's first section answer the question, over its aliases (RFC 1034 §3.6.2)?"""

from __future__ import annotations

from pycoredns.request import Request
from pycoredns.response import Walked
from pycoredns.wire import names, types
from pycoredns.wire.walk import Found

_POINTER = 0xC000
_POINTER_TO_QUESTION = b"\xc0\x0c"
_ANY_CLASS = types.CLASS_NUMBERS["ANY"]


def answers_question(request: Request, section: Walked) -> bool:
    """Is there a record of the type at the end of the aliases; for ANY at the name itself, for CNAME an alias there?"""
    octets, found = section
    if answers_directly(request, octets, found):
        return True
    try:
        return _answers_in_the_end(request, octets, found)
    except names.BadNameError:
        return False


def answers_directly(request: Request, octets: bytes, found: list[Found]) -> bool:
    """The usual case, without reading a name: aliases each of the one before, then only records of the type; and signatures."""
    tail = request.tail
    qtype, qclass = tail.qtype, tail.question[2:]
    names_of_owner = (request.asked, _POINTER_TO_QUESTION)
    last = 0
    for start, fixed, end, rtype, _ in found:
        if rtype == types.RRSIG:
            continue
        last = rtype
        if octets[start:fixed] not in names_of_owner or octets[fixed + 2 : fixed + 4] != qclass:
            return False
        if rtype == types.CNAME:
            names_of_owner = (octets[fixed + 10 : end], (_POINTER | fixed + 10).to_bytes(2, "big"))
        elif rtype != qtype:
            return False
    return last == qtype != types.CNAME


def _same_class(request: Request, octets: bytes, each: Found) -> bool:
    """Any class is an answer to QCLASS * (RFC 1035 §3.2.5)."""
    return request.tail.qclass in (_ANY_CLASS, int.from_bytes(octets[each.fixed + 2 : each.fixed + 4], "big"))


def _answers_in_the_end(request: Request, octets: bytes, found: list[Found]) -> bool:
    """Reads the owners and follows the aliases; one that has two targets, or leads back, leads nowhere (RFC 2181 §10.1)."""
    owners: dict[bytes, set[int]] = {}
    targets: dict[bytes, set[bytes]] = {}
    known: dict[int, bytes] = {}
    for each in found:
        if _same_class(request, octets, each):
            owner = names.read(octets, each.start, known)[0].lower()
            owners.setdefault(owner, set()).add(each.rtype)
            if each.rtype == types.CNAME:
                targets.setdefault(owner, set()).add(names.read(octets, each.fixed + 10, known)[0].lower())
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
