"""How to reach etcd. Free of gRPC, so that reading a Corefile stays quick."""

from __future__ import annotations

import os
from dataclasses import field
from pathlib import Path
from urllib.parse import urlsplit

from pycoredns.frozen import frozen

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC, imported later, would write to stderr what our errors say already

CLIENT_PORT = 2379
"""As registered with IANA: etcd-client."""
DEFAULT_ENDPOINT = f"http://localhost:{CLIENT_PORT}"


@frozen
class TLSFiles:
    """PEM files: the client's certificate and key (both or neither) and the authorities (the system's where None)."""

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    def stamps(self) -> tuple[tuple[int, int] | None, ...]:
        """Something that changes whenever one of the files is written, replaced or switched by a symbolic link."""
        return tuple(stamp(path) for path in (self.certificate, self.key, self.authorities) if path)


def stamp(path: Path) -> tuple[int, int] | None:
    """The modification time and inode of what ``path`` leads to, None where there is nothing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


@frozen
class Endpoint:
    """An etcd member: where it listens, and whether it is spoken to by TLS."""

    text: str
    """As written in the Corefile, for people."""
    target: str
    """As gRPC wants it."""
    encrypted: bool

    @classmethod
    def parse(cls, text: str, *, tls: bool) -> Endpoint:
        """Reads http://HOST:PORT, https://…, unix://PATH, unixs://PATH or HOST:PORT, which is encrypted if ``tls`` is set up.

        Raises ValueError where it is none of them.
        """
        scheme, _, rest = text.partition(":")
        if scheme in ("unix", "unixs"):
            return cls(text, f"unix:{rest.removeprefix('//')}", scheme == "unixs" or tls)
        try:
            host = urlsplit(text if "://" in text else f"//{text}").netloc
        except ValueError as error:
            raise ValueError(f'"{text}" ({error})') from None
        encrypted = {"http": False, "https": True}.get(scheme, tls)
        return cls(text, with_port(host.rpartition("@")[2]), encrypted)


def with_port(host: str) -> str:
    """``host`` with etcd's client port, unless it names one: ``a`` → ``a:2379``, ``[::1]`` → ``[::1]:2379``."""
    has_port = host.rpartition("]")[2].count(":") == 1
    return host if has_port else f"{host}:{CLIENT_PORT}"


@frozen
class Settings:
    """The endpoints of one cluster, in the order they are tried, and what it takes to be let in."""

    endpoints: tuple[str, ...] = (DEFAULT_ENDPOINT,)
    username: str = ""
    password: str = field(default="", repr=False)
    tls: TLSFiles | None = None

    def parsed(self) -> tuple[Endpoint, ...]:
        """The endpoints as gRPC wants them; an empty one (``{$VARIABLE}`` that is not set) stands for the default."""
        return tuple(Endpoint.parse(text or DEFAULT_ENDPOINT, tls=self.tls is not None) for text in self.endpoints)

    @property
    def named(self) -> bool:
        """Is there a user to log in as? A name without a password is none, as in CoreDNS."""
        return bool(self.username and self.password)
