"""What plugins such as bind, root, debug and reload tell the server before it opens its sockets."""

from __future__ import annotations

from dataclasses import field
from math import inf
from typing import TYPE_CHECKING

from pycoredns.frozen import changeable, frozen

if TYPE_CHECKING:
    from pycoredns.tsig import Key


@frozen
class ReloadSettings:
    """How the Corefile is watched; seconds."""

    interval: float
    jitter: float


@changeable
class ServerSettings:
    """Settings of the whole server, whichever block they stand in."""

    corefile: str = "Corefile"
    debug: bool = False
    reload: ReloadSettings | None = None


@changeable
class BlockSettings:
    """Settings of one server block."""

    listen: list[str] = field(default_factory=list)
    """IP addresses to bind; empty: all."""
    root: str = ""
    """Folder that relative paths begin in; empty: the working directory."""
    chaos: bool = False
    """Do questions of other classes than IN reach the plugins?"""
    patience: float = inf
    """How long, in seconds, a plugin may go on trying to answer a question with the help of others."""
    view: str = ""
    """The name under which the plugin view chose its questions."""
    stacktrace: bool = False
    """Is the way to an unexpected error printed, or the error alone?"""
    metadata: bool = False
    """Is anybody told what plugins find out on a question's way?"""
    keys: dict[bytes, Key] = field(default_factory=dict)
    """The TSIG keys of the plugin tsig, by their names in lower-case wire form."""
    server: ServerSettings = field(default_factory=ServerSettings)
