"""Options of secondary that need more than one plain word."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pycoredns.corefile.kinds import Name, Zone
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.numbers import PositiveCount
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.corefile.servers import ServerAddress
from pycoredns.frozen import frozen
from pycoredns.tsig import Algorithm
from pycoredns.wire import names


class MostRecords(PositiveCount):
    """How many records a zone may have."""

    placeholder = "COUNT"


class MostMembers(PositiveCount):
    """How many zones a catalog may list."""

    placeholder = "COUNT"


@frozen
class From:
    """The primaries that a zone is transferred from."""

    placeholder: ClassVar[str] = "from ADDRESS..."
    servers: tuple[ServerAddress, ...]

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The word `from`, then addresses."""
        words = line.arguments
        if not words or words[0].text != "from":
            raise BadValueError("must be followed by from", "write it as transfer from 192.0.2.1")
        if len(words) == 1:
            raise BadValueError("ADDRESS is missing", "write it as transfer from 192.0.2.1")
        if any(word.text == "*" for word in words):
            raise BadValueError("can't use '*' in transfer from", "name the primaries' addresses")
        return cls(tuple(ServerAddress.parse(word, context) for word in words[1:]))


@frozen
class Members:
    """Which zones a catalog may bring: those named, and those below them; without any all."""

    placeholder: ClassVar[str] = "[MEMBER-ZONES...]"
    zones: tuple[bytes, ...] = ()

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """Any number of zones."""
        zones = tuple(bytes(zone) for word in line.arguments for zone in Zone.parse_all(word, context))
        if line.arguments and not zones:
            raise BadValueError("the zones are empty", "without any all are admitted")
        return cls(zones)

    def admit(self, zone: bytes) -> bool:
        """May this zone be served?"""
        return not self.zones or any(names.within(zone, each) for each in self.zones)

    def __or__(self, other: Members) -> Members:
        """What either admits."""
        return Members((*self.zones, *other.zones)) if self.zones and other.zones else Members()


@frozen
class KeyName:
    """A key of the plugin tsig, and the algorithm it is used with."""

    placeholder: ClassVar[str] = "NAME [ALGORITHM]"
    name: bytes
    algorithm: Algorithm | None = None

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The algorithm is written as `hmac-sha512`."""
        if not 1 <= len(line.arguments) <= 2:
            raise BadValueError("a name, and at most an algorithm, are needed")
        name = bytes(Name.parse(line.arguments[0], context))
        algorithm = None
        if len(line.arguments) == 2:
            text = line.arguments[1].text.lower()
            algorithm = next((each for each in Algorithm if text in (f"hmac-{each.digest}", f"hmac-{each.digest}.")), None)
            if algorithm is None:
                known = ", ".join(f"hmac-{each.digest}" for each in Algorithm)
                raise BadValueError(f'"{line.arguments[1]}" is not an algorithm', f"choose one of {known}")
        return cls(name, algorithm)


class Folder:
    """A folder that exists and may be written to; a relative path starts at `root`."""

    placeholder = "DIR"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Path:
        """Looked at once, at the start."""
        path = context.path(token.text)
        if not path.is_dir():
            raise BadValueError(f'"{path}" is not a folder', f"make it: mkdir {path}")
        return path
