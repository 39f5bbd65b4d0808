"""What is asked by HTTP, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import TypeAlias

from pycoredns.frozen import frozen

PLAIN = ("Content-Type", "text/plain; charset=utf-8")


@frozen
class HTTPRequest:
    """What a client asked for; ``headers`` by lower-case name, the body is not kept."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@frozen
class HTTPReply:
    """What it gets; ``Content-Length`` and ``Date`` are added, and the body is left out for HEAD."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (PLAIN,)


HTTPHandler: TypeAlias = Callable[[HTTPRequest], HTTPReply | Awaitable[HTTPReply]]
NOT_FOUND = HTTPReply(404, b"404 page not found\n", (PLAIN, ("X-Content-Type-Options", "nosniff")))
