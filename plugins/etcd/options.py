"""The options of the plugin that are more than a word."""

from __future__ import annotations

from typing import ClassVar, Self

from pycoredns.corefile.certificates import client_context
from pycoredns.corefile.kinds import FilePath, not_a_name
from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.errors import ConfigError
from pycoredns.frozen import frozen
from pycoredns.plugins.etcd.settings import TLSFiles
from pycoredns.wire import names


@frozen
class Credentials:
    """A user of etcd."""

    placeholder: ClassVar[str] = "USERNAME PASSWORD"
    username: str = ""
    password: str = ""

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """Both words."""
        if len(line.arguments) != 2:
            cause = "credentials requires 2 arguments, a user's name and password"
            raise ConfigError(line.place, cause, f"usage: credentials {cls.placeholder}")
        return cls(line.arguments[0].text, line.arguments[1].text)


class TLS(TLSFiles):
    """The files for connections to etcd; without any, the system's authorities are trusted."""

    placeholder: ClassVar[str] = "[CERT KEY] [CACERT]"

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """One file: the authorities. Two: certificate and key. Three: all of them."""
        paths = [FilePath.parse(token, context) for token in line.arguments]
        if len(paths) > 3:
            raise BadValueError(f"at most three files, not {len(paths)}")
        certificate, key = paths[:2] if len(paths) > 1 else (None, None)
        authorities = paths[-1] if len(paths) in (1, 3) else None
        if paths:
            client_context(certificate, key, authorities)  # gRPC says no more of them than that no connection comes about
        return cls(certificate, key, authorities)


@frozen
class SkyDNS:
    """That questions are answered as SkyDNS did, and the name that local.dns.ZONE stands for."""

    placeholder: ClassVar[str] = "[NAME]"
    local: bytes = b""

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """At most one name."""
        if len(line.arguments) > 1:
            raise BadValueError(f'unexpected "{line.arguments[1].text}"')
        try:
            return cls(*(names.from_text(token.text).lower() for token in line.arguments))
        except names.BadNameError as error:
            raise not_a_name(line.arguments[0].text, error) from None
