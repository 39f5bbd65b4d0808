"""The look-ups that are more than one record of one name: cuts, aliases, wildcards, denials, additional data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeAlias

from pycoredns.answer import Answer, then
from pycoredns.errors import DNSError, Refused, ServerFailure
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import names, types
from pycoredns.wire.message import RECORD
from pycoredns.wire.walk import walk
from pycoredns.zone.drafts import Draft
from pycoredns.zone.packed import (
    CNAME,
    DNAME,
    DS,
    MOST_RECORDS,
    NS,
    NSEC,
    RRSIG,
    SHADOWED,
    SOA,
    Node,
    bodies,
    find,
    rdatas,
    sets_of,
    signatures,
)

if TYPE_CHECKING:
    from pycoredns.zone.zone import Zone

Missing: TypeAlias = Callable[[Request], Answer | None]
"""Answers for a name that is not there, or leaves it to the zone."""
LONGEST_CHAIN = 10
"""CNAME records of the zone in one answer, as CoreDNS has it."""
DEEPEST = 8
"""Questions that may lead to each other before an alias is left as it is, as CoreDNS does."""
_DESPITE_ALIAS = frozenset({NSEC, RRSIG, SOA, NS})
"""What is answered although there is an alias too; the apex should have none, but its zone can be found all the same."""
_PASSED_ON = frozenset({types.NXDOMAIN, types.SERVFAIL})
_FIXED = 10


def answer(zone: Zone, request: Request, missing: Missing | None) -> Answer:
    """The answer of a zone to a question about one of its names."""
    if request.qtype in types.TRANSFERS:
        raise Refused  # these are the business of the plugin transfer
    name = request.name
    encloser, node = _enclose(zone, name)
    if node is None:
        return _refer(zone, request, encloser)
    if name == encloser and (node or zone.denial or _source(zone, names.parent(name)) is None):
        return _answer_from(zone, request, name, node, missing)
    if encloser in zone.redirected:
        return _redirect(zone, request, encloser, node)
    if name == encloser:  # as in CoreDNS, a wildcard stands for empty non-terminals beside it, if nothing proves them
        encloser = names.parent(name)
    source = _source(zone, encloser)
    if source is not None:
        return _answer_from(zone, request, source, zone.nodes[source], missing, encloser)
    if missing is not None and (passed := missing(request)) is not None:
        return passed
    return _deny_name(zone, request, encloser)


def _enclose(zone: Zone, name: bytes) -> tuple[bytes, Node | None]:
    """The longest name above or at one that is there, with its records; None instead of them where it is a cut."""
    while True:
        node = zone.nodes.get(name)
        if node is not None or name in zone.cuts:
            return name, node
        if name == names.ROOT:
            raise ServerFailure("the name is not in the zone")
        name = names.parent(name)


def _source(zone: Zone, encloser: bytes) -> bytes | None:
    """The wildcard below a name, if there is one (RFC 4592 §3.3.1)."""
    wildcard = b"\1*" + encloser
    return wildcard if wildcard in zone.nodes else None


# --- one name


def _answer_from(
    zone: Zone, request: Request, owner: bytes, node: Node, missing: Missing | None, encloser: bytes | None = None
) -> Answer:
    """The records of a name of the zone, be it the one asked for or the wildcard below ``encloser`` that stands for it."""
    draft, name, asked = Draft(zone, request.do), request.name, request.tail.question
    stored = owner if encloser is not None else None
    draft.wildcard = stored or b""
    packed = find(node, asked)
    if packed is None or (packed[4] & SHADOWED and asked not in _DESPITE_ALIAS):
        alias = find(node, CNAME)
        if alias is not None and asked != RRSIG:
            _prove_wildcard(draft, name, encloser)
            draft.add(alias, name, stored)
            return _follow(draft, request, _target(alias, owner))
    if asked == RRSIG and (found := _signatures(node, owner)):
        draft.add_records([name + body for body in found])
        return draft.respond()
    if packed is None:
        if encloser is None and missing is not None and _is_bare(node) and (passed := missing(request)) is not None:
            return passed
        if encloser is not None and draft.do and zone.denial:
            draft.prove(zone.denial.wildcard_no_type(name, encloser))
            return draft.respond(negative=True)
        return _deny_type(draft, owner)
    _prove_wildcard(draft, name, encloser)
    draft.add(packed, name, stored)
    if name == zone.origin and asked == NS:
        draft.glue(packed, name)
        return draft.send()
    return draft.respond()


def _prove_wildcard(draft: Draft, name: bytes, encloser: bytes | None) -> None:
    """Adds what shows a validator that a name was made from a wildcard (RFC 4035 §3.1.3.3)."""
    if encloser is not None and draft.do and draft.zone.denial:
        draft.prove(draft.zone.denial.wildcard(name, encloser))


def _signatures(node: Node, owner: bytes) -> list[bytes]:
    """All signatures of a name, and one more than may fit into an answer at most."""
    return list(islice(chain.from_iterable(signatures(each, owner) for each in sets_of(node)), MOST_RECORDS + 1))


def _target(packed: bytes, owner: bytes) -> bytes:
    return next(rdatas(packed, owner))


def _refer(zone: Zone, request: Request, cut: bytes) -> Response:
    """A referral (RFC 1034 §4.2.1), or the parent's side of the cut where its DS is asked for (RFC 4035 §3.1.4.1)."""
    draft, node = Draft(zone, request.do), zone.cuts[cut]
    if request.qtype == types.DS and request.name == cut:
        packed = find(node, DS)
        if packed is None:
            return _deny_type(draft, cut)
        draft.add(packed, cut)
        return draft.respond()
    _add_referral(draft, cut)
    return draft.send(flags=0)


