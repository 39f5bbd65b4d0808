"""Names with several records, as services with several instances have: answers made at once from packed pieces.

That is where all records are usual and an Inquiry, which takes several times as long, would say the same. Who gets no answer here
has to make one.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter

from pycoredns.response import Response
from pycoredns.wire import types

from .answers import share
from .keys import name_below
from .packed import STARTS, details_of
from .parted import LAST

_SRV = types.SRV.to_bytes(2, "big") + types.IN.to_bytes(2, "big")
_TYPE = 127
"""The bits of a usual record's first octet that are the type."""
_RDATA = slice(10, None)
"""Where it is in a record without its owner: behind type, class, TTL and size."""
_USUAL = frozenset(octet for octet in range(256) if STARTS[octet])
_first, _beginning = itemgetter(0), itemgetter(slice(8))


def usual_records(keys: Iterable[bytes], parts: Sequence[dict[bytes, bytes]]) -> list[bytes] | None:
    """The packed records at these keys, if all are usual; `parts` are those of all records."""
    try:
        records = [parts[hash(key) & LAST][key] for key in keys]
    except KeyError:  # too long for a name
        return None
    return records if _USUAL.issuperset(map(_first, records)) else None


def addresses(owner: bytes, qtype: int, records: Iterable[bytes]) -> Response | None:
    """An answer with the addresses of one type, each once; None if there are none."""
    found: dict[bytes, bytes] = {}
    for record in records:
        first = record[0]
        if first & _TYPE == qtype:
            address = record[STARTS[first] :]
            found.setdefault(address[_RDATA], address)
    if not found:
        return None
    response = Response(0, owner + owner.join(found.values()), len(found))
    response.gist = _gist(found.values())
    return response


def services(owner: bytes, name: bytes, size: int, keys: Sequence[bytes], records: Sequence[bytes]) -> Response | None:
    """An answer with these records as services. Their keys are that of `name`, which has `size` octets, and what follows.

    None where the name of one of them takes a closer look.
    """
    details = [record[1 : STARTS[record[0]]] for record in records]
    numbers = _numbers(details)
    found: dict[tuple[bytes, bytes], bytes] = {}
    beside: dict[tuple[bytes, bytes], bytes] = {}
    for key, record, detail in zip(keys, records, details, strict=True):
        strip, srv = numbers[detail]
        target = name_below(name, key[size:], strip)
        if target is None:
            return None
        address = record[len(detail) + 1 :]
        found.setdefault((target, srv[4:]), b"%b%b\0%c%b%b" % (_SRV, address[4:8], len(srv) + len(target), srv, target))
        beside.setdefault((target, address[_RDATA]), target + address)
    response = Response(0, owner + owner.join(found.values()), len(found), b"", 0, b"".join(beside.values()), len(beside))
    if len(found) == len(records) == len(beside):
        response.gist = _gist(found.values())
    return response


def _gist(records: Iterable[bytes]) -> bytes:
    """What is the same in all records, which have no owners: type, class and TTL; nothing if it is not."""
    beginnings = set(map(_beginning, records))
    return beginnings.pop() if len(beginnings) == 1 else b""


def _numbers(details: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
    """By the details of services that stand together: labels to strip; priority, weight as a share, and port for SRV records."""
    known = {each: details_of(each) for each in set(details)}
    sums: dict[bytes, int] = defaultdict(int)
    for each in details:
        _, weight, priority, _ = known[each]
        sums[priority] += weight
    return {
        each: (strip, b"%b%b%b" % (priority, share(weight, sums[priority]).to_bytes(2, "big"), port))
        for each, (strip, weight, priority, port) in known.items()
    }
