r"""Kinds of values in a Corefile: how a word is read, what it is called in usage lines, and what is said when it does not suit.

A kind is anything with a `placeholder` and `parse(token, context)`, which returns its value or raises BadValueError. Most kinds
are the class of their values, so that a plugin makes a narrower one, or one of its own, in a few lines of its own module:

    class PayloadSize(Whole):
        placeholder, lowest, highest = "SIZE", 512, 4096

    @dataclass(frozen=True)
    class Upstream:
        placeholder: ClassVar[str] = "TO"
        host: str

        @classmethod
        def parse(cls, token: Token, context: Context) -> Self: ...
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from socket import inet_aton
from typing import Any, ClassVar, Literal, Protocol, Self, get_args, get_origin

from pycoredns.corefile.keys import split_key
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.numbers import Whole
from pycoredns.corefile.options import BadValueError, Context, UnknownWordError
from pycoredns.frozen import frozen
from pycoredns.wire import names


class Kind(Protocol):
    """Reads one word."""

    @property
    def placeholder(self) -> str:
        """What the word is called in usage lines."""

    def parse(self, token: Token, context: Context) -> Any:
        """The word's value; raises BadValueError."""


class Zone(bytes):
    """A zone in lower-case wire form. A network stands for its reverse zones; a scheme and a port are dropped.

    An empty word, as of a variable that is not set, stands for none.
    """

    placeholder: ClassVar[str] = "ZONE"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Exactly one zone."""
        zones = cls.parse_all(token, context)
        if len(zones) != 1:
            raise BadValueError(f'"{token.text}" stands for {len(zones) or "no"} zones', "give one zone")
        return zones[0]

    @classmethod
    def parse_all(cls, token: Token, context: Context) -> tuple[Self, ...]:
        """One zone for a name; for a network as many as cover it on the boundaries of labels (RFC 1035 §3.5, RFC 3596 §2.5)."""
        try:
            return tuple(map(cls, split_key(token.text).zones)) if token.text else ()
        except ValueError as error:
            raise BadValueError(str(error)) from None


class Name(bytes):
    """A domain name in lower-case wire form, taken as it stands."""

    placeholder: ClassVar[str] = "NAME"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """A final dot is optional (RFC 1035 §5.1)."""
        try:
            return cls(names.from_text(token.text).lower())
        except names.BadNameError as error:
            raise not_a_name(token.text, error) from None


def not_a_name(text: str, error: names.BadNameError) -> BadValueError:
    """What is said of a word that is no domain name; the error's own text may begin with the word again."""
    return BadValueError(f'"{text}" is not a domain name: {str(error).removeprefix(f"{text!r}: ")}')


@frozen
class Fallthrough:
    """For which names a question without an answer is passed on: `fallthrough [ZONES...]`. Made without zones, for none."""

    placeholder: ClassVar[str] = "[ZONES...]"
    zones: tuple[bytes, ...] = ()

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The word alone stands for all names."""
        zones = [zone for token in line.arguments for zone in Zone.parse_all(token, context)]
        return cls(tuple(map(bytes, zones)) if line.arguments else (names.ROOT,))

    def covers(self, name: bytes) -> bool:
        """Is a question for this name (lower-case wire form) passed on?"""
        for zone in self.zones:  # noqa: SIM110  any() would take 0.4 us where this takes 0.1, for each unknown name
            if zone == names.ROOT or names.within(name, zone):
                return True
        return False


class Ignored:
    """A line that older Corefiles have, and that means nothing any more."""

    placeholder: ClassVar[str] = "[ADDRESS...]"

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """Takes any words."""
        return cls()


@frozen
class ListenAddress:
    """An address to listen on, `HOST:PORT`; without a host on all addresses."""

    placeholder: ClassVar[str] = "ADDRESS"
    host: str
    port: int

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """IPv6 hosts stand in brackets."""
        match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([0-9]{1,5})", token.text)
        if not match or int(match[3]) > 65535:
            raise BadValueError(f'"{token.text}" is not an address with a port', "write it as host:8080, :8080 or [::1]:8080")
        return cls(match[1] or match[2] or "", int(match[3]))

    def __str__(self) -> str:
        """As it would stand in a Corefile."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = IPv4Address | IPv6Address
"""The type of a field that takes an IP address."""
Network = IPv4Network | IPv6Network
"""The type of a field that takes a network in CIDR notation; `kind=NetworkOrAddress` lets it take a single address too."""


class AddressKind:
    """An IP address, without port."""

    placeholder = "ADDRESS"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Address:
        """Without brackets."""
        try:
            return ip_address(token.text)
        except ValueError:
            raise BadValueError(f'"{token.text}" is not an IP address') from None


