"""The web configuration of Prometheus's exporters, as far as it concerns TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pycoredns.errors import StartError

_CLIENTS = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_KNOWN = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version")


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
    except (OSError, ssl.SSLError, KeyError) as error:
        raise StartError(f"{file}: tls_server_config: {error}") from error


def _read_settings(file: Path) -> Mapping[str, Any]:
    """What the file says."""
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise StartError("prometheus: tls needs the package PyYAML; install it by pip install 'pycoredns[yaml]'") from error
    try:
        settings = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StartError(f"prometheus: tls: {file}: {error}") from error
    if settings is not None and not isinstance(settings, dict):
        raise StartError(f"prometheus: tls: {file}: is no web configuration; it begins with tls_server_config:")
    return settings or {}


def _context(server: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    """The settings in Python's terms; files that are not absolute lie beside the configuration."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[server.get("min_version") or "TLS12"]
    context.maximum_version = _VERSIONS[server.get("max_version") or "TLS13"]
    context.load_cert_chain(folder / server["cert_file"], folder / server["key_file"])
    if server.get("client_ca_file"):
        context.load_verify_locations(folder / server["client_ca_file"])
    context.verify_mode = _CLIENTS[server.get("client_auth_type") or ""]
    return context
