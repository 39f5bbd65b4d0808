"""The web configuration of Prometheus's exporters, as far as it concerns TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pycoredns.errors import StartError
from pycoredns.http import Route
from pycoredns.output import logger

INTERVAL = 30.0
"""Seconds between two looks at the files."""
log = logger("plugin/prometheus")
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_FILES = ("cert_file", "key_file", "client_ca_file")
Choice = TypeVar("Choice")
_KNOWN = (*_FILES, "client_auth_type", "min_version", "max_version")


class Certified:
    """The TLS settings of a web configuration, read again when its files have been replaced: certificates are renewed often."""

    def __init__(self, file: Path) -> None:
        """Reads it; raises StartError."""
        self._file = file
        self._version = version_of(file)
        self._complaint = ""
        self.context = read_tls(file)

    async def watch(self, route: Route) -> None:
        """Looks at the files again and again until it is cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.look(route)

    async def look(self, route: Route) -> None:
        """Has a route use what is new; while that cannot be used, what was read before holds."""
        try:
            version = version_of(self._file)
            if version != self._version:
                await route.secure(read_tls(self._file))
        except Exception as error:  # noqa: BLE001  a background step ends here: the next look may go better
            if str(error) != self._complaint:
                log.warning("%s; what was read before is used", error)
            self._complaint = str(error)
        else:
            self._version, self._complaint = version, ""


def read_tls(file: Path) -> ssl.SSLContext | None:
    """The TLS settings of a web configuration, None where it has none; raises StartError for what cannot be used."""
    settings = _read_settings(file)
    for name in settings:
        if name != "tls_server_config":
            raise StartError(f"{file}: {name} is not offered; use client certificates to keep others out")
    server = settings.get("tls_server_config")
    if server is None:
        return None
    if not isinstance(server, dict) or not server.get("cert_file") or not server.get("key_file"):
        raise StartError(f"{file}: tls_server_config needs cert_file and key_file")
    if unknown := [name for name in server if name not in _KNOWN]:
        raise StartError(f"{file}: tls_server_config: {unknown[0]} is not offered; there are {', '.join(_KNOWN)}")
    try:
        return _context(server, file.parent)
    except (OSError, ValueError, TypeError) as error:
        raise StartError(f"{file}: tls_server_config: {_reason(error)}") from error


def version_of(file: Path) -> Sequence[tuple[int, ...]]:
    """What differs once a web configuration, or a file that it names, has been replaced; raises StartError."""
    server = _read_settings(file).get("tls_server_config")
    named = [str(server[name]) for name in _FILES if server.get(name)] if isinstance(server, dict) else []
    try:
        found = [path.stat() for path in (file, *(file.parent / name for name in named))]
    except OSError as error:
        raise StartError(f"{file}: {_reason(error)}") from error
    return [(each.st_mtime_ns, each.st_size, each.st_ino) for each in found]


def _read_settings(file: Path) -> Mapping[str, Any]:
    """What the file says."""
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise StartError("the package PyYAML is needed; install it by pip install 'pycoredns[yaml]'") from error
    try:
        settings = yaml.safe_load(file.read_text())
    except OSError as error:
        raise StartError(_reason(error)) from error
    except (ValueError, yaml.YAMLError) as error:
        raise StartError(f"{file}: {error}") from error
    if settings is not None and not isinstance(settings, dict):
        raise StartError(f"{file} is no web configuration; it begins with tls_server_config:")
    return settings or {}


def _reason(error: Exception) -> str:
    """What is wrong, with the file's name if that is known."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"open {error.filename}: {error.strerror.lower()}" if error.filename else error.strerror


def _context(server: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    """The settings in Python's terms; files that are not absolute lie beside the configuration."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _chosen(server, "min_version", _VERSIONS) or ssl.TLSVersion.TLSv1_2
    context.maximum_version = _chosen(server, "max_version", _VERSIONS) or ssl.TLSVersion.TLSv1_3
    pair = folder / server["cert_file"], folder / server["key_file"]
    try:
        context.load_cert_chain(*pair)
    except OSError as error:
        raise ValueError(f"{pair[0]} and {pair[1]} cannot be used: {_reason(error)}") from error
    if server.get("client_ca_file"):
        context.load_verify_locations(folder / server["client_ca_file"])
    context.verify_mode = _chosen(server, "client_auth_type", _CLIENTS) or ssl.CERT_NONE
    return context


def _chosen(server: Mapping[str, Any], name: str, choices: Mapping[str, Choice]) -> Choice | None:
    """What one of some words stands for; None where there is none."""
    word = server.get(name)
    if word and word not in choices:
        raise ValueError(f'{name}: "{word}" is not offered; there are {", ".join(choices)}')
    return choices[word] if word else None
