"""Count questions and answers, and show all metrics to Prometheus."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import parse_qs

from pycoredns import __version__
from pycoredns.corefile.kinds import ListenAddress
from pycoredns.corefile.options import Argument, BadValueError, Option
from pycoredns.direct import CountKinds, Kind
from pycoredns.errors import StartError
from pycoredns.frozen import changeable
from pycoredns.http import HTTPReply, HTTPRequest, open_route
from pycoredns.listener import Listener
from pycoredns.metrics import Gauge
from pycoredns.pauses import watch
from pycoredns.peers import Role, here
from pycoredns.plugin import Answered, Outcome, Plugin, overrides
from pycoredns.plugins.prometheus.tls import Certified
from pycoredns.response import NO_ANSWER
from pycoredns.service import Service
from pycoredns.traffic import Lane, Tally
from pycoredns.wire import names

__all__ = ["Prometheus"]

PATH = "/metrics"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"


@changeable
class Prometheus(Plugin):
    """Count questions and answers, and show all metrics to Prometheus at /metrics."""

    roles: ClassVar[Role] = Role.LONE | Role.WORKER | Role.SUPERVISOR

    address: Annotated[ListenAddress, Argument("where /metrics is served")] = ListenAddress("localhost", 9153)
    runtime_metrics: Annotated[bool, Option("shows figures of the Python runtime too")] = False
    tls: Annotated[Path | None, Option("has /metrics served by TLS, as a web configuration of Prometheus's exporters says")] = (
        None
    )

    build_info: ClassVar = Gauge(
        "build_info",
        # to the letter, as dashboards and CoreDNS's own checks look for it
        "A metric with a constant '1' value labeled by version, revision, and goversion from which CoreDNS was built.",
        *("version", "revision", "goversion"),
        prefix="coredns_",
        alike=True,
    )
    enabled: ClassVar = Gauge(
        "plugin_enabled", "Plugins of each zone.", "server", "zone", "view", "name", prefix="coredns_", alike=True
    )

    def __post_init__(self) -> None:
        """Nothing has been counted yet; raises BadValueError where the files of `tls` cannot be used."""
        self._only_zone: str | None = None
        self._lanes: dict[Listener, Lane] = {}
        """Where there is but one zone."""
        self._finders: Sequence[Callable[[bytes], bytes | None]] = ()
        try:
            self._certified = Certified(self.tls) if self.tls else None
        except StartError as error:
            raise BadValueError(f"tls: {error}", option="tls") from None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves /metrics."""
        self._finders = [plugin.counted_zone for plugin in self.block.plugins if overrides(plugin, "counted_zone")]
        self.build_info.cell(__version__, "", f"python{sys.version.partition(' ')[0]}").value = 1
        certified = self._certified
        route = await open_route(self.address, PATH, self.scrape, certified.context if certified else None)
        self._tally = Tally(self.block.settings.view, self._behind())  # not where the address cannot be had: it is to be closed
        watching = asyncio.create_task(certified.watch(route)) if certified and here().role is not Role.WORKER else None
        try:
            # the pauses of a supervisor's loop keep no question waiting
            with nullcontext() if here().role is Role.SUPERVISOR else watch.watching():
                yield
        finally:
            if watching:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            await route.close()
            self._tally.close()

    # --- counting

    def observe(self, outcome: Outcome) -> None:
        """Counts an answer."""
        listener = outcome.request.listener
        unsent = outcome.error is not None or outcome.response is NO_ANSWER
        lane = None if unsent else self._lanes.get(listener)
        if lane is None:
            zone = self._only_zone or self.zone_of(outcome.request.name)
            lane = self._tally.lane(listener, zone, unsent)
            if self._only_zone and not unsent:
                self._lanes[listener] = lane
        lane.count(outcome)

    def observe_many(self, answered: Sequence[Answered], durations: Sequence[int]) -> None:
        """Counts answers at once, where they are all of one zone."""
        lane = self._lanes.get(answered[0][0].listener)
        if lane is None:
            super().observe_many(answered, durations)
        else:
            lane.count_many(answered, durations)

    def kind_counter(self) -> CountKinds | None:
        """Counts by kinds where all are of one zone."""
        return self._count_kinds if len(self.block.zones) == 1 and not self._finders else None

    def _count_kinds(self, listener: Listener, kinds: list[Kind], duration: int) -> None:
        lane = self._lanes.get(listener)
        if lane is None:
            lane = self._lanes[listener] = self._tally.lane(listener, names.to_text(self.block.zones[0]))
        lane.count_kinds(kinds, duration)

    def zone_of(self, name: bytes) -> str:
        """The longest zone that holds a name (lower-case wire form), of the server block or found by one of its plugins."""
        zones = self.block.zones
        if len(zones) == 1 and not self._finders:
            self._only_zone = names.to_text(zones[0])
        found = [zone for zone in zones if names.within(name, zone)]
        found += [zone for find in self._finders if (zone := find(name)) is not None]
        return names.to_text(max(found, key=len, default=names.ROOT))

    def _behind(self) -> str:
        """The plugin right behind this one: CoreDNS calls it the one that wrote."""
        plugins = self.block.plugins
        return next((plugin.name for plugin in plugins[plugins.index(self) + 1 :] if plugin.step), "")

    # --- showing

    async def scrape(self, request: HTTPRequest) -> HTTPReply:
        """All metrics, or those that ``?name[]=`` asks for, in Prometheus's text format, compressed if the client takes it."""
        # imported when it is needed, beside the loop: prometheus_client takes as long as the whole start of the server
        exposition = await asyncio.to_thread(import_module, "pycoredns.plugins.prometheus.exposition")
        await self._bring_up_to_date()
        families, processes = await here().families(), here().processes
        runtime = any(plugin.runtime_metrics for plugin in self._siblings())
        body: bytes = exposition.text(families, processes, runtime, frozenset(parse_qs(request.query, True).get("name[]", ())))
        headers = (("Content-Type", _CONTENT_TYPE), ("Vary", "Accept-Encoding"))
        if not _takes_gzip(request.headers.get("accept-encoding", "")):
            return HTTPReply(200, body, headers)
        from gzip import compress  # late: the start needs no part of it

        body = await asyncio.to_thread(compress, body, 6)
        return HTTPReply(200, body, (*headers, ("Content-Encoding", "gzip")))

    def _siblings(self) -> list[Prometheus]:
        """The plugins of this kind in all server blocks."""
        return [plugin for block in self.block.siblings for plugin in block.plugins if isinstance(plugin, Prometheus)]

    async def _bring_up_to_date(self) -> None:
        """Has what was answered from memory counted, and says anew which plugins there are."""
        services = {service for block in self.block.siblings for service in block.services}
        for listener in [listener for service in services for listener in service.listeners]:
            await listener.memo.count_in_turns()
        self.enabled.cells.clear()
        for plugin in self._siblings():
            for service in plugin.block.services:
                plugin.show_enabled(service)

    def show_enabled(self, service: Service) -> None:
        """Shows the plugins of the own block where its first zone is served: CoreDNS shows them for that one only."""
        zone = self.block.zones[0]
        if self.block in service.zones.get(zone, ()):
            for plugin in self.block.plugins:
                if plugin.step:
                    self.enabled.cell(service.address, names.to_text(zone), self.block.settings.view, plugin.name).value = 1


def _takes_gzip(accepted: str) -> bool:
    """Does an Accept-Encoding header allow gzip (RFC 9110 §12.5.3)?"""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or weight == ""
    return False
