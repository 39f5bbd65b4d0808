"""Sign zone files ahead, into files that *file* or *auto* serve, and again before their signatures run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pycoredns.background import beside
from pycoredns.corefile.kinds import Zone
from pycoredns.corefile.options import Argument, Arguments, BadValueError, Option, Repeated, Repetition, zones_of_block
from pycoredns.dnssec.keys import BadKeyError
from pycoredns.durations import duration_text
from pycoredns.output import logger
from pycoredns.peers import Role
from pycoredns.plugin import Plugin
from pycoredns.plugins.sign.options import Keys
from pycoredns.plugins.sign.signer import Signer
from pycoredns.plugins.sign.state import time_text
from pycoredns.plugins.sign.watched import Watched
from pycoredns.plugins.sign.work import Outcome

__all__ = ["Sign"]

log = logger("plugin/sign")


@dataclass(kw_only=True)
class Sign(Plugin):
    """Sign zone files ahead, into files that other plugins serve, and again before their signatures run out."""

    repeated: ClassVar[Repetition] = "each"
    step: ClassVar[bool] = False
    roles: ClassVar[Role] = Role.LONE | Role.SUPERVISOR

    dbfile: Annotated[Path, Argument("the zone file to be signed")]
    zones: Annotated[tuple[Zone, ...], Arguments("zones it is signed for", otherwise=zones_of_block)] = ()
    keys: Annotated[tuple[Keys, ...], Repeated("the keys that sign, each with its flags 257", name="key")]
    directory: Annotated[Path, Option("the folder of the signed files", placeholder="DIR")] = Path("/var/lib/coredns")

    look_interval: ClassVar[float] = 60.0
    """Seconds between two looks at files and times."""

    def __post_init__(self) -> None:
        """Keys that cannot be used are a mistake of the Corefile, and so is a zone that would be written over."""
        try:
            self._watched = [Watched(bytes(zone), self.dbfile, self.keys, self.directory) for zone in self.zones]
        except BadKeyError as error:
            raise BadValueError(f"key: {error}", option="key" if len(self.keys) == 1 else "") from None
        for zone in self._watched:
            if zone.work.target.resolve() == self.dbfile.resolve():
                raise BadValueError(f"{self.dbfile} is where its own signed zone is written", "name another directory")

    def doubts(self, served: Sequence[tuple[str, int]]) -> Iterator[str]:
        """Zone files that could not be signed just now, and keys that are no secret."""
        yield from (fault for zone in self._watched if (fault := zone.fault()))
        yield from self._open_secrets()

    def _open_secrets(self) -> Iterable[str]:
        return dict.fromkeys(line for zone in self._watched for line in zone.open_secrets())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Signs what needs it beside the server's start, and looks again from time to time."""
        for line in self._open_secrets():
            log.warning("%s", line)
        async with beside(self._keep_signed()):
            yield

    async def _keep_signed(self) -> None:
        first = True
        while True:
            try:
                await self._sign_due(first)
            except Exception as error:  # a background step ends here; the next may go better
                log.error("%s could not be signed: %r", self.dbfile, error, exc_info=error)
            first = False
            await asyncio.sleep(self.look_interval)

    async def _sign_due(self, first: bool) -> None:
        """Signs all zones that need it, one after the other."""
        due = await asyncio.to_thread(self._due, first)
        if not due:
            return
        async with Signer.turn():
            while due:
                await self._sign_all(due)

    async def _sign_all(self, due: list[Watched]) -> None:
        """Signs zones until none is left, or the process has ended by itself."""
        async with Signer.running() as signer:
            while due and not signer.ended:
                zone, begun = due.pop(0), time.time()
                self._tell(zone, await signer.sign(zone.work), begun)

    def _due(self, first: bool) -> list[Watched]:
        """The zones that need to be signed."""
        due = []
        for each in self._watched:
            why = each.reason(time.time())
            if why is not None:
                log.info('Signing "%s" because %s', each, why)
                due.append(each)
            elif first:
                log.info('Skipping signing zone "%s" in "%s": signatures are valid', each, each.work.target)
        return due

    def _tell(self, zone: Watched, outcome: Outcome, begun: float) -> None:
        """What came of it."""
        seconds: float = outcome["seconds"]
        failed = "unwritable" in outcome or "error" in outcome
        following = time_text(zone.failed() if failed else zone.succeeded(begun))
        if "unwritable" in outcome:
            log.warning('Error signing "%s": failed to move zone file into place: %s', zone, outcome["unwritable"])
        elif "error" in outcome:
            text = 'Error signing "%s" with key tags "%s" in %s: %s, next: %s'
            log.warning(text, zone, zone.tags, duration_text(seconds), outcome["error"], following)
        elif outcome["serial"] is not None:
            text = 'Successfully signed zone "%s" in "%s" with key tags "%s" and %d SOA serial, elapsed %f, next: %s'
            log.info(text, zone, zone.work.target, zone.tags, outcome["serial"], seconds, following)
