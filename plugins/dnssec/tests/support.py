"""A plugin with keys of its own, answers to be signed, and dnspython to judge them (tests/judges has other people's tools)."""

from collections.abc import Sequence
from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from pycoredns.dnssec.keyfiles import new_key
from pycoredns.dnssec.keys import Key, Times
from pycoredns.plugins.dnssec import Dnssec
from pycoredns.plugins.dnssec.options import KeySource
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record, record

ZONE = "example.org"
ORIGIN = names.from_text(ZONE)
KEY = new_key(ORIGIN, 13, True, Times())
KSK, ZSK = new_key(ORIGIN, 13, True, Times()), new_key(ORIGIN, 13, False, Times())
ADDRESS, TEXT = b"\xc0\0\2\1", b"\4text"
LONGEST = ".".join(["x" * 63] * 3 + ["x" * 49]) + "." + ZONE  # 255 octets with its zone
SOA = record(ORIGIN, types.SOA, 60, b"\2NS" + ORIGIN + b"\4host" + ORIGIN + bytes(16) + b"\0\0\0\x3c")


def plugin(keys: Sequence[Key] = (KEY,), zones: Sequence[str] = (ZONE,), **options: object) -> Dnssec:
    source = KeySource(keys=tuple((Path(key.base), key) for key in keys))
    origins = tuple(names.from_text(zone) for zone in zones)
    return Dnssec(zones=origins, key=(source,), **options)  # type: ignore[arg-type]


def address(name: str, ttl: int = 300, rdata: bytes = ADDRESS) -> Response:
    return Response(answer=record(names.from_text(name), types.A, ttl, rdata), answers=1)


def denied(rcode: int = types.NXDOMAIN) -> Response:
    return Response(rcode, authority=SOA, authorities=1)


def sections(*answer: Record, authority: Sequence[Record] = (), additional: Sequence[Record] = (), rcode: int = 0) -> Response:
    return Response.of(answer, authority, additional, rcode)


def a_record(name: str, rtype: int = types.A, rdata: bytes = ADDRESS, ttl: int = 300) -> Record:
    return Record(names.from_text(name), rtype, types.IN, ttl, rdata)


async def reply(dnssec: Dnssec, behind: Response | Last, name: str, qtype: str = "A", do: bool = True) -> dns.message.Message:
    """What a client with enough room gets."""
    last = behind if isinstance(behind, Last) else Last(behind)
    request = request_for(name, qtype, plugins=[dnssec, last], do=do, protocol="tcp")
    block = request.listener.service.zones[b"\0"][0]
    response = await block.handle(request)
    return dns.message.from_wire(request.wire[:2] + response.reply(request))


async def validated(dnssec: Dnssec, message: dns.message.Message, zone: str = ZONE) -> list[str]:
    """The sets that are signed, as `owner TYPE`; raises ValidationFailure where a signature is wrong."""
    shown = await reply(dnssec, Response(), zone, "DNSKEY")
    origin = dns.name.from_text(zone)
    keys = {origin: shown.get_rrset(shown.answer, origin, 1, dns.rdatatype.DNSKEY)}
    signed = []
    for section in (message.answer, message.authority, message.additional):
        for rrset in section:
            found = message.get_rrset(section, rrset.name, 1, dns.rdatatype.RRSIG, rrset.rdtype)
            if found is not None:
                dns.dnssec.validate(rrset, found, keys)  # type: ignore[arg-type]
                signed.append(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}")
    return signed


def all_of(message: dns.message.Message) -> list[dns.rrset.RRset]:
    return [*message.answer, *message.authority, *message.additional]


def denial_in(message: dns.message.Message) -> dns.rrset.RRset:
    (found,) = [rrset for rrset in all_of(message) if rrset.rdtype == dns.rdatatype.NSEC]
    return found


def bits(rrset: dns.rrset.RRset) -> set[str]:
    return set(rrset[0].to_text().split()[1:]) if rrset.rdtype == dns.rdatatype.NSEC else set(rrset[0].to_text().split()[5:])


SOA_RECORD = Record(ORIGIN, types.SOA, types.IN, 60, SOA[23:])
