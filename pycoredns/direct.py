"""Answers found without a Request and a Response, for questions of which nothing but name and type counts.

Making these two, and asking them, takes half of the time of a new question about data in memory (``benchmarks/README.md``). So a
plugin may offer a look-up that does without: what it finds is packed, and only joined to a reply. It finds what ``handle`` would
answer, or nothing: then ``handle`` is asked. A block whose plugins all offer one, or only watch and can do so by kinds, is asked
this way first. Where others have to be asked for the answer, it goes to them and back likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pycoredns.answer import Answer
from pycoredns.frozen import frozen
from pycoredns.meaning import Meaning
from pycoredns.query import AA, Header, Tail
from pycoredns.request import Request
from pycoredns.response import Response, pack_head
from pycoredns.wire.walk import walk, with_ttl

if TYPE_CHECKING:
    from pycoredns.chain import Block
    from pycoredns.late import Late
    from pycoredns.listener import Listener

LONGEST_NAME = 128
"""Octets of a name that is asked for this way: with it and MOST_RECORDS any message fits into 512 octets."""
MOST_RECORDS = 320
"""Octets of all records that are found this way."""


class Shape:
    """What answers have in common that differ in their records only; ``shape_of`` gives the one of each sort."""

    __slots__ = ("additionals", "answers", "authorities", "flags", "meaning", "rcode")

    def __init__(self, meaning: Meaning, rcode: int, answers: int, authorities: int, additionals: int, flags: int) -> None:
        """Takes the header's contents: the numbers of records without OPT, and bits like AA."""
        self.meaning = meaning
        self.rcode = rcode
        self.answers = answers
        self.authorities = authorities
        self.additionals = additionals
        self.flags = flags

    def head(self, header: Header, with_opt: bool) -> bytes:
        """The ten octets behind the ID in the answer to a query with this header (RFC 1035 §4.1.1)."""
        bits = header.reply_bits | self.flags | self.rcode & 15
        head = header.heads[with_opt][self] = pack_head(bits, 1, self.answers, self.authorities, self.additionals + with_opt)
        return head


@cache
def shape_of(
    meaning: Meaning, rcode: int = 0, answers: int = 0, authorities: int = 0, additionals: int = 0, flags: int = AA
) -> Shape:
    """The only shape of this sort. There are few, as the records are."""
    return Shape(meaning, rcode, answers, authorities, additionals, flags)


Found: TypeAlias = tuple[Shape, bytes, float, bytes, bytes, bytes]
"""What was found: the shape; the TTL of all records in four octets, empty if they differ; until when it holds at most, in seconds
of ``time.monotonic``; the records of answer, authority and additional section. If several records answer they are addresses of
one family; at most one is additional."""
ELSEWHERE: Final[tuple[()]] = ()
"""Found in place of an answer: others have to be asked, by the Relay."""
LookUp: TypeAlias = Callable[[bytes, bytes, Tail], Found | tuple[()] | None]
"""Finds the answer for a name as it was asked, the same in lower case, and what stands behind it. It keeps to MOST_RECORDS."""
Query: TypeAlias = "tuple[bytes, Header, bytes, Tail, object, Listener, int]"
"""What a Request is made of: wire, header, the name as it was asked, tail, peer, listener, time of arrival."""
Ask: TypeAlias = "Callable[[Relay, Query, Late], bool]"
"""Sends a query to those who know. False, and nothing done, if it has to go the usual way."""
Keep: TypeAlias = Callable[[bytes, Tail, bytes, Meaning, int, int, int], bytes]
"""Keeps a message about a name as it was asked, and what stands behind it; what it means, where the first record's type stands,
and how many records it has, of this TTL in seconds, but for an OPT record at its end. Returns it as it is to be given."""
Arrange: TypeAlias = Callable[[bytes, int, int], bytes]
"""Gives a message in which addresses that differ in nothing else stand between two places another order of these. Where somebody
wants to, answers of several records that do not end so go the usual way."""
Kind: TypeAlias = tuple[bytes, int, int, int]
"""What is counted of an answer: type with class and DO (``Tail.key``), response code, octets of the request, and of the response
before compression and without OPT."""


@frozen
class Relay:
    """How others are asked who know what is not here, and what the plugins before do with their answers.

    Plain answers go back without a Request and a Response, too; for any other these are made when it has come.
    """

    ask: Ask
    usual: Callable[[Request, Answer], Answer]
    """Does with a request and its answer what the plugins' ``handle`` would have done."""
    authentic: bool = False
    """See Request."""
    keep: Keep | None = None
    arrange: Arrange | None = None


class Direct(NamedTuple):
    """A plugin's way of answering directly, with those behind it."""

    look_up: LookUp
    keeps: bool = False
    """Does it keep what is found, so that the memo of replies is not to remember it?"""
    even: bool = True
    """Is a TTL found, as all records have the same? Where it is not, nobody can keep them."""
    relay: Relay | None = None
    """Who is asked where ELSEWHERE is found."""


def unless(own: Callable[[bytes, Tail], bool], following: Direct | None) -> Direct | None:
    """The way of a plugin that only looks at some questions, by name in lower case and what stands behind it: these go the usual
    way, others to those behind it."""
    if following is None:
        return None
    look_up = following.look_up

    def look_up_others(asked: bytes, name: bytes, tail: Tail) -> Found | tuple[()] | None:
        return None if own(name, tail) else look_up(asked, name, tail)

    return following._replace(look_up=look_up_others)


CountKinds: TypeAlias = "Callable[[Listener, list[Kind], int], None]"


class Way(NamedTuple):
    """How a service asks a block: directly first, if there is a look-up, and what is found is told to these counters."""

    block: Block
    look_up: LookUp | None = None
    keeps: bool = False
    relay: Relay | None = None
    counters: Sequence[CountKinds] = ()


def found_with_ttl(found: Found, asked: bytes, ttl: int) -> Found:
    """The same about a name as it was asked, with another TTL, in seconds, on all records."""
    shape, _, until, answer, authority, additional = found
    octets = ttl.to_bytes(4, "big")
    if shape.answers == 1 and not (authority or additional) and answer.startswith(asked):
        place = len(asked) + 4
        return shape, octets, until, answer[:place] + octets + answer[place + 4 :], authority, additional
    if answer:
        answer = with_ttl(answer, walk(answer, 0, shape.answers), ttl)
    if authority:
        authority = with_ttl(authority, walk(authority, 0, shape.authorities), ttl)
    if additional:
        additional = with_ttl(additional, walk(additional, 0, shape.additionals), ttl)
    return shape, octets, until, answer, authority, additional


def response_of(found: Found) -> Response:
    """The same as an object, for those who look into answers."""
    shape, ttl, until, answer, authority, additional = found
    response = Response(
        shape.rcode, answer, shape.answers, authority, shape.authorities, additional, shape.additionals, shape.flags
    )
    response.until = until
    if ttl and (shape.answers > 1 or shape.additionals):
        response.gist = b"direct" + ttl
    return response
