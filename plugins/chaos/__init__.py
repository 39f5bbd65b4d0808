"""Answer questions of class CH about the server: version, authors, host name."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pycoredns import __version__
from pycoredns.answer import Answer
from pycoredns.corefile.options import Argument, Arguments, Repetition
from pycoredns.direct import Direct
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.settings import BlockSettings
from pycoredns.wire.message import record
from pycoredns.wire.names import from_text
from pycoredns.wire.types import CH, NOERROR, TXT

if TYPE_CHECKING:
    from pycoredns.service import Service

__all__ = ["Chaos"]

VERSION = f"pycoredns-{__version__}"
AUTHORS = ("the pycoredns authors",)
_LONGEST_STRING = 255  # RFC 1035 §3.3
_AUTHORS_BIND = from_text("authors.bind")


@changeable
class Chaos(Plugin):
    """Answer TXT questions of class CH about the server: its version, its authors, its host's name."""

    repeated: ClassVar[Repetition] = "first"

    version: Annotated[str, Argument("text for version.bind and version.server")] = VERSION
    authors: Annotated[tuple[str, ...], Arguments("texts for authors.bind")] = AUTHORS

    def __post_init__(self) -> None:
        """Prepares the records that can be asked for, without their owners."""
        version, host = [_txt(self.version)], [_txt(socket.gethostname() or "localhost")]
        self._records: dict[bytes, Sequence[bytes]] = {
            from_text("version.bind"): version,
            from_text("version.server"): version,
            from_text("hostname.bind"): host,
            from_text("id.server"): host,
            _AUTHORS_BIND: sorted({_txt(author) for author in self.authors}),
        }

    def configure(self, settings: BlockSettings) -> None:
        """Other classes than IN are refused unless it asks for them."""
        settings.chaos = True

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Nothing of class CH comes that way."""
        return following

    def handle(self, request: Request) -> Answer:
        """Passes on what it knows nothing about."""
        records = self._records.get(request.name) if request.tail.qtype == TXT and request.tail.qclass == CH else None
        if records is None:
            return self.next(request)
        if request.name == _AUTHORS_BIND:
            request.make_personal()
            records = random.sample(records, len(records))
        return Response(NOERROR, request.asked + request.asked.join(records), len(records), flags=0)


def _txt(text: str) -> bytes:
    """A TXT record of class CH behind its owner; text of more than 255 octets is cut."""
    string = text.encode()[:_LONGEST_STRING]
    return record(b"", TXT, 0, b"%c%b" % (len(string), string), CH)
