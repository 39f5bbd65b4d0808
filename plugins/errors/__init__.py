"""Write a line for each question that ended in an error, or one for many of the same kind."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from pycoredns.corefile.options import Argument, Option, Repeated
from pycoredns.errors import DNSError
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugin import Outcome, Plugin
from pycoredns.plugins.errors.consolidation import Consolidation
from pycoredns.settings import BlockSettings
from pycoredns.wire import names, types

__all__ = ["Errors"]

log = logger("plugin/errors")


@changeable
class Errors(Plugin):
    """Write a line for each question that ended in an error, or one for many of the same kind."""

    to: Annotated[Literal["stdout"], Argument("where the lines go: there is one place only")] = "stdout"
    stacktrace: Annotated[bool, Option("shows the way to an unexpected error too")] = False
    consolidate: Annotated[tuple[Consolidation, ...], Repeated("one line for all errors like this in a while")] = ()

    def configure(self, settings: BlockSettings) -> None:
        """Unexpected errors are told by the server itself."""
        settings.stacktrace = self.stacktrace

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At the end what has been counted is told."""
        try:
            yield
        finally:
            for consolidation in self.consolidate:
                consolidation.stop()

    def observe_failure(self, outcome: Outcome) -> None:
        """Tells of an error; one that nobody foresaw has been told by the server."""
        error = outcome.error or outcome.response.error
        if outcome.error is not None and not isinstance(outcome.error, DNSError):
            return
        text, level = str(error), logging.ERROR
        for consolidation in self.consolidate:
            if consolidation.covers(text):
                if not consolidation.shows():
                    return
                level = consolidation.level
                break
        # where there is an answer the plugin counts as having done its work: CoreDNS's lines have its code, not the answer's
        rcode = outcome.response.rcode if outcome.error is not None else types.NOERROR
        request = outcome.request
        log.log(level, "%d %s %s: %s", rcode, names.to_text(request.name), types.asked_type_text(request.qtype), text)