def _add_referral(draft: Draft, cut: bytes) -> None:
    node = draft.zone.cuts[cut]
    servers, digest = find(node, NS), find(node, DS)
    if servers is None:
        return
    draft.refer(cut, servers)
    if draft.do and digest is not None:
        draft.refer(cut, digest)
    elif draft.do and draft.zone.denial:
        draft.prove(draft.zone.denial.no_type(cut))
    draft.glue(servers, cut)


# --- aliases


def _redirect(zone: Zone, request: Request, owner: bytes, node: Node) -> Answer:
    """What lies below a DNAME, by the CNAME that is made from it (RFC 6672 §3.2)."""
    draft, name = Draft(zone, request.do), request.name
    packed = find(node, DNAME)
    if packed is None:
        raise ServerFailure("a DNAME record is missing")
    draft.add(packed, owner)
    body = next(bodies(packed, owner))
    target = name[: -len(owner)] + body[_FIXED:]
    if len(target) > names.LONGEST_NAME:
        return draft.respond(types.YXDOMAIN)
    ttl = RECORD.unpack_from(body)[2]
    draft.add_records([name + RECORD.pack(types.CNAME, types.IN, ttl, len(target)) + target])
    if target.lower() == name:
        raise ServerFailure(f"{names.to_text(name)} is an alias of itself, by the DNAME at {names.to_text(owner)}")
    if request.qtype == types.CNAME:
        return draft.respond()
    return _follow(draft, request, target.lower())


def _follow(draft: Draft, request: Request, target: bytes) -> Answer:
    """Adds what an alias leads to."""
    zone, asked, do = draft.zone, request.tail.question, draft.do
    # CoreDNS asks itself anew for the name servers of each alias, and gives up in the end
    for hop in range(DEEPEST if asked == NS else LONGEST_CHAIN - 1):
        node = zone.nodes.get(target)
        cut = _cut_above(zone, target) if node is None else None
        if cut is not None and not (cut == target and request.qtype == types.DS):
            _add_referral(draft, cut)
            return draft.send()
        if not node:
            return _ask_elsewhere(draft, request, target)
        alias = find(node, CNAME)
        if alias is None or asked == CNAME:
            packed = find(node, asked)
            if packed is not None:
                draft.add(packed, target)
            elif (do and zone.denial) or (asked == NS and not hop) or (target == zone.origin and _is_bare(node)):
                return _deny_type(draft, target)
            return draft.respond()
        draft.add(alias, target)
        target = _target(alias, target)
    return draft.respond(types.SERVFAIL if asked == NS else types.NOERROR)


def _is_bare(node: Node) -> bool:
    """Has a name no records, or an apex none but those it must have? To CoreDNS both are names with others below them only."""
    return all(each.startswith((SOA, NS)) for each in sets_of(node))


def _cut_above(zone: Zone, name: bytes) -> bytes | None:
    """The cut that a name lies at or below."""
    if not zone.cuts or not names.within(name, zone.origin):
        return None
    found, node = _enclose(zone, name)
    return found if node is None else None


def _ask_elsewhere(draft: Draft, request: Request, target: bytes) -> Answer:
    """Looks a name up that the zone does not have as it stands, through the server's own blocks."""
    try:
        if request.depth >= DEEPEST:
            raise ServerFailure
        answer = request.listener.service.resolve(request, target, request.qtype)
    except DNSError:
        return draft.respond(types.SERVFAIL)
    return then(answer, partial(_add_foreign, draft))


def _add_foreign(draft: Draft, response: Response) -> Response:
    """Adds what was found elsewhere, with its response code (RFC 6604 §3), and the referral where it ends at a cut of ours."""
    last = draft.add_foreign(response)
    if last is not None and last.rtype == types.CNAME and not response.rcode:
        cut = _cut_above(draft.zone, last.rdata.lower())
        if cut is not None:
            _add_referral(draft, cut)
            return draft.send()
    plain = response.plain()
    denied = response.rcode == types.NXDOMAIN or (response.rcode == types.NOERROR and not plain.answers)
    if draft.do and draft.zone.denial:  # the proofs that came with it need the SOA beside them
        denied = denied or any(each.rtype == types.SOA for each in walk(plain.authority, 0, plain.authorities))
    return draft.respond(response.rcode if response.rcode in _PASSED_ON else types.NOERROR, denied)


# --- denials


def _deny_type(draft: Draft, owner: bytes) -> Response:
    """NODATA (RFC 2308 §2.2)."""
    if draft.do and draft.zone.denial:
        draft.prove(draft.zone.denial.no_type(owner))
    return draft.respond(negative=True)


def _deny_name(zone: Zone, request: Request, encloser: bytes) -> Response:
    """NXDOMAIN (RFC 2308 §2.1)."""
    if not request.do or zone.denial is None:
        return Response(types.NXDOMAIN, b"", 0, *zone.start[request.tail.do])
    draft = Draft(zone, True)
    draft.prove(zone.denial.no_name(request.name, encloser))
    return draft.respond(types.NXDOMAIN, negative=True)
