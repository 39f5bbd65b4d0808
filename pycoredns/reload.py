"""From one Corefile to the next without losing a question: on SIGUSR1, and where the reload plugin watches the file."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from pycoredns import memory
from pycoredns.assemble import Assembly, assemble
from pycoredns.background import in_background
from pycoredns.corefile.expand import Corefile
from pycoredns.errors import ConfigErrors, StartError
from pycoredns.metrics import Counter, Gauge
from pycoredns.output import logger
from pycoredns.peers import Role, here
from pycoredns.server import Server
from pycoredns.sources import Source, tell_doubts

T = TypeVar("T")
log = logger("pycoredns")
plugin_log = logger("plugin/reload")

failed = Counter("failed_total", "Reloads of the Corefile that failed.", prefix="coredns_reload_")
version = Gauge("version_info", "The checksum of the Corefile that is served.", "hash", "value", prefix="coredns_reload_")


async def retire(old: Server) -> None:
    """Stops a server that was replaced, and gives its memory back."""
    await old.stop(final=False)
    del old  # else it would stay until the next reload, as it would for tasks that have just ended
    await asyncio.sleep(0)
    memory.give_back()


async def _beside(work: Callable[[], T]) -> T:
    """Does what takes long beside the answers. A supervisor gives none, and must have no thread at work when it forks."""
    return work() if here().role is Role.SUPERVISOR else await in_background(work)


def _reason(error: Exception) -> str:
    """Why there is no reload; of a Corefile that cannot be read in CoreDNS's words."""
    if isinstance(error, OSError) and error.filename:
        return f"open {error.filename}: {(error.strerror or '').lower()}"
    return str(error)


class Reloader:
    """Keeps the present server, and puts another in its place when the Corefile has changed."""

    def __init__(self, server: Server, source: Source) -> None:
        """``server`` has been started from ``source``."""
        self.server = server
        self._source = source
        self._busy = asyncio.Lock()
        self._tried = ""
        self._stopping: set[asyncio.Task[None]] = set()
        failed.cell()
        version.cells.clear()
        self._announce()

    def _announce(self) -> str:
        """Says which Corefile is served, where the reload plugin is used; returns its checksum there."""
        if self.server.assembly.settings.reload is None:
            return ""
        checksum = self.server.assembly.corefile.checksum
        plugin_log.info("Running configuration SHA512 = %s", checksum)
        return checksum

    async def watch(self) -> None:
        """Looks at the Corefile in the interval that its reload plugin gives; runs until it is cancelled."""
        while True:
            settings = self.server.assembly.settings.reload
            if settings is None:
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(settings.interval + random.uniform(-0.5, 0.5) * settings.jitter)  # noqa: S311  no secret
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  a background step ends here; the next look may go better
                plugin_log.error("the Corefile could not be looked at: %r", error, exc_info=error)

    async def _look(self) -> None:
        """Reloads if the Corefile's words are others than those last tried. A file that is gone or broken is told once."""
        try:
            corefile, checksum = await _beside(self._read)
        except (ConfigErrors, OSError) as error:
            text = _reason(error)
            if text != self._tried:
                self._tried = text
                failed.cell().value += 1
                plugin_log.warning("Corefile parse failed: %s", text)
            return
        present = self.server.assembly.corefile.checksum
        if checksum not in (self._tried, present):
            self._tried = checksum
            await self.reload(corefile)
        elif checksum == present:
            self._tried = present

    def _read(self) -> tuple[Corefile, str]:
        """The Corefile with its checksum: of thousands of blocks they take a second."""
        corefile = self._source.read()
        return corefile, corefile.checksum

    async def reload(self, corefile: Corefile | None = None) -> bool:
        """Serves a new Corefile, or the file as it is now; False if it cannot be, and then nothing has changed."""
        async with self._busy:
            log.info("Reloading")
            try:
                new = self.server.successor(await _beside(lambda: self._assemble(corefile)))
                if new.services.keys() - self.server.services.keys():
                    await self._given_up()
                await new.start(self.server)
            except (ConfigErrors, StartError, OSError) as error:
                self._tell(_reason(error), corefile)
                return False
            except Exception as error:  # noqa: BLE001  a background task ends here: a plugin's fault must not end the server
                self._tell(repr(error), corefile, error)
                return False
            old, self.server = self.server, new
            task = asyncio.get_running_loop().create_task(retire(old))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
            version.cells.clear()
            if checksum := self._announce():
                version.cell("sha512", checksum).value = 1
            log.info("Reloading complete")
            return True

    def _tell(self, faults: str, corefile: Corefile | None, error: Exception | None = None) -> None:
        """A failed reload is told twice, as by CoreDNS: what was wrong, and who wanted it."""
        failed.cell().value += 1
        for line in faults.splitlines():
            log.error("Restart failed: %s", line, exc_info=error)
        first = faults.partition("\n")[0]
        if corefile is None:
            log.error("SIGUSR1: %s", first)
        else:
            plugin_log.error("Corefile changed but reload failed: %s", first)

    def _assemble(self, corefile: Corefile | None) -> Assembly:
        """The new assembly, of which thousands of blocks take a second, too.

        A file without blocks is one that is being written just now, or emptied by mistake.
        """
        corefile = corefile or self._source.read()
        if corefile.empty and self._source.text is None:
            raise StartError(f"{self._source.file}: there is no server block in it; is it being written just now?")
        tell_doubts(corefile)
        return assemble(corefile, self._source.port)

    async def _given_up(self) -> None:
        """Waits until addresses are free that were given up a moment ago: answers to come leave from there."""
        if self._stopping:
            await asyncio.wait(self._stopping)  # unlike gather, it cancels nothing if the reload itself is

    async def stopped(self) -> None:
        """Waits until the servers that were replaced have ended."""
        await asyncio.gather(*self._stopping)
