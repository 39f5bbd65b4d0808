"""What becomes of an answer: may it be kept, and which TTL does it ask for (RFC 2308, RFC 2181 §5.2)?"""

from __future__ import annotations

from struct import Struct
from typing import TypeAlias

from pycoredns.meaning import Meaning, meaning_of
from pycoredns.plugins.cache.aliases import answers_directly, answers_question
from pycoredns.query import TC
from pycoredns.relayed import Relayed
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import types
from pycoredns.wire.edns import DO
from pycoredns.wire.walk import Found, walk

SHORT = 5
"""TTL in seconds of what says nothing about its own."""
ANSWER, NO_DATA, NO_NAME = Meaning.ANSWER, Meaning.NO_DATA, Meaning.NO_NAME
_SPEAKING = (ANSWER, NO_DATA, NO_NAME)
_NEVER_KEPT = (Meaning.ZONE_MATTER, Meaning.OTHER)
_MOST_GISTS = 1024
_kind_ttl_and_size = Struct("!4sIH").unpack_from
_DO = DO >> 8

Verdict: TypeAlias = tuple[Meaning, bool, int, bool]
"""The meaning, whether it may be kept, its TTL in seconds, and whether all its records have that TTL."""

_by_gist: dict[tuple[int, bytes], Verdict] = {}


def judge(request: Request, response: Response) -> Verdict:
    """Judges an answer; the usual ones in a tenth of the time that it takes to look at all."""
    verdict = None
    if response.__class__ is Relayed and response.simple and (head := response.head) is not None and head.answers_only:
        verdict = _judge_simple(request, response, head.answers_only)
    elif response.flags & TC or request.header.opcode:
        pass
    elif response.additionals:
        if response.gist:
            verdict = _judge_by_gist(request, response)
    elif not response.answers:
        if response.__class__ is Response:
            verdict = _judge_by_gist(request, response)
    elif response.rcode:
        pass
    elif response.__class__ is Relayed:
        if not response.authorities:
            verdict = _judge_relayed(request, response)
    elif response.opt is not None:
        pass
    elif response.answers > 1 or response.authorities:
        verdict = _judge_by_gist(request, response) if response.gist else _judge_plain(request, response)
    elif response.answer.startswith(request.asked):
        kind, ttl, _ = _kind_ttl_and_size(response.answer, len(request.asked))
        if kind == request.tail.question:
            return ANSWER, True, ttl, True
    return verdict or _judge_any(request, response)


def _judge_simple(request: Request, response: Relayed, count: int) -> Verdict | None:
    """So many records that belong to the name that was asked and hold no names, and nothing else."""
    wire, question = response.wire, request.tail.question
    place = 18 + len(response.asked)
    kind, least, size = _kind_ttl_and_size(wire, place)
    if kind != question or request.header.opcode or request.asked != response.asked:
        return None
    greatest = least
    while count := count - 1:
        place += 12 + size
        kind, ttl, size = _kind_ttl_and_size(wire, place)
        if kind != question:
            return None
        least, greatest = min(ttl, least), max(ttl, greatest)
    return ANSWER, True, least, least == greatest


def _judge_relayed(request: Request, response: Relayed) -> Verdict | None:
    """An answer section only, of what was asked for, perhaps behind aliases."""
    if (response.opt and response.opt[7] & _DO) or not answers_directly(request, response.wire, response.found):
        return None
    return _judge_direct(response.found)


def _judge_plain(request: Request, response: Response) -> Verdict | None:
    """What was asked for, perhaps behind aliases or with signatures, and something about its zone."""
    found = walk(response.answer, 0, response.answers)
    if not answers_directly(request, response.answer, found):
        return None
    return _judge_direct(found + walk(response.authority, 0, response.authorities) if response.authorities else found)


def _judge_direct(found: list[Found]) -> Verdict:
    """The TTLs of what answers the question."""
    ttl = least = found[0].ttl
    even = True
    for each in found:
        if each.ttl != ttl:
            even = False
            least = min(least, each.ttl)
    return ANSWER, True, least, even


def _judge_by_gist(request: Request, response: Response) -> Verdict | None:
    """The verdict is remembered for all answers with this gist; all denials of a zone have the same authority."""
    if response.opt or request.tail.qtype in types.TRANSFERS:
        return None
    key = response.rcode, response.gist or response.authority
    verdict = _by_gist.get(key)
    if verdict is None:
        if len(_by_gist) >= _MOST_GISTS:
            _by_gist.clear()
        verdict = _by_gist[key] = _judge_any(request, response)
    return verdict


def _judge_any(request: Request, response: Response) -> Verdict:
    """Judges by all records."""
    sections = response.walk()
    has_soa = types.SOA in [each.rtype for each in sections[1][1]]
    meaning = meaning_of(request, response)
    signed = types.TSIG in [each.rtype for each in sections[2][1]]  # for one client only (RFC 8945 §5.3)
    kept = not (signed or response.flags & TC) and meaning not in _NEVER_KEPT
    if meaning is NO_NAME:
        kept = kept and has_soa
    elif meaning is ANSWER and response.answers and not answers_question(request, sections[0]):
        # an alias that leads nowhere is a denial if a SOA says for how long, else nothing to be kept (RFC 2308 §2.2, §5)
        kept = kept and has_soa
        meaning = NO_DATA if has_soa else meaning
    ttls = [each.ttl for _, found in sections for each in found if each.rtype != types.OPT]
    ttl = SHORT
    if ttls and meaning in _SPEAKING:
        ttl = min(ttls)
    return meaning, kept, ttl, ttls.count(ttl) == len(ttls)