def is_misread(host: str) -> bool:
    """Would the system read an address into it that nobody meant? 192.0.2 is 192.0.0.2 to it, and 10.0.0.010 is 10.0.0.8."""
    try:
        ip_address(host)
    except ValueError:
        try:
            return bool(inet_aton(host))
        except (OSError, UnicodeError):
            pass
    return False


class NetworkKind:
    """A network in CIDR notation; bits of the host part are dropped."""

    placeholder = "NETWORK"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Network:
        """The length of the prefix must be given, in digits."""
        if "%" in token.text or not re.search(r"/[0-9]{1,3}\Z", token.text):
            raise BadValueError(f'"{token.text}" is not a network', "write it as 192.0.2.0/24 or 2001:db8::/32")
        try:
            return ip_network(token.text, strict=False)
        except ValueError:
            raise BadValueError(f'"{token.text}" is not a network', "write it as 192.0.2.0/24 or 2001:db8::/32") from None


class NetworkOrAddress(NetworkKind):
    """A network, or an address as the network of that address alone."""

    @classmethod
    def parse(cls, token: Token, context: Context) -> Network:
        """An address has the longest prefix."""
        if "/" in token.text:
            return super().parse(token, context)
        return ip_network(AddressKind.parse(token, context))


class Text:
    """Any word."""

    placeholder = "TEXT"

    @classmethod
    def parse(cls, token: Token, context: Context) -> str:
        """As it stands."""
        return token.text


class FilePath:
    """The path of a file; a relative one starts at `root`."""

    placeholder = "FILE"

    @classmethod
    def parse(cls, token: Token, context: Context) -> Path:
        """It need not exist; it must not be empty."""
        if not token.text:
            raise BadValueError("the path is empty")
        return context.path(token.text)


class OnOff:
    """`on` or `off`, for a bool."""

    placeholder = "on|off"

    @classmethod
    def parse(cls, token: Token, context: Context) -> bool:
        """In lower case."""
        if token.text not in ("on", "off"):
            raise BadValueError(f'"{token.text}" is neither on nor off')
        return token.text == "on"


class RegularExpression:
    """A regular expression, in Go's syntax where it differs little from Python's."""

    placeholder = "REGEX"
    _classes: ClassVar[Mapping[str, str]] = {
        "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
        "word": r"\w", "space": r"\t\n\v\f\r ", "blank": r"\t ", "punct": r"!-/:-@\[-`{-~", "print": " -~", "graph": "!-~",
        "cntrl": r"\x00-\x1f\x7f",
    }  # fmt: skip

    @classmethod
    def parse(cls, token: Token, context: Context) -> re.Pattern[str]:
        """Compiled; not anchored."""
        text = re.sub(r"\[:(\w+):\]", lambda match: cls._classes.get(match[1], match[0]), token.text)
        text = re.sub(r"(?<!\\)((?:\\\\)*)\(\?<(?=[A-Za-z_])", r"\1(?P<", text)
        try:
            return re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\\z", r"\1\\Z", text), re.ASCII)
        except re.error as error:
            raise BadValueError(f'"{token.text}" is not a regular expression ({error})') from None


class Choice:
    """One of some words, which may stand for other values; `folded` takes them in any case."""

    def __init__(self, choices: Mapping[str, Any], folded: bool = False) -> None:
        """`choices` gives the value of each word."""
        self.choices = {word.lower() if folded else word: value for word, value in choices.items()}
        self.folded = folded
        self.placeholder = "|".join(choices)

    def parse(self, token: Token, context: Context) -> Any:
        """The value of the word."""
        word = token.text.lower() if self.folded else token.text
        if word not in self.choices:
            raise UnknownWordError(token.text, tuple(self.choices))
        return self.choices[word]


_KINDS_OF_TYPES: dict[Any, Any] = {
    str: Text, int: Whole, Path: FilePath, re.Pattern[str]: RegularExpression, re.Pattern: RegularExpression,
    Address: AddressKind, Network: NetworkKind,
}  # fmt: skip


def kind_of(declared: Any) -> Kind | None:
    """The kind that reads words for a field of this type; None where the type is none for a single word."""
    if hasattr(declared, "parse") and hasattr(declared, "placeholder"):
        return declared  # type: ignore[no-any-return]  # a class, seen here as a value
    if get_origin(declared) is Literal:
        return Choice({word: word for word in get_args(declared)})
    if isinstance(declared, type) and issubclass(declared, enum.Enum):
        return Choice({str(member.value): member for member in declared})
    return _KINDS_OF_TYPES.get(declared)
