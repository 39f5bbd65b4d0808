"""Tell clients their own address, port and transport."""

from __future__ import annotations

from typing import ClassVar

from pycoredns.corefile.options import Repetition
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Answer, Response
from pycoredns.wire.names import LONGEST_NAME

__all__ = ["Whoami"]

# type, class and TTL stand before the size of the RDATA; the class is that of the question
_ADDRESS = {4: b"%b\0\1%b\0\0\0\0\0\4%b", 16: b"%b\0\x1c%b\0\0\0\0\0\x10%b"}
_SERVICE = b"%b%b\0\x21%b\0\0\0\0\0\7\0\0\0\0%b\0"
_LABELS = {"udp": b"\4_udp", "tcp": b"\4_tcp"}


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
        additional = _ADDRESS[len(address)] % (name, qclass, address)
        label = _LABELS[request.listener.protocol]
        if len(label) + len(name) > LONGEST_NAME:
            return Response(additional=additional, additionals=1)
        return Response(additional=additional + _SERVICE % (label, name, qclass, port), additionals=2)
