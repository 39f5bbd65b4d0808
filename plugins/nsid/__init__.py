"""Tell clients that ask for it which server has answered (RFC 5001)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

from pycoredns.answer import Answer, then
from pycoredns.corefile.options import Arguments
from pycoredns.direct import Direct
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import edns

if TYPE_CHECKING:
    from pycoredns.service import Service

__all__ = ["Nsid"]

_OPT_FIXED_SIZE = 11


@changeable
class Nsid(Plugin):
    """Tell clients that ask for it which server has answered (RFC 5001)."""

    data: Annotated[tuple[str, ...], Arguments("what the server is called; its host's name where nothing is given")] = ()

    def __post_init__(self) -> None:
        """Prepares the option."""
        identifier = " ".join(self.data) or socket.gethostname() or "localhost"
        self._option = edns.option(edns.NSID, identifier.encode())

    def direct(self, service: Service, following: Direct | None) -> Direct | None:
        """Queries with its option never come that way."""
        return following

    def handle(self, request: Request) -> Answer:
        """Names the server where the query holds the option, whatever its value (RFC 5001 §2.1)."""
        options = request.tail.options
        if not options or not any(code == edns.NSID for code, _ in edns.options(options)):
            return self.next(request)
        size = request.tail.size
        return then(self.next(request), lambda response: self._named(response, size))

    def _named(self, response: Response, size: int) -> Response:
        """The response with the option: in its OPT record if it has one, else in a new one that sets DO, as CoreDNS does.

        Its size is told as it was without: log and metrics stand behind this plugin.
        """
        if not response.opt:
            return response.replace(opt=edns.opt(size, edns.DO, self._option), size=response.size)
        head, rdata = response.opt[: _OPT_FIXED_SIZE - 2], response.opt[_OPT_FIXED_SIZE:]
        others = b"".join([edns.option(code, value) for code, value in edns.options(rdata) if code != edns.NSID])
        options = others + self._option
        return response.replace(opt=head + len(options).to_bytes(2, "big") + options, size=response.size)
