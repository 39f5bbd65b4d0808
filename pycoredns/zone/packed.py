"""The records of one type at one name, as one run of octets from which answers are cut without looking at the records.

Layout: type and class as a question has them (4 octets), traits (1), number of records (3), number of signatures (2), where the
signatures begin (4); then the records and behind them the signatures that cover them, uncompressed, the first without its owner.
A name's sets are a tuple of these, or the one that it has; a name without any (an empty non-terminal) has an empty tuple.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct
from typing import TypeAlias

from pycoredns.wire import types

Node: TypeAlias = bytes | tuple[bytes, ...]
"""All record sets of a name."""

HEADER = Struct("!4sB3sHI")
START = HEADER.size
"""Where the records begin."""
SEVERAL, SIGNED, TARGETS, SHADOWED, SERVERS = 1, 2, 4, 8, 16
"""Traits: not one record alone; there are signatures; addresses of targets go along; a CNAME stands beside; name servers.

Sets with none but the first two are answered as they are.
"""
ALONE = frozenset(bytes((traits,)) for traits in range(0, 32, 2))
"""The traits of sets of one record without signatures: what such a node has at 4:5, and a tuple has not."""
WITH_TARGETS = {types.MX: 2, types.SRV: 6, types.SVCB: 2, types.HTTPS: 2}
"""Where in the RDATA of a type its target begins."""
MOST_RECORDS = 4096
"""Records of one section of an answer, 16 octets each at least: more do not fit into any message."""
MOST_OCTETS = 512 * MOST_RECORDS
"""Octets of them before compression, which leaves no more than 16 of two names as long as may be."""
LARGEST = 0xFFFF
"""Octets of a set that goes into an answer as it is; of a larger one, what may fit."""
_FIXED = 10


def question(rtype: int) -> bytes:
    """Type and class as they stand in a question and at the beginning of a packed set."""
    return rtype.to_bytes(2, "big") + b"\0\1"


A, AAAA, NS, CNAME, SOA, DS, DNAME = map(question, (types.A, types.AAAA, types.NS, types.CNAME, types.SOA, types.DS, types.DNAME))
NSEC, NSEC3, NSEC3PARAM, RRSIG = map(question, (types.NSEC, types.NSEC3, types.NSEC3PARAM, types.RRSIG))


def pack(name: bytes, asked: bytes, bodies: list[bytes], signatures: list[bytes], shadowed: bool = False) -> bytes:
    """Packs a set; bodies are records behind their owner name."""
    records = name.join(bodies)
    traits = SEVERAL * (len(bodies) != 1 or bool(signatures)) | SIGNED * bool(signatures) | SHADOWED * shadowed
    traits |= TARGETS * (int.from_bytes(asked[:2], "big") in WITH_TARGETS) | SERVERS * (asked == NS)
    header = HEADER.pack(asked, traits, len(bodies).to_bytes(3, "big"), len(signatures), START + len(records))
    return b"%b%b%b" % (header, records, name.join([b"", *signatures] if bodies else signatures))


def pack_one(body: bytes) -> bytes:
    """Packs the only record of a name, which is no signature."""
    asked = body[:4]
    header = _single.get((asked, len(body)))
    if header is None:
        traits = TARGETS * (int.from_bytes(asked[:2], "big") in WITH_TARGETS) | SERVERS * (asked == NS)
        if len(_single) >= _MOST_HEADERS:
            _single.clear()
        header = _single[asked, len(body)] = HEADER.pack(asked, traits, b"\0\0\1", 0, START + len(body))
    return header + body


_single: dict[tuple[bytes, int], bytes] = {}
"""The headers of single records, by type and length."""
_MOST_HEADERS = 4096


def pack_node(name: bytes, bodies: Iterable[bytes]) -> Node:
    """Packs all records of a name, given behind their owner; signatures go to what they cover."""
    sets: dict[bytes, tuple[list[bytes], list[bytes]]] = {}
    for body in bodies:
        if body[:4] == RRSIG:
            sets.setdefault(body[_FIXED : _FIXED + 2] + b"\0\1", ([], []))[1].append(body)
        else:
            sets.setdefault(body[:4], ([], []))[0].append(body)
    alias = CNAME in sets and bool(sets[CNAME][0])
    node = tuple(pack(name, asked, *parts, alias and asked != CNAME) for asked, parts in sets.items())
    return node[0] if len(node) == 1 else node


def sets_of(node: Node) -> tuple[bytes, ...]:
    """The packed sets of a name."""
    return (node,) if isinstance(node, bytes) else node


def find(node: Node, asked: bytes) -> bytes | None:
    """The set of a type; None where there is none, or nothing but signatures."""
    for each in sets_of(node):
        if each.startswith(asked):
            return each if count(each) else None
    return None


def count(packed: bytes) -> int:
    """How many records, without signatures."""
    return packed[5] << 16 | packed[6] << 8 | packed[7]


def counted(packed: bytes, do: bool) -> int:
    """How many records, with signatures if they are wanted."""
    return (packed[5] << 16 | packed[6] << 8 | packed[7]) + (packed[8] << 8 | packed[9] if do else 0)


def records(packed: bytes, name: bytes, do: bool) -> bytes:
    """The records as they stand in an answer; ``name`` must be the one they were packed for."""
    if do or not packed[4] & SIGNED:
        return name + packed[START:]
    end = int.from_bytes(packed[10:START], "big")
    return name + packed[START:end] if end > START else b""


def bodies(packed: bytes, name: bytes, do: bool = False) -> Iterator[bytes]:
    """Each record behind its owner name, then each signature if they are wanted."""
    return _each(packed, START, counted(packed, do), len(name))


def signatures(packed: bytes, name: bytes) -> Iterator[bytes]:
    """Each signature behind its owner name."""
    end = int.from_bytes(packed[10:START], "big")
    return _each(packed, end + len(name) if end > START else end, packed[8] << 8 | packed[9], len(name))


def _each(packed: bytes, place: int, number: int, owner: int) -> Iterator[bytes]:
    """So many records from a place on, without their owner, which has so many octets."""
    for _ in range(number):
        end = place + _FIXED + (packed[place + 8] << 8 | packed[place + 9])
        yield packed[place:end]
        place = end + owner


def fitting(packed: bytes, name: bytes, do: bool) -> list[bytes]:
    """The records behind their owner name, then the signatures: no more than may fit into a message."""
    found, size = [], 0
    for body in islice(bodies(packed, name, do), MOST_RECORDS):
        size += len(name) + len(body)
        if size > MOST_OCTETS:
            break
        found.append(body)
    return found


def rdatas(packed: bytes, name: bytes) -> Iterator[bytes]:
    """The RDATA of each record."""
    return (body[_FIXED:] for body in bodies(packed, name))
