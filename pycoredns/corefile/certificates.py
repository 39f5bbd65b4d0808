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

    for path in (certificate, key, authorities):
        _check_readable(path)
    context = _loaded(lambda: ssl.create_default_context(cafile=authorities), f'"{authorities}" holds no certificate')
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        fault = f'"{certificate}" and "{key}" are not a certificate and its key'
        # a key that needs a password is refused: without one given here the terminal would be asked for it
        _loaded(lambda: context.load_cert_chain(certificate, key, password=""), fault)
    return context


def _check_readable(path: Path | None) -> None:
    """Raises BadValueError; what TLS says of a file that is not there does not name it."""
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        raise BadValueError(f'"{path}" cannot be read ({(error.strerror or str(error)).lower()})') from None


def _loaded(load: Callable[[], T], fault: str) -> T:
    """What is loaded from files."""
    try:
        return load()
    except OSError:  # as ssl.SSLError is
        raise BadValueError(fault) from None
