"""`pycoredns query`: asks a name server one question and shows the answer, where dig is not at hand."""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time

from dnslib import EDNS0, QTYPE, DNSError, DNSQuestion, DNSRecord

from pycoredns.commands.arguments import port, telling

USAGE = "pycoredns query NAME [TYPE] [@ADDRESS] [-p PORT] [--tcp]"
PORT = 53
TIMEOUT = 3.0  # seconds for one try
TRIES = 2
BUFFER_SIZE = 1232  # what fits every path unfragmented (https://www.dnsflagday.net/2020/)
HIGHEST_TYPE = 65535
NO_ANSWER = 9  # dig's exit status for it


class BadQuery(Exception):
    """What was asked for cannot be sent; the text says why."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command; its words are read in `run`, for argparse lets no sub-command mix options and words as dig does."""
    parser = subparsers.add_parser("query", help="ask a name server one question, as dig does", prefix_chars="\0", add_help=False)
    parser.add_argument("words", nargs="*")
    parser.set_defaults(run=run)


def own_parser() -> argparse.ArgumentParser:
    """The words of the command."""
    parser = argparse.ArgumentParser(usage=USAGE, description="Ask a name server one question and show its answer.")
    parser.add_argument("words", nargs="+", metavar="WORD", help="NAME, TYPE (A if not said), @ADDRESS (127.0.0.1 if not said)")
    parser.add_argument("-p", "--port", type=telling(port), default=PORT, help="port of the server (default: %(default)s)")
    parser.add_argument("--tcp", action="store_true", help="ask over TCP at once, not only where the answer is truncated")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Prints the answer as dig would. 0: there is one, whatever it says; 2: nothing to ask; 9: no answer."""
    options = own_parser().parse_intermixed_args(arguments.words)
    try:
        name, kind, address = understood(options.words)
        asked = question(name, kind)
    except BadQuery as error:
        print(error, file=sys.stderr)
        return 2
    return show(asked, address, options.port, options.tcp)


def show(asked: DNSRecord, address: str, port: int, tcp: bool) -> int:
    """Asks, and prints what comes."""
    place = f"{address}#{port}"
    began = time.perf_counter()
    try:
        reply = ask(asked, address, port, tcp)
    except (OSError, UnicodeError, DNSError) as error:  # UnicodeError: the codec refuses empty labels, for example
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        print(f"no answer from {place}: {reason}", file=sys.stderr)
        return NO_ANSWER
    took = (time.perf_counter() - began) * 1000
    print(f"{reply}\n;; {len(reply.pack())} bytes from {place} in {took:.1f} ms")
    return 0


def understood(words: list[str]) -> tuple[str, str, str]:
    """Name, type and address from words in dig's order or any other."""
    addresses = [word[1:] for word in words if word.startswith("@")]
    names = [word for word in words if not word.startswith("@")]
    if not 1 <= len(names) <= 2 or len(addresses) > 1:
        raise BadQuery(f"usage: {USAGE}")
    return names[0], names[1].upper() if len(names) == 2 else "A", addresses[0] if addresses else "127.0.0.1"


def question(name: str, kind: str) -> DNSRecord:
    """A recursive query with EDNS (RFC 6891)."""
    try:
        qtype = getattr(QTYPE, kind)
        if qtype > HIGHEST_TYPE:
            raise DNSError
    except DNSError:
        raise BadQuery(f'unknown type "{kind}"; types are A, AAAA, SRV, TXT … or TYPE and a number') from None
    try:
        query = DNSRecord(q=DNSQuestion(name, qtype))
        query.add_ar(EDNS0(udp_len=BUFFER_SIZE))
        query.pack()
    except (DNSError, ValueError) as error:
        raise BadQuery(f'"{name}" is no domain name: {error}') from None
    return query


def ask(query: DNSRecord, address: str, port: int, tcp: bool = False) -> DNSRecord:
    """The server's answer; a truncated one is asked for again over TCP. Raises OSError or DNSError where there is none."""
    if not tcp:
        reply = DNSRecord.parse(over_udp(query, address, port))
        if not reply.header.tc:
            return reply
    return DNSRecord.parse(over_tcp(query, address, port))


def over_udp(query: DNSRecord, address: str, port: int) -> bytes:
    """Two tries; what does not carry the query's ID is not the answer."""
    family, kind, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    wire: bytes = query.pack()
    with socket.socket(family, kind) as sock:
        sock.connect(place)
        for _ in range(TRIES):
            sock.send(wire)
            reply = _matching(sock, wire[:2], time.monotonic() + TIMEOUT)
            if reply:
                return reply
    raise TimeoutError("timed out")


def _matching(sock: socket.socket, identifier: bytes, end: float) -> bytes | None:
    """The next datagram with this ID, None if none comes in time."""
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            reply = sock.recv(65535)
        except TimeoutError:
            return None
        if reply[:2] == identifier:
            return reply
    return None


def over_tcp(query: DNSRecord, address: str, port: int) -> bytes:
    """One try, over a connection of its own (RFC 7766)."""
    wire: bytes = query.pack()
    with socket.create_connection((address, port), TIMEOUT) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        size = int.from_bytes(stream.read(2), "big")
        reply = stream.read(size)
    if not size or len(reply) < size:
        raise ConnectionError("the connection was closed before the answer was complete")
    return reply
