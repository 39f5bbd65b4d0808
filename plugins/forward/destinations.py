"""Where questions go: the TO words of a Corefile, and the endpoints they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, Self

from pycoredns.corefile.model import Place, Token
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.frozen import frozen
from pycoredns.transport.addresses import join
from pycoredns.wire import names

PORTS = {"dns": 53, "tls": 853, "https": 443}
"""The protocols an upstream may speak, with their ports."""
_SCHEMES = ("dns", "tls", "https", "https3", "quic", "grpc", "unix")
_HOST_AND_PORT = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^:\[\]]*)):(?P<port>[0-9]*)")
_LETTERS_OF_A_HOST = re.compile(r"[A-Za-z0-9_.-]+")


class ServerName:
    """The name that must stand in an upstream's certificate."""

    placeholder = "NAME"

    @classmethod
    def parse(cls, token: Token, context: Context) -> str:
        """Refuses what a handshake could not carry (RFC 6066 §3). Gives a plain str: uvloop takes no other."""
        name = token.text
        try:
            if not name.startswith(".") and "\0" not in name:
                name.encode("idna")
                return name
        except UnicodeError:
            pass
        raise BadValueError(f'"{name}" is not a server name')


@frozen
class Endpoint:
    """One upstream: how it is spoken to, and where. ``host`` is an IP address."""

    scheme: str
    host: str
    port: int
    server_name: str = ""
    """The name in its certificate, where that is said for it alone."""

    @property
    def text(self) -> str:
        """As metrics and errors name it."""
        return join(self.host, self.port)


@frozen
class HostName:
    """An upstream by name; its addresses are looked up when the server starts."""

    scheme: str
    name: str
    port: int
    server_name: str
    place: Place

    def at(self, address: str) -> Endpoint:
        """The endpoint at one of its addresses."""
        return Endpoint(self.scheme, address, self.port, self.server_name)


@frozen
class Destination:
    """What one TO word stands for: endpoints, or a name to look up."""

    placeholder: ClassVar[str] = "TO"
    endpoints: tuple[Endpoint | HostName, ...]

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """``[SCHEME://]ADDRESS[%SERVER_NAME][:PORT]``, a file like resolv.conf, or a host name in place of the address."""
        scheme, rest = _split_scheme(token.text)
        if scheme not in PORTS:
            raise BadValueError(f'"{scheme}" is not supported as a destination protocol', f"use one of {', '.join(PORTS)}")
        if scheme == "https" and "/" in rest:
            raise BadValueError(f'"{token.text}" has a path', "leave it out: /dns-query is asked")
        if not rest:
            raise BadValueError(f'"{token.text}" has no address')
        host, server_name, port = _split(rest, PORTS[scheme])
        found = None if _is_address(host) else _from_file(rest)
        if found is not None:
            return cls(found)
        if server_name:
            server_name = ServerName.parse(Token(server_name, token.place), context)
        if _is_address(host):
            return cls((Endpoint(scheme, host, port, server_name),))
        return cls((_host_name(HostName(scheme, host, port, server_name, token.place), token.text),))


def _split_scheme(text: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    return (scheme, rest) if separator and scheme in _SCHEMES else ("dns", text)


def _split(text: str, port: int) -> tuple[str, str, int]:
    """Host, server name and port; ``9.9.9.9%dns.quad9.net:853``, ``[::1%name]:53``, ``9.9.9.9:853%dns.quad9.net``."""
    before, _, name = text.rpartition("%")
    if _HOST_AND_PORT.fullmatch(before) and "%" not in before and ":" not in name:
        host, _, port = _split(before, port)
        return host, name, port
    match = _HOST_AND_PORT.fullmatch(text)
    if match:
        text = match["bracketed"] or match["plain"] or ""
        if match["port"]:
            port = int(match["port"]) if len(match["port"]) < 6 else 0
        if not 0 < port < 65536:
            raise BadValueError(f'"{match["port"]}" is not a port')
    host, _, server_name = text.strip("[]").rpartition("%") if "%" in text else (text.strip("[]"), "", "")
    return host, server_name, port


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _from_file(path: str) -> tuple[Endpoint, ...] | None:
    """The name servers that a file lists, as resolv.conf(5) does; None where there is no such file."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise BadValueError(f'"{path}" cannot be read ({error.strerror})') from None
    servers = [words[1].partition("%")[0] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    return tuple(Endpoint("dns", server, PORTS["dns"]) for server in servers if _is_address(server))


def _host_name(found: HostName, text: str) -> HostName:
    """Refuses what is no name of a host; the system's resolver would take `*` for this machine."""
    try:
        if _LETTERS_OF_A_HOST.fullmatch(found.name) and names.from_text(found.name) != names.ROOT:
            return found
    except names.BadNameError:
        pass
    raise BadValueError(f'"{text}" is no IP address, file or domain name')


def without_repetitions(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Each address and port once: the first counts."""
    found: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        found.setdefault(endpoint.text, endpoint)
    return tuple(found.values())
