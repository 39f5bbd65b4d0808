"""One gRPC channel to one etcd endpoint, and what gRPC's errors mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import grpc.aio

from pycoredns.plugins.etcd.errors import (
    EtcdError,
    Forbidden,
    HistoryLost,
    LeaseNotFound,
    NoUsers,
    Unauthenticated,
    Unreachable,
    being_cancelled,
)
from pycoredns.plugins.etcd.settings import Endpoint, TLSFiles

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),  # more often brings GOAWAY too_many_pings
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # without it a peer that fell silent is not noticed at all
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),  # gRPC would use http_proxy even for 127.0.0.1
    ("grpc.use_local_subchannel_pool", 1),  # so that closing a channel really closes its connection
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 3_000),  # in truth the time a connection may take, TLS and all
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

SYSTEM_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
)

BY_TEXT: dict[str, type[EtcdError]] = {
    "invalid auth token": Unauthenticated,
    "user name is empty": Unauthenticated,
    "auth store is old": Unauthenticated,
    "authentication failed": Forbidden,
    "authentication is not enabled": NoUsers,
    "lease not found": LeaseNotFound,
}
"""Where etcd's status says too little: what a part of its text means."""

MEANINGS = {
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate is not from an authority we trust, not for this name or not valid now",
    "ALERT_BAD_CERTIFICATE": "the server does not accept our certificate, or wants one",
    "ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate",
    "ALERT_CERTIFICATE_EXPIRED": "our certificate has expired",
    "ALERT_UNKNOWN_CA": "the server does not know who signed our certificate",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS",
    "Handshake read failed": "the server hung up at the TLS handshake; does it speak TLS?",
    "Failed to create security handshaker": "certificate and key do not belong together, or are damaged",
}


def open_channel(endpoint: Endpoint, files: TLSFiles | None) -> grpc.aio.Channel:
    """A channel to ``endpoint`` with the TLS files as they are now; it connects when it is first used."""
    if not endpoint.encrypted:
        return grpc.aio.insecure_channel(endpoint.target, options=OPTIONS)
    return grpc.aio.secure_channel(endpoint.target, credentials(files or TLSFiles()), options=OPTIONS)


def credentials(files: TLSFiles) -> grpc.ChannelCredentials:
    """What the TLS handshake needs, read from ``files``; faults inside them show only at the handshake."""
    return grpc.ssl_channel_credentials(
        root_certificates=read(files.authorities) if files.authorities else system_authorities(),
        private_key=read(files.key) if files.key else None,
        certificate_chain=read(files.certificate) if files.certificate else None,
    )


def read(path: Path) -> bytes:
    """The PEM text in ``path``."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Unreachable(f"cannot read {path}: {error.strerror}") from error
    if b"-----BEGIN" not in text:  # gRPC would take the file and fail for ever after, without a reason
        raise Unreachable(f"{path} holds no PEM text")
    return text


def system_authorities() -> bytes | None:
    """The authorities this system trusts; None leaves the choice to gRPC, which brings a list of its own."""
    candidates = (ssl.get_default_verify_paths().cafile, *SYSTEM_AUTHORITIES)
    return next((path.read_bytes() for path in map(Path, filter(None, candidates)) if path.is_file()), None)


@contextmanager
def translated(endpoint: Endpoint) -> Iterator[None]:
    """Turns what gRPC raises into an EtcdError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise translation(error.code(), error.details() or "", endpoint) from error
    except (grpc.aio.UsageError, asyncio.InvalidStateError) as error:
        raise Unreachable(f"{endpoint.text}: the connection is closed") from error
    except asyncio.CancelledError as error:
        if being_cancelled():
            raise
        raise Unreachable(f"{endpoint.text}: the connection was closed") from error


def translation(code: grpc.StatusCode, details: str, endpoint: Endpoint) -> EtcdError:
    """The error that a gRPC status stands for."""
    words = f"{endpoint.text}: {cause(details)}"
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return Unauthenticated(words)
    if code is grpc.StatusCode.OUT_OF_RANGE:
        return HistoryLost(words)
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return Forbidden(words)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unreachable(f"{endpoint.text}: no answer in time")
    return next((kind(words) for text, kind in BY_TEXT.items() if text in details), Unreachable(words))


def cause(details: str) -> str:
    """The telling part of gRPC's or etcd's text, or what it means."""
    meaning = next((words for text, words in MEANINGS.items() if text in details), None)
    return meaning or details.rpartition("last error: ")[2].rpartition("etcdserver: ")[2].removeprefix("UNKNOWN: ")
