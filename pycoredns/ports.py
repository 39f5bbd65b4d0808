"""TCP ports that a reload takes from HTTP for questions, or from questions for HTTP.

Old and new sockets share them (SO_REUSEPORT), but a new one listens only when the new server answers, and then the old one does
no more. So what comes meanwhile is answered as before, and a reload that fails has changed nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection, Sequence

from pycoredns.output import logger

log = logger("pycoredns")


class Exchange:
    """The ports of one reload that change their use."""

    def __init__(self) -> None:
        """Nothing has been bound yet."""
        self.left: Sequence[socket.socket] = ()
        """Where questions came over TCP, and will no more."""
        self.kept: Collection[int] = ()
        """Ports to which questions will come."""
        self.from_http: set[int] = set()
        """Of these, those where HTTP is spoken until then."""
        self.changes: list[Callable[[], Awaitable[None]]] = []
        """What is to be done once the new server answers."""

    def take_from_http(self, port: int) -> bool:
        """Has HTTP leave a port to questions; False where it is not spoken there, or not by the old server alone."""
        if share_http is not None and share_http(port):
            self.from_http.add(port)
            return True
        return False

    def take_from_questions(self, port: int) -> bool:
        """Has questions leave a port to HTTP; False where none came there, or some still will."""
        leaving = [] if port in self.kept else [each for each in self.left if each.getsockname()[1] == port]
        for each in leaving:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return bool(leaving)

    async def complete(self) -> None:
        """The new server answers."""
        changes, self.changes = self.changes, []
        for change in changes:
            try:
                await change()
            except OSError as error:  # the new server is at work: nothing must be taken back any more
                log.error("a port could not be taken over: %s", error)


share_http: Callable[[int], bool] | None = None
"""Asks those who speak HTTP, where anybody does, to share a port that the new server has no use for."""
exchange = Exchange()


def begin() -> Exchange:
    """A new server is about to bind its sockets, or has given up."""
    global exchange
    exchange = Exchange()
    return exchange
