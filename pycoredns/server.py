"""The running server: its sockets and plugins, their start and stop, and the way from one Corefile to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cached_property
from time import monotonic

from pycoredns import ports
from pycoredns.assemble import Assembly
from pycoredns.chain import Block
from pycoredns.listeners import Listeners, Steering, to_nobody
from pycoredns.order import ORDER
from pycoredns.output import logger, show_debug
from pycoredns.peers import here
from pycoredns.plugin import Plugin, overrides
from pycoredns.service import Service
from pycoredns.sockets import Sockets
from pycoredns.wire.names import to_text

DRAIN_SECONDS = 5.0
"""How long a server that stops waits for answers that are still to come."""
_AT_ONCE = 50
"""Plugins that begin or end together; questions have their turn before the next: of thousands of blocks all take a second."""
log = logger("pycoredns")


def _doubts(zone: str) -> list[str]:
    """What is unusual about a zone's name: hosts' names have letters, digits and hyphens only (RFC 1035 §2.3.1)."""
    if zone == "." or zone.endswith((".in-addr.arpa.", ".ip6.arpa.")) or all(map(_usual, zone[:-1].split("."))):
        return []
    shown = zone.replace("\\", "\\\\").replace('"', '\\"')
    return [f'Warning: Domain "{shown}" does not follow RFC1035 preferred syntax']


def _usual(label: str) -> bool:
    return label.isascii() and label.replace("-", "").isalnum() and label[0].isalpha() and label[-1] != "-"


class Server:
    """An assembly with its sockets. ``start`` opens it, if need be in the place of an older one; ``stop`` ends it."""

    def __init__(self, assembly: Assembly, sockets: Sockets | None = None, steering: Steering = to_nobody) -> None:
        """Opens nothing yet; ``sockets`` are those that have been bound for it, if any, ``steering`` is for their connections."""
        self.assembly = assembly
        self.services = {
            address: Service(str(address), served, chaos=any(block.settings.chaos for _, block in served))
            for address, served in assembly.addresses.items()
        }
        self.sockets = sockets or Sockets()
        self._steering = steering
        self.listeners = Listeners(self.services, steering)
        self._helping: dict[int, Listeners] = {}
        """At the sockets of workers that are gone, by their numbers."""
        self._leaving: set[Listeners] = set()
        """Those that only wait for answers that are still to come."""
        self._stack = AsyncExitStack()

    @property
    def blocks(self) -> list[Block]:
        """Its server blocks."""
        return self.assembly.blocks

    @property
    def waiting(self) -> int:
        """Questions whose answers are still to come."""
        return sum(service.waiting for service in self.services.values())

    def successor(self, assembly: Assembly) -> Server:
        """A server of the same kind, for a reloaded Corefile."""
        return Server(assembly)

    def start_lines(self) -> list[str]:
        """What is served where, as CoreDNS prints it."""
        lines = []
        for address, served in self.assembly.addresses.items():
            where = f":{address.port}" + (f" on {address.host}" if address.host else "")
            for zone in sorted({to_text(zone) for zone, _ in served}):
                lines += [*_doubts(zone), zone + where]
        return lines

    # --- start

    async def start(self, old: Server | None = None) -> None:
        """Opens sockets and plugins, then answers. Whatever fails leaves everything as it was, and ``old`` in its place.

        Raises StartError or OSError with what could not be opened.
        """
        try:
            await self.prepare(old)
            await self.commit(old)
        except BaseException:
            await self.give_up(old)
            raise

    async def prepare(self, old: Server | None = None) -> None:
        """Opens sockets and plugins, but answers nothing yet: ``old`` goes on until ``commit``, or after ``give_up``."""
        show_debug(self.assembly.settings.debug)
        self._begin_generation(old)
        if not self.sockets.bound:
            self.sockets = Sockets.open(self.services, old.sockets if old else None)
        await self._run_plugins(old)

    def _begin_generation(self, old: Server | None) -> None:
        """From now on it is this server that opens addresses."""
        if old is not None:
            here().generation += 1

    async def _run_plugins(self, old: Server | None) -> None:
        """Starts the plugins, each with what is warm from its predecessor."""
        for number, plugin in enumerate(self._in_order(), 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
                self._stack.push_async_callback(asyncio.sleep, 0)  # where they end, likewise
            predecessor = old.predecessor(plugin) if old else None
            if predecessor is not None:
                plugin.take_over(predecessor)
            await self._stack.enter_async_context(plugin.running())

    async def commit(self, old: Server | None = None) -> None:
        """Answers from now on, in the place of ``old``."""
        await self.listeners.start(self.sockets)
        if old is not None:
            old.sockets.beyond(self.sockets).leave()
            old.hand_over(self)
        await ports.exchange.complete()

    async def announced(self) -> None:
        """Called when ``start_lines`` have been said, which are to stand before the lines of answers."""

    async def give_up(self, old: Server | None = None) -> None:
        """Undoes what has been prepared; ``old`` goes on as if nothing had been."""
        ports.begin()
        await self._end_plugins()
        show_debug(old is not None and old.assembly.settings.debug)

    def _in_order(self) -> list[Plugin]:
        """The plugins that run in this process, those first that may fail to open an address of their own."""
        place = {name: number for number, name in enumerate(ORDER)}
        plugins = [plugin for block in self.blocks for plugin in block.plugins if here().role in plugin.roles]
        return sorted(plugins, key=lambda plugin: place.get(plugin.name, len(ORDER)))

    def predecessor(self, plugin: Plugin) -> Plugin | None:
        """The plugin of this server that a reloaded one succeeds: of the same name and place, in a block served for the same."""
        same = [each for each in plugin.block.plugins if each.name == plugin.name]
        place = next(number for number, each in enumerate(same) if each is plugin)
        block = self._by_place.get(_place_of(plugin.block))
        found = [each for each in block.plugins if type(each) is type(plugin)] if block else []
        return found[place] if place < len(found) else None

    @cached_property
    def _by_place(self) -> dict[tuple[tuple[bytes, ...], frozenset[str]], Block]:
        """The blocks by what they are served for: to look through thousands for each plugin would take seconds."""
        return {_place_of(block): block for block in reversed(self.blocks)}

    # --- in the place of another worker

    async def help_out(self, number: int, sockets: Sockets) -> None:
        """Takes the questions to the sockets of another worker, which has this number, until ``help_no_more``."""
        if number in self._helping:
            return
        listeners = self._helping[number] = Listeners(self.services, self._steering)
        try:
            await listeners.start(sockets)
        except BaseException:
            self._helping.pop(number, None)
            listeners.close()
            raise

    def help_no_more(self, number: int) -> None:
        """Leaves those questions to the other again; answers that are still to come are sent, connections stay open."""
        listeners = self._helping.pop(number, None)
        if listeners is not None:
            listeners.stop()
            self.listeners.adopt(listeners)
            self._leaving.add(listeners)
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._let_go, listeners)

    def _let_go(self, listeners: Listeners) -> None:
        self._leaving.discard(listeners)
        listeners.close()

    def hand_over(self, new: Server) -> None:
        """Reads no more questions; those that wait, and connections, are the new server's where it has the address."""
        for listeners in (self.listeners, *self._helping.values()):
            listeners.finish(new.listeners.udp)
            listeners.stop()
            new.listeners.adopt(listeners)

    # --- stop

    async def stop(self, final: bool = True) -> None:
        """Lets plugins say goodbye, waits a while for answers that are still to come, closes everything.

        The fault of a plugin is logged, and stops nothing of that.
        """
        draining = [plugin.drain(final) for plugin in self._in_order() if overrides(plugin, "drain")]
        for outcome in await asyncio.gather(*draining, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a plugin failed to drain: %r", outcome, exc_info=outcome)
        await self._finish(final)
        for listeners in self._all_listeners():
            await listeners.forget()  # those who count what they gave are still there
        await self._end_plugins()

    async def _end_plugins(self) -> None:
        """Closes what they own, and then everything else; the fault of one stops nothing of that."""
        try:
            await self._stack.aclose()
        except Exception as error:  # a background task ends here
            log.error("a plugin failed to stop: %r", error, exc_info=error)
        finally:
            self._close()

    async def _finish(self, final: bool) -> None:
        """Takes no more questions, and waits for answers that are still to come."""
        for listeners in (self.listeners, *self._helping.values()):
            if final:
                listeners.finish()
            listeners.stop()
        until = monotonic() + DRAIN_SECONDS
        while self.waiting and monotonic() < until:  # noqa: ASYNC110  an event would cost each answer
            await asyncio.sleep(0.01)

    def _all_listeners(self) -> Iterator[Listeners]:
        yield from (self.listeners, *self._helping.values(), *self._leaving)

    def _close(self) -> None:
        """Closes listeners and sockets."""
        for listeners in self._all_listeners():
            listeners.close()
        self.sockets.close()


def _place_of(block: Block) -> tuple[tuple[bytes, ...], frozenset[str]]:
    """The zones and addresses of a block."""
    return block.zones, frozenset(service.address for service in block.services)
