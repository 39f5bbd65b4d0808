"""Certificates for TLS to other servers, in files that a Corefile names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pycoredns.corefile.options import BadValueError

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")


def client_context(certificate: Path | None, key: Path | None, authorities: Path | None) -> ssl.SSLContext:
    """What a handshake needs, TLS 1.2 at least; without `authorities` the system's are trusted.

    Raises BadValueError, with their names, for files that do not suit.
    """
    import ssl  # late: most Corefiles name no certificates

    context = _loaded(lambda: ssl.create_default_context(cafile=authorities), f'"{authorities}" holds no certificate')
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        fault = f'"{certificate}" and "{key}" are not a certificate and its key'
        # a key that needs a password is refused: without one given here the terminal would be asked for it
        _loaded(lambda: context.load_cert_chain(certificate, key, password=""), fault)
    return context


def _loaded(load: Callable[[], T], fault: str) -> T:
    """What is loaded from files."""
    import ssl

    try:
        return load()
    except ssl.SSLError:
        raise BadValueError(fault) from None
    except OSError as error:
        raise BadValueError(f"{fault} ({error.strerror})") from None
