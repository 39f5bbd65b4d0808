"""Keys kept in AWS Secrets Manager: a secret is JSON with the texts of both files, as `key` and `private`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from pycoredns.dnssec.keys import BadKeyError, Key, key_of

GetSecret: TypeAlias = Callable[..., Mapping[str, Any]]
"""As the client's ``get_secret_value(SecretId=...)`` of boto3."""


def read_secrets(names: Iterable[str], get_secret: GetSecret | None = None) -> list[Key]:
    """The keys in secrets, by their names or ARNs; raises BadKeyError. It waits for the network.

    Region and credentials are those of the environment, as for all of Amazon's tools.
    """
    get_secret = get_secret or _client()
    return [_key_in(_fetch(name, get_secret), name) for name in names]


def _client() -> GetSecret:
    import boto3  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional, and without types

    try:
        return boto3.client("secretsmanager").get_secret_value  # type: ignore[no-any-return,unused-ignore]  # likewise
    except Exception as error:
        raise BadKeyError(f"AWS Secrets Manager cannot be used: {error}") from error


def _fetch(name: str, get_secret: GetSecret) -> str:
    try:
        return str(get_secret(SecretId=name)["SecretString"])
    except KeyError:
        raise BadKeyError(f"secret {name}: it is no text") from None
    except Exception as error:
        raise BadKeyError(f"secret {name}: {error}") from error


def _key_in(text: str, name: str) -> Key:
    """The key in a secret's text."""
    try:
        secret = json.loads(text)
        public, private = str(secret["key"]), str(secret["private"])
    except (ValueError, KeyError, TypeError):
        raise BadKeyError(f'secret {name}: it is no JSON with "key" and "private"') from None
    return key_of(public, private, f"secret {name}, key", f"secret {name}, private")
