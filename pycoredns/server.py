"""The running server: its sockets and plugins, their start and stop, and the way from one Corefile to the next."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from time import monotonic

from pycoredns.assemble import Address, Assembly
from pycoredns.chain import Block
from pycoredns.errors import BIND_REMEDIES, StartError
from pycoredns.order import ORDER
from pycoredns.output import logger, show_debug
from pycoredns.plugin import Plugin
from pycoredns.service import Service
from pycoredns.transport import tcp, udp
from pycoredns.transport.addresses import join
from pycoredns.transport.tcp import TCPListener
from pycoredns.transport.udp import UDPListener
from pycoredns.wire.names import to_text

DRAIN_SECONDS = 5.0
"""How long a server that stops waits for answers that are still to come."""
log = logger("pycoredns")


class Server:
    """An assembly with its sockets. ``start`` opens it, if need be in the place of an older one; ``stop`` ends it."""

    def __init__(self, assembly: Assembly) -> None:
        """Opens nothing yet."""
        self.assembly = assembly
        self.services = {
            address: Service(str(address), served, chaos=any(block.settings.chaos for _, block in served))
            for address, served in assembly.addresses.items()
        }
        self._sockets: dict[tuple[str, Address, str], socket.socket] = {}
        self._udp: dict[tuple[str, Address, str], UDPListener] = {}
        self._tcp: dict[tuple[str, Address, str], TCPListener] = {}
        self._stack = AsyncExitStack()

    @property
    def blocks(self) -> list[Block]:
        """Its server blocks."""
        return self.assembly.blocks

    @property
    def waiting(self) -> int:
        """Questions whose answers are still to come."""
        return sum(service.waiting for service in self.services.values())

    def start_lines(self) -> list[str]:
        """What is served where, as CoreDNS prints it."""
        lines = []
        for address, served in self.assembly.addresses.items():
            where = f" on {address.host}" if address.host else ""
            lines += sorted(f"{to_text(zone)}:{address.port}{where}" for zone in {zone for zone, _ in served})
        return lines

    # --- start

    async def start(self, old: Server | None = None) -> None:
        """Opens sockets and plugins, then answers. Whatever fails leaves everything as it was, and ``old`` in its place.

        Raises StartError or OSError with what could not be opened.
        """
        taken: list[tuple[Plugin, Plugin]] = []
        show_debug(self.assembly.settings.debug)
        try:
            self._open(old)
            for plugin in self._in_order():
                predecessor = old.predecessor(plugin) if old else None
                if predecessor is not None:
                    taken.append((plugin, predecessor))
                    plugin.take_over(predecessor)
                await self._stack.enter_async_context(plugin.running())
            await self._listen()
        except BaseException:
            for plugin, predecessor in reversed(taken):
                predecessor.take_over(plugin)
            await self._stack.aclose()
            self._close()
            show_debug(old is not None and old.assembly.settings.debug)
            raise
        if old is not None:
            old.hand_over(self)

    def _in_order(self) -> list[Plugin]:
        """All plugins, those first that may fail to open an address of their own."""
        place = {name: number for number, name in enumerate(ORDER)}
        plugins = [plugin for block in self.blocks for plugin in block.plugins]
        return sorted(plugins, key=lambda plugin: place.get(plugin.name, len(ORDER)))

    def predecessor(self, plugin: Plugin) -> Plugin | None:
        """The plugin of this server that a reloaded one succeeds: of the same name and place, in a block served for the same."""
        same = [each for each in plugin.block.plugins if each.name == plugin.name]
        place = next(number for number, each in enumerate(same) if each is plugin)
        for block in self.blocks:
            if block.zones == plugin.block.zones and _served_at(block) == _served_at(plugin.block):
                found = [each for each in block.plugins if type(each) is type(plugin)]
                return found[place] if place < len(found) else None
        return None

    def _open(self, old: Server | None) -> None:
        """A socket for each address and protocol; those of an older server are shared."""
        addresses = {*self.services, *(old.services if old else ())}
        for address in self.services:
            # one address beside all of them on the same port: only so does the kernel let both be bound
            others = [each for each in addresses if each.port == address.port and each != address]
            reuse = any(not each.host for each in [*others, address]) and bool(others)
            if reuse and old:
                old.share_port(address.port)
            for host in _hosts(address.host):
                for protocol, bind in (("udp", udp.bind), ("tcp", tcp.bind)):
                    key = (protocol, address, host)
                    shared = old._sockets.get(key) if old else None
                    self._sockets[key] = shared.dup() if shared else _bind(bind, protocol, address, host, reuse)

    def share_port(self, port: int) -> None:
        """Lets a successor bind other addresses of a port beside those that are open."""
        for (_, address, _), sock in self._sockets.items():
            if address.port == port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    async def _listen(self) -> None:
        """Takes questions from now on."""
        for (protocol, address, host), sock in self._sockets.items():
            key = (protocol, address, host)
            if protocol == "udp":
                self._udp[key] = UDPListener(self.services[address], sock.dup())
                self._udp[key].start()
            else:
                self._tcp[key] = TCPListener(self.services[address], sock.dup())
                await self._tcp[key].start()

    def hand_over(self, new: Server) -> None:
        """Reads no more questions; connections go to the new server where it has the address."""
        for listener in self._udp.values():
            listener.stop()
        for key, each in self._tcp.items():
            each.stop()
            if key in new._tcp:
                new._tcp[key].adopt(each)

    # --- stop

    async def stop(self, final: bool = True) -> None:
        """Lets plugins say goodbye, waits a while for answers that are still to come, closes everything.

        The fault of a plugin is logged, and stops nothing of that.
        """
        for outcome in await asyncio.gather(*(plugin.drain(final) for plugin in self._in_order()), return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a plugin failed to drain: %r", outcome, exc_info=outcome)
        for listener in self._listeners:
            listener.stop()
        until = monotonic() + DRAIN_SECONDS
        while self.waiting and monotonic() < until:  # noqa: ASYNC110  an event would cost each answer
            await asyncio.sleep(0.01)
        try:
            await self._stack.aclose()
        except Exception as error:  # a background task ends here
            log.error("a plugin failed to stop: %r", error, exc_info=error)
        finally:
            self._close()

    @property
    def _listeners(self) -> list[UDPListener | TCPListener]:
        return [*self._udp.values(), *self._tcp.values()]

    def _close(self) -> None:
        """Closes listeners and sockets."""
        for listener in self._listeners:
            listener.memo.forget()
            listener.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()


def _served_at(block: Block) -> set[str]:
    """The addresses of a block."""
    return {service.address for service in block.services}


def _hosts(host: str) -> Iterable[str]:
    """The addresses to bind: all of both families for none."""
    if host:
        return (host,)
    return ("0.0.0.0", "::") if _has_ipv6() else ("0.0.0.0",)  # noqa: S104  a Corefile without bind asks for it


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::", 0))
    except OSError:
        return False
    return True


def _bind(
    bind: Callable[[str, int, bool], socket.socket], protocol: str, address: Address, host: str, reuse: bool
) -> socket.socket:
    try:
        return bind(host, address.port, reuse)
    except OSError as error:
        where = join(address.host, address.port)
        remedy = BIND_REMEDIES.get(error.errno or 0, "")
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"listen {protocol} {where}: bind: {reason}" + (f"; {remedy}" if remedy else "")) from error
