"""What can go wrong: with a question (DNSError), and with a Corefile (ConfigError)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pycoredns.wire import types

if TYPE_CHECKING:
    from pycoredns.corefile.model import Place


class DNSError(Exception):
    """Ends a question with a response code; its text goes to the errors plugin, and without one it is no news."""

    rcode: ClassVar[int] = types.SERVFAIL


class FormatError(DNSError):
    """FORMERR: the question makes no sense (RFC 1035 §4.1.1)."""

    rcode = types.FORMERR


class ServerFailure(DNSError):
    """SERVFAIL: no answer could be had (RFC 1035 §4.1.1)."""

    rcode = types.SERVFAIL


class NoSuchName(DNSError):
    """NXDOMAIN: the name does not exist (RFC 1035 §4.1.1)."""

    rcode = types.NXDOMAIN


class NotImplementedHere(DNSError):
    """NOTIMP: the server does not do this (RFC 1035 §4.1.1)."""

    rcode = types.NOTIMP


class Refused(DNSError):
    """REFUSED: policy forbids it, or the zone is not served here (RFC 1035 §4.1.1)."""

    rcode = types.REFUSED


class NotAuthoritative(DNSError):
    """NOTAUTH: not authoritative, or not authorised (RFC 2136 §2.2, RFC 8945 §5.2)."""

    rcode = types.NOTAUTH


class Dropped(DNSError):
    """No answer is sent; who counts and logs sees ``NO_ANSWER``."""


def forget_way(error: BaseException) -> None:
    """Lets go of the frames that an error came through: they hold what holds the error, and the collector comes late to that.

    It took 6 kB for each question that failed.
    """
    way: BaseException | None = error
    while way is not None and way.__traceback__ is not None:
        way.__traceback__ = None
        way = way.__context__


class ConfigError(Exception):
    """One mistake in a Corefile: where it stands, what is wrong, and what to write instead."""

    def __init__(self, place: Place, cause: str, remedy: str = "", plugin: str = "") -> None:
        """``plugin`` is the directive the mistake belongs to; it is shown where the cause does not begin with it."""
        super().__init__(place, cause, remedy, plugin)
        self.place = place
        self.cause = cause
        self.remedy = remedy
        self.plugin = plugin

    def __str__(self) -> str:
        """Like ``Corefile:4: success: CAPACITY is missing; usage: success CAPACITY [TTL]``, on one line."""
        text = f"{self.place}: {self.cause}" + (f"; {self.remedy}" if self.remedy else "")
        if self.plugin and not self.cause.removeprefix("plugin/").startswith(f"{self.plugin}:"):
            text += f" (plugin {self.plugin})"
        return " ".join(text.split())


class ConfigErrors(Exception):
    """All mistakes that were found in a Corefile, in the order of their places."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        """Takes at least one mistake; what is imported twice is told once."""
        super().__init__(errors)
        unique = {str(error): error for error in errors}.values()
        self.errors = sorted(unique, key=lambda error: (error.place.file, error.place.line))

    def __str__(self) -> str:
        """One line for each mistake."""
        return "\n".join(map(str, self.errors))


class PluginError(Exception):
    """A plugin cannot be had; the text says why and what to do."""


BIND_REMEDIES = {
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; or name another port",
    errno.EADDRINUSE: "another program holds it; stop that, or name another address",
    errno.EADDRNOTAVAIL: "no interface has this address; name one that there is",
}
"""What to do where an address cannot be bound, by the error's number."""


class StartError(Exception):
    """The server cannot start, or cannot take a new Corefile; the text says what could not be opened and what to do."""
