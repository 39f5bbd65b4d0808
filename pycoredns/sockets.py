"""The bound sockets of a server. Where several workers share an address, each has one of its own (SO_REUSEPORT)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple, Self

from pycoredns import ports
from pycoredns.assemble import Address
from pycoredns.errors import BIND_REMEDIES, StartError
from pycoredns.peers import here
from pycoredns.transport import tcp, udp
from pycoredns.transport.addresses import join
from pycoredns.transport.steering import factor, steer

_PROTOCOLS = ("udp", "tcp")
_ALL = ("", "0.0.0.0", "::")  # noqa: S104  no socket is bound here


class Key(NamedTuple):
    """What a socket is for; ``host`` is the one that is bound, of both families where the address stands for all."""

    protocol: str
    address: Address
    host: str


class Sockets:
    """Sockets by what they are for, as many of each as there are workers."""

    def __init__(self, bound: dict[Key, list[socket.socket]] | None = None) -> None:
        """Takes over sockets that are bound already."""
        self.bound = bound or {}

    @classmethod
    def open(cls, addresses: Collection[Address], old: Sockets | None = None, copies: int = 1) -> Self:
        """Binds what ``old`` has not, and shares the rest with it. Raises StartError, and then nothing new is open."""
        sockets, before = cls(), old or cls()
        exchange = ports.begin()
        try:
            for key in _keys(addresses):
                beside = _stands_beside(key.address, {*addresses, *(each.address for each in before.bound)})
                if beside:
                    before.share_port(key.address.port)
                shared = [each.dup() for each in before.bound.get(key, ())]
                sockets.bound[key] = shared or _bind_all(key, copies, beside)
        except BaseException:
            sockets.close()
            raise
        exchange.kept = {key.address.port for key in sockets.bound}
        exchange.left = [
            each for key, several in before.beyond(sockets).bound.items() if key.protocol == "tcp" for each in several
        ]
        return sockets

    def share_port(self, port: int) -> None:
        """Lets a successor bind other addresses of a port beside those that are open."""
        for key, several in self.bound.items():
            if key.address.port == port:
                for each in several:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def of_worker(self, number: int) -> Sockets:
        """Those of one worker; they are no copies."""
        return Sockets({key: [several[number]] for key, several in self.bound.items()})

    def beyond(self, old: Sockets) -> Sockets:
        """Those that ``old`` has not; they are no copies."""
        return Sockets({key: several for key, several in self.bound.items() if key not in old.bound})

    def leave(self) -> None:
        """Has nothing more come in at them, or at their copies; answers still leave from there.

        What comes to their addresses is for whoever else has these, or all addresses: the kernel would choose the nearest.
        """
        for key, several in self.bound.items():
            for each in several:
                if key.protocol == "udp":
                    _connect_to_itself(each)
                elif each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes them; whoever has a copy goes on."""
        for several in self.bound.values():
            for each in several:
                each.close()
        self.bound.clear()


def _connect_to_itself(sock: socket.socket) -> None:
    """Lets it take nothing but its own datagrams; where it is bound to all addresses any other is preferred to it anyway."""
    here, *_ = where = sock.getsockname()
    if here not in _ALL:
        sock.connect(where)


def _keys(addresses: Iterable[Address]) -> Iterator[Key]:
    for address in addresses:
        for host in _hosts(address.host):
            yield from (Key(protocol, address, host) for protocol in _PROTOCOLS)


def _stands_beside(address: Address, addresses: Collection[Address]) -> bool:
    """Is one address served beside all of them on the same port? Only SO_REUSEPORT makes the kernel let both be bound."""
    others = [each for each in addresses if each.port == address.port and each != address]
    return bool(others) and any(each.host in _ALL for each in [*others, address])


def _bind_all(key: Key, copies: int, beside: bool) -> list[socket.socket]:
    """One socket, or a group among which the kernel divides the questions."""
    if copies > 1 and not beside:
        _bind(key, False).close()  # fails if another server has the port, which sockets that share it would not
    bound: list[socket.socket] = []
    try:
        bound.extend(_bind(key, beside or copies > 1) for _ in range(copies))
    except BaseException:
        for each in bound:
            each.close()
        raise
    if copies > 1 and key.protocol == "udp":
        steer(bound[0], copies, factor(here().secret))
    return bound


def _hosts(host: str) -> Iterable[str]:
    """The addresses to bind: all of both families for none, and for all of one, as Go does."""
    if host not in _ALL:
        return (host,)
    return ("0.0.0.0", "::") if _has_ipv6() else ("0.0.0.0",)  # noqa: S104  a Corefile without bind asks for it


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


def _bind(key: Key, reuse: bool) -> socket.socket:
    try:
        return (
            udp.bind(key.host, key.address.port, reuse) if key.protocol == "udp" else _bind_tcp(key.host, key.address.port, reuse)
        )
    except OSError as error:
        where = join(key.address.host, key.address.port)
        remedy = BIND_REMEDIES.get(error.errno or 0, "")
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"listen {key.protocol} {where}: bind: {reason}" + (f"; {remedy}" if remedy else "")) from error


def _bind_tcp(host: str, port: int, reuse: bool) -> socket.socket:
    """One that does not listen yet where the server that is replaced speaks HTTP."""
    if port not in ports.exchange.from_http:
        try:
            return tcp.bind(host, port, reuse)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not ports.exchange.take_from_http(port):
                raise
    return tcp.bind(host, port, True, listens=False)
