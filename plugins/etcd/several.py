"""Names with several records, as services with several instances have: answers made at once from packed pieces.

That is where all records are usual and an Inquiry, which takes several times as long, would say the same. Who gets no answer here
has to make one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import inf
from operator import itemgetter

from pycoredns.direct import Found, shape_of
from pycoredns.meaning import Meaning
from pycoredns.plugins.etcd.answers import share
from pycoredns.plugins.etcd.keys import labels_of
from pycoredns.plugins.etcd.packed import RECORDS, STARTS, details_of
from pycoredns.plugins.etcd.parted import LAST
from pycoredns.response import Response
from pycoredns.wire import names, types

_SRV = types.SRV.to_bytes(2, "big") + types.IN.to_bytes(2, "big")
_TYPE = 127
"""The bits of a usual record's first octet that are the type."""
_HEAD = 10
"""Octets of a record that stand between its owner and its RDATA: type, class, TTL and size."""
_TTL, _RDATA = slice(4, 8), slice(_HEAD, None)
_HEADS = [slice(start + _HEAD) for start in STARTS]
"""What stands before its RDATA."""
_FEW = 16
_NUMBERS = 6
"""Octets of an SRV record's RDATA before its target."""
_SHORT_NAME = 180
"""With any label before it, RDATA that ends with this name still has a size of one octet, and the name is not too long."""
_octets = [bytes((number,)) for number in range(256)]
_USUAL = frozenset(octet for octet in range(256) if STARTS[octet])
_first, _beginning = itemgetter(0), itemgetter(slice(8))


def usual_records(keys: Iterable[bytes], parts: Sequence[dict[bytes, bytes]]) -> list[bytes] | None:
    """The packed records at these keys, if all are usual; ``parts`` are those of all records."""
    try:
        records = [parts[hash(key) & LAST][key] for key in keys]
    except KeyError:  # too long for a name
        return None
    return records if _USUAL.issuperset(map(_first, records)) else None


def addresses(owner: bytes, qtype: int, records: Iterable[bytes]) -> Found | None:
    """An answer with the addresses of one type, each once; None if there are none."""
    found: dict[bytes, bytes] = {}
    for record in records:
        first = record[0]
        if first & _TYPE == qtype:
            address = record[RECORDS[first]]
            found.setdefault(address[_RDATA], address)
    if not found:
        return None
    ttls = {address[_TTL] for address in found.values()}
    ttl = ttls.pop() if len(ttls) == 1 else b""
    return shape_of(Meaning.ANSWER, answers=len(found)), ttl, inf, owner + owner.join(found.values()), b"", b""


def services(owner: bytes, name: bytes, size: int, keys: Sequence[bytes], records: Sequence[bytes]) -> Response | None:
    """An answer with these records as services. Their keys are that of ``name`` with a slash, ``size`` octets, and what follows.

    None where targets are to be stripped, so that some may be equal, or where the name of one takes a closer look.
    """
    heads = tuple([record[_HEADS[record[0]]] for record in records])
    prepared = (_prepared if len(heads) <= _FEW else _prepare)(heads)
    if prepared is None or len(name) > _SHORT_NAME:
        return None
    gist, beginnings = prepared
    others = len(name) + _NUMBERS
    found: list[bytes] = []
    beside: list[bytes] = []
    for key, record, (rest, beginning, numbers) in zip(keys, records, beginnings, strict=True):
        below = key[size:]
        if len(below) > names.LONGEST_LABEL:
            return None
        # pieces for one join, which take half of what it takes to make each name and each record
        labels = _octets[len(below)] + below if b"/" not in below else labels_of(below)
        found += owner, beginning, _octets[len(labels) + others], numbers, labels, name
        beside += labels, name, record[rest]
    response = Response(0, b"".join(found), len(records), b"", 0, b"".join(beside), len(records))
    response.gist = gist
    return response


def _gist(records: Iterable[bytes]) -> bytes:
    """What is the same in all records, which have no owners: type, class and TTL; nothing if it is not."""
    beginnings = set(map(_beginning, records))
    return beginnings.pop() if len(beginnings) == 1 else b""


def _prepare(heads: Sequence[bytes]) -> tuple[bytes, list[tuple[slice, bytes, bytes]]] | None:
    """Of services that stand together, by what stands before their addresses: the gist, and of each where the address's record
    is; what the SRV record begins with; priority, weight as a share of 100, and port. None if one has labels to strip.
    """
    details = [details_of(head[1:-_HEAD]) for head in heads]
    if any(strip for strip, _, _, _ in details):
        return None
    sums: dict[bytes, int] = defaultdict(int)
    for _, weight, priority, _ in details:
        sums[priority] += weight
    shares = [share(weight, sums[priority]).to_bytes(2, "big") for _, weight, priority, _ in details]
    beginnings = [b"%b%b\0" % (_SRV, head[-6:-2]) for head in heads]
    numbers = [b"%b%b%b" % (priority, each, port) for each, (_, _, priority, port) in zip(shares, details, strict=True)]
    return _gist(beginnings), list(zip([RECORDS[head[0]] for head in heads], beginnings, numbers, strict=True))


_prepared = lru_cache(1024)(_prepare)
"""Services of one kind have the same numbers, whatever they are called: 20,000 instructions for each four of them."""
