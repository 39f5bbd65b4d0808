"""Tell clients their own address, port and transport."""

from __future__ import annotations

from typing import ClassVar

from pycoredns.answer import Answer
from pycoredns.corefile.options import Repetition
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire.names import LONGEST_NAME
from pycoredns.wire.types import NOERROR

__all__ = ["Whoami"]

# owner, type, class (that of the question), TTL, size of the RDATA, RDATA: A or AAAA by the size of the address, then SRV
_ADDRESSES = {4: b"%b\0\1%b\0\0\0\0\0\4%b", 16: b"%b\0\x1c%b\0\0\0\0\0\x10%b"}
_SERVICES = {protocol: b"\4_" + protocol.encode() + b"%b\0\x21%b\0\0\0\0\0\7\0\0\0\0%b\0" for protocol in ("udp", "tcp")}
_BOTH = {
    protocol: {size: address + service for size, address in _ADDRESSES.items()} for protocol, service in _SERVICES.items()
}  # one formatting, not two
_LONGEST = LONGEST_NAME - len(b"\4_udp")


class Whoami(Plugin):
    """Tell clients their own address, port and transport, in the additional section."""

    repeated: ClassVar[Repetition] = "first"

    def answers_all(self, zone: bytes) -> bool:
        """It never passes a question on."""
        return True

    def handle(self, request: Request) -> Answer:
        """An A or AAAA record, and an SRV record at ``_udp`` or ``_tcp`` below the name unless that becomes too long."""
        address, port = request.endpoint
        name, qclass = request.asked, request.tail.question[2:]
        if len(name) > _LONGEST:
            return Response(additional=_ADDRESSES[len(address)] % (name, qclass, address), additionals=1)
        additional = _BOTH[request.listener.protocol][len(address)] % (name, qclass, address, name, qclass, port)
        return Response(NOERROR, b"", 0, b"", 0, additional, 2)
