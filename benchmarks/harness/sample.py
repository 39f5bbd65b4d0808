"""Whether two servers answer alike: a sample of the questions, compared record by record."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

TIMEOUT = 2.0  # seconds for one answer
SERIAL_TOLERANCE = 86400  # a SOA made up by etcd's plugin has the present time for a serial
COMPARED_FLAGS = dns.flags.AA | dns.flags.TC | dns.flags.RA | dns.flags.AD

Record = tuple[str, str, str, int]  # owner, type, data, TTL


def question(line: str) -> dns.message.Message:
    """The query of one line `name TYPE`."""
    name, kind = line.split()
    return dns.message.make_query(name, kind, use_edns=False)


def differences(lines: Sequence[str], ports: Sequence[int], protocol: str, ttl_tolerance: float) -> list[str]:
    """Asks both servers each question; says, a line for each, where the answers differ by more than so many seconds of TTL."""
    found = []
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:  # one source port for both: whoami tells it
        datagrams.bind(("127.0.0.1", 0))
        for line in lines:
            try:
                one, two = (_ask(line, port, protocol, datagrams) for port in ports)
            except (dns.exception.DNSException, OSError) as error:
                found.append(f"{line}: no answer ({type(error).__name__})")
                continue
            found += [f"{line}: {difference}" for difference in compare(one, two, ttl_tolerance)]
    return found


def _ask(line: str, port: int, protocol: str, datagrams: socket.socket) -> dns.message.Message:
    query, host = question(line), "127.0.0.1"
    if protocol == "tcp":
        return dns.query.tcp(query, host, TIMEOUT, port, one_rr_per_rrset=True)
    return dns.query.udp(query, host, TIMEOUT, port, one_rr_per_rrset=True, sock=datagrams, ignore_unexpected=True)


def compare(one: dns.message.Message, two: dns.message.Message, ttl_tolerance: float) -> list[str]:
    """Where two answers differ: rcode, flags, sections as sets of records."""
    found = []
    if one.rcode() != two.rcode():
        found.append(f"{dns.rcode.to_text(one.rcode())} and {dns.rcode.to_text(two.rcode())}")
    if (one.flags ^ two.flags) & COMPARED_FLAGS:
        found.append(f"flags {dns.flags.to_text(one.flags)} and {dns.flags.to_text(two.flags)}")
    for name in ("answer", "authority", "additional"):
        left, right = _records(one, name), _records(two, name)
        if not _alike(left, right, ttl_tolerance):
            found.append(f"{name} {left} and {right}")
    return found


def _records(message: dns.message.Message, section: str) -> list[Record]:
    return sorted(
        (str(rrset.name).lower(), dns.rdatatype.to_text(rrset.rdtype), _data(rdata.to_text(), rrset.rdtype), rrset.ttl)
        for rrset in getattr(message, section)
        for rdata in rrset
    )


def _data(text: str, kind: dns.rdatatype.RdataType) -> str:
    if kind != dns.rdatatype.SOA:
        return text
    fields = text.split()
    if abs(int(fields[2]) - time.time()) < SERIAL_TOLERANCE:
        fields[2] = "(time)"
    return " ".join(fields)


def _alike(left: list[Record], right: list[Record], ttl_tolerance: float) -> bool:
    return len(left) == len(right) and all(
        one[:3] == two[:3] and abs(one[3] - two[3]) <= ttl_tolerance for one, two in zip(left, right, strict=True)
    )
