"""The parts of etcd's messages that are read here, typed; the generated classes themselves carry no types.

The source is etcd's api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

DELETED = 1
"""The type of an event that is a deletion."""


class Header(Protocol):
    """What every answer begins with: who answers, and the cluster's revision at that moment."""

    cluster_id: int
    revision: int


class KeyValue(Protocol):
    """A key as it is at one revision; ``mod_revision`` wrote it, ``lease`` 0 means that none holds it."""

    key: bytes
    value: bytes
    mod_revision: int
    lease: int


class RangeAnswer(Protocol):
    """A page of a listing; ``count`` is that of the whole range, ``more`` says that the page ends before it."""

    header: Header
    kvs: Sequence[KeyValue]
    more: bool
    count: int


class Event(Protocol):
    """A change: of a deletion only the key and the revision are filled in."""

    type: int
    kv: KeyValue


class WatchAnswer(Protocol):
    """A message of a watch: events, or progress (no events), or the news that it has begun or been cancelled."""

    header: Header
    watch_id: int
    """-1: not this watch alone but the whole stream, as in the answer to a request for progress."""
    created: bool
    canceled: bool
    compact_revision: int
    cancel_reason: str
    events: Sequence[Event]


class AuthenticateAnswer(Protocol):
    """A token, good for some minutes of idleness (simple) or in all (JWT), as the server is set up."""

    token: str


class LeaseTimeToLiveAnswer(Protocol):
    """The seconds a lease still has; -1 if there is no such lease."""

    TTL: int
