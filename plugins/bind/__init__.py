"""Listen on some addresses only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, ClassVar, Self

from pycoredns.corefile.configure import parse_directives
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.options import Arguments, BadValueError, Context, Option, Repetition
from pycoredns.errors import ConfigError
from pycoredns.frozen import changeable
from pycoredns.output import logger
from pycoredns.plugin import Plugin
from pycoredns.settings import BlockSettings

__all__ = ["Bind"]

log = logger("plugin/bind")


class Host(str):
    """An IP address to listen on; the name of an interface stands for all of its addresses."""

    placeholder: ClassVar[str] = "ADDRESS|INTERFACE"

    @classmethod
    def parse_all(cls, token: Token, context: Context) -> tuple[Self, ...]:
        """What reads as an address is no interface."""
        try:
            return (cls(_written(token.text)),)
        except ValueError:
            found = interfaces()
        if token.text not in found:
            cause = f'"{token.text}" is neither an IP address nor the name of an interface'
            raise BadValueError(cause, f"the interfaces are {', '.join(found)}")
        return tuple(map(cls, found[token.text]))

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """The first address."""
        return cls.parse_all(token, context)[0]


@changeable
class Bind(Plugin):
    """Listen on some addresses only."""

    repeated: ClassVar[Repetition] = "merged"
    step: ClassVar[bool] = False

    addresses: Annotated[tuple[Host, ...], Arguments("addresses or interfaces to listen on", least=1)]
    excepted: Annotated[tuple[Host, ...], Option("those of them not to listen on", name="except")] = ()

    @classmethod
    def from_directives(cls, directives: Sequence[Directive], context: Context) -> Self:
        """One of all lines; what a line excepts concerns that line only."""
        interfaces.cache_clear()
        lines = parse_directives(cls, directives, context)
        chosen = tuple(host for line in lines for host in line.addresses if host not in line.excepted)
        if not chosen:
            raise ConfigError(directives[-1].place, "bind: no address is left to listen on", "leave one out of except")
        return cls(chosen)

    def configure(self, settings: BlockSettings) -> None:
        """Sockets are opened by the server."""
        settings.listen += self.addresses


@cache
def interfaces() -> dict[str, list[str]]:
    """The host's interfaces with their addresses, as they are now; none where the system does not tell."""
    import ifaddr  # loaded only where an interface is named

    try:
        return {
            adapter.name: [_written(ip.ip if isinstance(ip.ip, str) else ip.ip[0], adapter.name) for ip in adapter.ips]
            for adapter in ifaddr.get_adapters()
        }
    except OSError as error:
        log.warning("the list of interfaces cannot be had, so none can be bound by name: %s", error)
        return {}


def _written(text: str, interface: str = "") -> str:
    """The usual form of an address, of a mapped one its IPv4; a link-local one names its interface (RFC 4007 §11)."""
    address = ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    scoped = interface and isinstance(address, IPv6Address) and address.is_link_local
    return f"{address}%{interface}" if scoped else str(address)
