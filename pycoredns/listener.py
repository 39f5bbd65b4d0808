"""Where questions come in, and what is known of those who ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pycoredns.errors import ServerFailure

if TYPE_CHECKING:
    from pycoredns.memo import Memo
    from pycoredns.service import Service

STREAM_LIMIT = 65535
"""Octets of the largest message (RFC 1035 §4.2.2)."""


class Listener(ABC):
    """A socket on which questions come; what it says of a client is what that transport knows."""

    protocol: str = "udp"
    """``udp`` or ``tcp``, as CoreDNS names it in logs and metrics."""
    family: str = "1"
    """``1`` where clients have IPv4 addresses, ``2`` for IPv6."""
    limit: int = 0
    """Largest answer in octets; 0: what the client's EDNS says (RFC 6891 §6.2.3)."""
    service: Service
    """What answers the questions that come here."""
    memo: Memo
    """The replies that are remembered for it."""
    connections: Collection[object] = ()
    """Those that are open."""
    comfortable: int = STREAM_LIMIT
    """An answer above this many octets is compressed, so that it may not be fragmented."""

    @abstractmethod
    def client(self, peer: object) -> tuple[str, int]:
        """Address and port of a client, from what the transport calls it."""

    def endpoint(self, peer: object) -> tuple[bytes, bytes]:
        """Address (4 or 16 octets) and port of a client as the wire has them."""
        address, port = self.client(peer)
        return ip_address(address).packed, port.to_bytes(2, "big")

    @abstractmethod
    def local(self, peer: object) -> tuple[str, int]:
        """Address and port the question was sent to, as CoreDNS shows it."""

    @abstractmethod
    def send(self, peer: object, message: bytes) -> None:
        """Sends an answer that comes later than its question's turn."""

    def send_all(self, answers: Sequence[tuple[object, bytes]]) -> None:
        """Sends such answers, each to its peer."""
        for peer, message in answers:
            self.send(peer, message)

    def stream(self, peer: object, messages: Iterator[bytes], ended: Callable[[Exception | None], None]) -> None:
        """Sends an answer of many messages as the client takes them; ``ended`` is told once, with what went wrong if anything."""
        self.forget(peer)
        ended(ServerFailure("an answer of many messages needs a connection"))

    def expect(self, peer: object) -> None:  # noqa: B027  for a datagram's sender there is nothing to do
        """Learns that an answer will come later."""

    def forget(self, peer: object) -> None:  # noqa: B027  likewise
        """Learns that an expected answer will not come."""
