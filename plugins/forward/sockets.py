"""Sockets to upstreams; where there is none, why not, in the words of Go."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pycoredns.transport.addresses import join

if TYPE_CHECKING:
    from pycoredns.plugins.forward.upstream import Terms

_KINDS = {"udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP), "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP)}


def reason(number: int) -> str:
    """What an error number means; those below 0 are of addresses that do not fit the socket."""
    return os.strerror(number).lower() if number >= 0 else "no suitable address found"


def said(error: Exception | None) -> str:
    """What an error means, in the words of system calls where it is one of theirs."""
    number = getattr(error, "errno", None)
    return reason(number) if number else str(error)


@contextmanager
def dialling(protocol: str, terms: Terms) -> Iterator[socket.socket]:
    """A socket that does not block, from the address that questions are sent from; the caller connects it.

    Where that fails it is closed. Raises OSError that says what could not be done.
    """
    step, sock = "socket", None
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in terms.endpoint.host else socket.AF_INET, *_KINDS[protocol])
        sock.setblocking(False)
        if terms.source:
            step = "bind"
            sock.bind((terms.source, 0))
        step = "connect"
        yield sock
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise OSError(_trouble(protocol, terms, step, error)) from None
        raise


async def connect(sock: socket.socket, host: str, port: int) -> None:
    """Connects to an address; raises OSError.

    uvloop's own ``sock_connect`` has a thread look up what is an address already, which takes longer than to connect.
    """
    number = sock.connect_ex((host, port))
    if number == errno.EINPROGRESS:
        loop, writable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(sock, writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _trouble(protocol: str, terms: Terms, step: str, error: OSError) -> str:
    """Why there is no connection."""
    if verified := getattr(error, "verify_message", ""):
        return f"tls: failed to verify certificate: {verified}"
    if library := getattr(error, "library", ""):
        return f"tls: {library} {str(getattr(error, 'reason', '')).lower().replace('_', ' ')}"
    source, to = join(terms.source, 0) if terms.source else "", terms.endpoint.text
    if error.errno is not None and error.errno < 0:  # an address of the other family
        return f"dial {protocol}: address {source}: {reason(error.errno)}"
    return f"dial {protocol} {f'{source}->{to}' if source else to}: {step}: {said(error)}"
