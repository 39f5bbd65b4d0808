"""Whether two servers answer alike: a sample of the questions, compared record by record."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype

from .transfer_load import answers_in, past_name, transferred

SERIAL_TOLERANCE = 86400  # a SOA made up by etcd's plugin has the present time for a serial
COMPARED_FLAGS = dns.flags.AA | dns.flags.TC | dns.flags.RA | dns.flags.AD
SHOWN = 3  # records of a zone that differ, at most
WITH_NAMES = {2, 5, 6, 12, 15, 33}  # NS, CNAME, SOA, PTR, MX, SRV: names in their data, which may be compressed
LOOPBACK = "127.0.0.1"

Record = tuple[str, str, str, int]  # owner, type, data, TTL


def differences(
    queries: Sequence[bytes], ports: Sequence[int], transport: str, ttl_tolerance: float, patience: float = 2.0
) -> list[str]:
    """Asks both servers each question; says, a line for each, where the answers differ by more than so many seconds of TTL."""
    found = []
    for query, answers in _all_answers(queries, ports, transport, patience):
        if isinstance(answers, str):
            found.append(f"{_shown(query)}: {answers}")
        else:
            found += [f"{_shown(query)}: {difference}" for difference in compare(*answers, ttl_tolerance)]
    return found


def differing_answers(queries: Sequence[bytes], ports: Sequence[int], transport: str, patience: float = 2.0) -> list[str]:
    """The same with a server of another kind: only rcodes and what is in the answer section, whatever its TTL, must be alike."""
    found = []
    for query, answers in _all_answers(queries, ports, transport, patience):
        if isinstance(answers, str):
            found.append(f"{_shown(query)}: {answers}")
        elif (left := _essence(answers[0])) != (right := _essence(answers[1])):
            found.append(f"{_shown(query)}: {left} and {right}")
    return found


Answered = tuple[bytes, tuple[dns.message.Message, dns.message.Message] | str]


def _all_answers(queries: Sequence[bytes], ports: Sequence[int], transport: str, patience: float) -> list[Answered]:
    """Both servers' answers to each question, or why there are none."""
    found: list[Answered] = []
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:  # one source port for both: whoami tells it
        datagrams.bind((LOOPBACK, 0))
        for query in queries:
            try:
                one, two = (_ask(query, port, transport, datagrams, patience) for port in ports)
            except (dns.exception.DNSException, OSError) as error:
                found.append((query, f"no answer ({type(error).__name__})"))
            else:
                found.append((query, (one, two)))
    return found


def _ask(query: bytes, port: int, transport: str, datagrams: socket.socket, patience: float) -> dns.message.Message:
    message = dns.message.from_wire(query)
    message.id = dns.message.make_query(".", "A").id  # a random one
    if transport == "tcp":
        return dns.query.tcp(message, LOOPBACK, patience, port, one_rr_per_rrset=True)
    return dns.query.udp(message, LOOPBACK, patience, port, one_rr_per_rrset=True, sock=datagrams, ignore_unexpected=True)


def _shown(query: bytes) -> str:
    question = dns.message.from_wire(query).question[0]
    return f"{question.name} {dns.rdatatype.to_text(question.rdtype)}"


def _essence(message: dns.message.Message) -> tuple[str, list[tuple[str, str, str]]]:
    return dns.rcode.to_text(message.rcode()), [record[:3] for record in _records(message, "answer")]


def compare(one: dns.message.Message, two: dns.message.Message, ttl_tolerance: float) -> list[str]:
    """Where two answers differ: rcode, flags, the question's case, EDNS, sections as sets of records."""
    found = []
    if one.rcode() != two.rcode():
        found.append(f"{dns.rcode.to_text(one.rcode())} and {dns.rcode.to_text(two.rcode())}")
    if (one.flags ^ two.flags) & COMPARED_FLAGS:
        found.append(f"flags {dns.flags.to_text(one.flags)} and {dns.flags.to_text(two.flags)}")
    found += [f"{what(one)} and {what(two)}" for what in (_questions, _edns) if what(one) != what(two)]
    for name in ("answer", "authority", "additional"):
        left, right = _records(one, name), _records(two, name)
        if not _alike(left, right, ttl_tolerance):
            found.append(f"{name} {left} and {right}")
    return found


def _questions(message: dns.message.Message) -> str:
    return f"question {[str(each.name) for each in message.question]}"  # in the case that came


def _edns(message: dns.message.Message) -> str:
    if message.edns < 0:
        return "no EDNS"
    options = sorted(each.to_text() for each in message.options)
    return f"EDNS {message.edns} flags {message.ednsflags:04x} size {message.payload} options {options}"


def _records(message: dns.message.Message, section: str) -> list[Record]:
    return sorted(
        (str(rrset.name).lower(), dns.rdatatype.to_text(rrset.rdtype), _data(rdata.to_text(), rrset.rdtype), rrset.ttl)
        for rrset in getattr(message, section)
        for rdata in rrset
    )


def _data(text: str, kind: dns.rdatatype.RdataType) -> str:
    """A record's data as text, without what need not be alike: the time in a serial, and what is chance in a signature."""
    fields = text.split()
    if kind == dns.rdatatype.SOA and abs(int(fields[2]) - time.time()) < SERIAL_TOLERANCE:
        fields[2] = "(time)"
    elif kind == dns.rdatatype.RRSIG:
        fields = [*fields[:4], "(times)", *fields[6:8], "(signature)"]
    return " ".join(fields)


def _alike(left: list[Record], right: list[Record], ttl_tolerance: float) -> bool:
    return len(left) == len(right) and all(
        one[:3] == two[:3] and abs(one[3] - two[3]) <= ttl_tolerance for one, two in zip(left, right, strict=True)
    )


def transfer_differences(query: bytes, ports: Sequence[int]) -> list[str]:
    """Transfers a zone from both servers; says what records only one of them gave."""
    framed = len(query).to_bytes(2, "big") + query
    one, two = ({each for message in transferred(port, framed) for each in wire_records(message)} for port in ports)
    return [
        f"only {name}: {record}"
        for name, own in (("the first", one - two), ("the second", two - one))
        for record in sorted(own)[:SHOWN]
    ]


def wire_records(message: bytes) -> Iterator[tuple[str, int, int, str]]:
    """Owner, type, TTL and data of the answers; quicker than a library's objects, for there are 100,000."""
    place = 12
    for _ in range(int.from_bytes(message[4:6], "big")):
        place = past_name(message, place) + 4
    for _ in range(answers_in(message)):
        owner, place = _name(message, place), past_name(message, place)
        kind, ttl, size = int.from_bytes(message[place : place + 2], "big"), message[place + 4 : place + 8], place + 8
        begin, place = size + 2, size + 2 + int.from_bytes(message[size : size + 2], "big")
        data = message[begin:place].hex()
        if kind in WITH_NAMES:
            data = dns.rdata.from_wire("IN", dns.rdatatype.RdataType(kind), message, begin, place - begin).to_text().lower()
        yield owner, kind, int.from_bytes(ttl, "big"), data


def _name(message: bytes, place: int) -> str:
    """A name, with pointers followed, in lower case; escapes do not matter to a comparison."""
    labels = []
    while size := message[place]:
        if size >= 0xC0:
            place = (size & 0x3F) << 8 | message[place + 1]
        else:
            labels.append(message[place + 1 : place + 1 + size])
            place += 1 + size
    return b".".join(labels).decode("latin-1").lower()
