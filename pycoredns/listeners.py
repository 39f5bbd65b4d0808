"""The listeners of a set of sockets, which begin and end together."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import TypeAlias

from pycoredns.assemble import Address
from pycoredns.service import Service
from pycoredns.sockets import Key, Sockets
from pycoredns.transport.descriptor import HandOver
from pycoredns.transport.tcp import TCPListener
from pycoredns.transport.udp import UDPListener

Steering: TypeAlias = Callable[[Key], HandOver | None]
"""Gives what hands over the connections that come to a socket, if they may belong to others."""


def to_nobody(key: Key) -> None:
    """All connections stay."""


class Listeners:
    """What takes the questions that come to some sockets; the services answer them."""

    def __init__(self, services: Mapping[Address, Service], steering: Steering = to_nobody) -> None:
        """Nothing is taken before ``start``. ``steering`` says who hands new connections over."""
        self._services = services
        self._steering = steering
        self.udp: dict[Key, UDPListener] = {}
        self.tcp: dict[Key, TCPListener] = {}

    def __iter__(self) -> Iterator[UDPListener | TCPListener]:
        """All of them."""
        yield from self.udp.values()
        yield from self.tcp.values()

    async def start(self, sockets: Sockets) -> None:
        """Takes questions from copies of these sockets from now on."""
        for key, (sock, *_) in sockets.bound.items():
            service = self._services[key.address]
            if key.protocol == "udp":
                self.udp[key] = UDPListener(service, sock.dup())
                self.udp[key].start()
            else:
                self.tcp[key] = TCPListener(service, sock.dup(), self._steering(key))
                await self.tcp[key].start()

    def finish(self, but: Container[Key] = ()) -> None:
        """Answers what waits in the kernel's queues, ``but`` these; a stream's questions wait in its connection."""
        for key, listener in self.udp.items():
            if key not in but:
                listener.finish()

    def stop(self) -> None:
        """Takes no more; answers that are still to come are sent, connections stay open."""
        for listener in self:
            listener.stop()

    def adopt(self, others: Listeners) -> None:
        """Takes over the connections of those that were for the same.

        Of those to all addresses, one that came to an address which has got a listener of its own belongs to that from now on.
        """
        for key, listener in others.tcp.items():
            if key in self.tcp:
                nearer = {each.address.host: other for each, other in self.tcp.items() if _is_nearer(each.address, key.address)}
                self.tcp[key].adopt(listener, nearer)

    async def forget(self) -> None:
        """Has counted what was given from memory, and forgets it, while others go on."""
        for listener in self:
            await listener.memo.forget_in_turns()

    def close(self) -> None:
        """Closes all that is open; their service does not know them any more."""
        for listener in self:
            listener.memo.forget()
            listener.close()
            listener.service.leave(listener)
        self.udp.clear()
        self.tcp.clear()


def _is_nearer(address: Address, other: Address) -> bool:
    """Is it one of the addresses of another, which stands for all of them?"""
    return not other.host and bool(address.host) and address.port == other.port
