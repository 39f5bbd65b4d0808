"""Addresses of name servers in a Corefile: `192.0.2.1`, `192.0.2.1:5300`, `2001:db8::1`, `[2001:db8::1]:5300`."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import ClassVar, Self

from pycoredns.corefile.model import Token
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.frozen import frozen

_WITH_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:/\[\]]*)")
_DNS_PORT = 53


@frozen
class ServerAddress:
    """An IP address and port of a name server; a link-local address may name its interface (`fe80::1%eth0`)."""

    placeholder: ClassVar[str] = "ADDRESS"
    host: str
    port: int = _DNS_PORT

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Without a port 53 is meant; a host name is none."""
        match = _WITH_PORT.fullmatch(token.text)
        host, port = (match[1] or match[2] or "", match[3] or str(_DNS_PORT)) if match else (token.text, str(_DNS_PORT))
        try:
            address = str(ip_address(host))
        except ValueError:
            raise BadValueError(f'must specify an IP address: "{host}"', "write it as 192.0.2.1 or 192.0.2.1:5300") from None
        if not re.fullmatch("[0-9]{1,5}", port):
            raise BadValueError(f'"{port}" is not a port', "write it as 192.0.2.1:5300")
        if int(port) > 65535:
            raise BadValueError(f"port {port} is out of range", "it must be 0 to 65535")
        return cls(address, int(port))

    @property
    def address(self) -> str:
        """The host without its interface, as a client's address is shown."""
        return self.host.partition("%")[0]

    def __str__(self) -> str:
        """As ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
