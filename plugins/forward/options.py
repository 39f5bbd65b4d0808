"""Options of forward that need more than one plain word."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import cycle, repeat
from pathlib import Path
from random import random, sample
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias, TypeVar

from pycoredns.corefile.certificates import client_context
from pycoredns.corefile.kinds import AddressKind, FilePath, Name, Zone
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.numbers import Count, Duration, Whole
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.frozen import frozen
from pycoredns.output import logger
from pycoredns.wire import names
from pycoredns.wire.types import RCODES

if TYPE_CHECKING:
    import ssl

log = logger("plugin/forward")
Policy: TypeAlias = Literal["random", "round_robin", "sequential"]
T = TypeVar("T")
_SHUFFLES = 8
_RCODES = {text: number for number, text in RCODES.items()} | {"BADSIG": 16, "NOTIMPL": 4}


class FirstZone(Zone):
    """A zone in lower-case wire form; of a network that stands for several, the first."""

    placeholder = "FROM"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Warns where zones are left out."""
        zones = cls.parse_all(token, context)
        if not zones:
            raise BadValueError("the zone is empty")
        if len(zones) > 1:
            only = names.to_text(zones[0])
            log.warning("Unsupported CIDR notation: '%s' expands to multiple zones. Using only '%s'.", token.text, only)
        return zones[0]


class Number32(Count):
    """A whole number of 32 bits."""

    placeholder = "INTEGER"
    highest = 0xFFFFFFFF


class ResponseCode(Whole):
    """A response code by its name: `NXDOMAIN`, in any case."""

    placeholder = "RCODE"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """The number of the name."""
        number = _RCODES.get(token.text.upper())
        if number is None:
            raise BadValueError(f'"{token.text}" is not a valid rcode', "write it as NXDOMAIN or SERVFAIL")
        return cls(number)


class FailureCode(ResponseCode):
    """A response code by its name, but not NOERROR."""

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """A success is no reason to ask another upstream."""
        found = super().parse(token, context)
        if not found:
            raise BadValueError("NOERROR cannot be used here", "name codes such as SERVFAIL or REFUSED")
        return found


@frozen
class HealthCheck:
    """How an upstream is checked after it failed."""

    placeholder: ClassVar[str] = "DURATION [no_rec] [domain FQDN]"
    interval: float = 0.5
    recursion: bool = True
    domain: bytes = names.ROOT

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The words behind the duration may stand in any order."""
        if not line.arguments:
            raise BadValueError("DURATION is missing")
        interval, recursion, domain = Duration.parse(line.arguments[0], context), True, names.ROOT
        words = iter(line.arguments[1:])
        for word in words:
            if word.text == "no_rec":
                recursion = False
            elif word.text != "domain":
                raise BadValueError(f'unknown option "{word.text}"', "choose one of no_rec, domain")
            elif (name := next(words, None)) is None:
                raise BadValueError("the name behind domain is missing")
            else:
                domain = bytes(Name.parse(name, context))
        return cls(float(interval), recursion, domain)


USUAL_CHECK = HealthCheck()


@frozen
class Security:
    """Certificates for TLS: who is trusted, and who we are. Files are read again when they have changed since."""

    placeholder: ClassVar[str] = "[CERT KEY] [CA]"
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    changed: tuple[int, ...] = ()
    """When the files were last changed, so that new ones under old names are told from them."""

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """Nothing, CA, CERT KEY, or CERT KEY CA."""
        files = [FilePath.parse(word, context) for word in line.arguments]
        if len(files) > 3:
            raise BadValueError("takes three files at most")
        own = files[:2] if len(files) > 1 else [None, None]
        authority = files[0] if len(files) == 1 else files[2] if len(files) == 3 else None
        found = cls(own[0], own[1], authority, tuple(map(_changed, files)))
        found.context()
        return found

    def context(self) -> ssl.SSLContext:
        """What a handshake needs; raises BadValueError for files that hold no certificate or key."""
        return client_context(self.certificate, self.key, self.authority)


NO_FILES = Security()


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise BadValueError(f'"{path}" cannot be read ({error.strerror})') from None


@frozen
class Resolver:
    """A name server that looks up upstreams given by name."""

    placeholder: ClassVar[str] = "IP[:PORT]"
    host: str
    port: int

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Port 53 unless it is said."""
        match = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]+)):([0-9]{1,5})", token.text)
        host, port = (match[1] or match[2], int(match[3])) if match else (re.sub(r"^\[(.*)\]$", r"\1", token.text), 53)
        if not 0 < port < 65536:
            raise BadValueError(f'"{token.text}" has no valid port')
        AddressKind.parse(Token(host, token.place), context)
        return cls(host, port)


def orders(policy: Policy, upstreams: Sequence[T]) -> Callable[[], Sequence[T]]:
    """Gives, each time it is called, the upstreams in the order they are to be tried. Orders are made beforehand."""
    if policy == "sequential" or len(upstreams) == 1:
        return repeat(tuple(upstreams)).__next__
    if policy == "round_robin":
        rounds = [_first(upstreams, place) for place in range(len(upstreams))]
        return cycle(rounds[1:] + rounds[:1]).__next__
    # each upstream begins equally many of them
    shuffled = [_shuffled(upstreams, place) for place in range(len(upstreams)) for _ in range(_SHUFFLES)]
    return lambda: shuffled[int(random() * len(shuffled))]  # noqa: S311  spreads load, keeps no secret


def _first(upstreams: Sequence[T], place: int) -> Sequence[T]:
    """One before all others."""
    return (upstreams[place], *upstreams[:place], *upstreams[place + 1 :])


def _shuffled(upstreams: Sequence[T], place: int) -> Sequence[T]:
    """One before all others, which stand in any order."""
    first, *others = _first(upstreams, place)
    return (first, *sample(others, len(others)))
