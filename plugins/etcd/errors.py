"""What can go wrong between us and etcd, in our own words."""

from __future__ import annotations

import asyncio
from typing import ClassVar


class EtcdError(Exception):
    """A request to etcd that failed; its text names the endpoint, the cause and, where there is one, the remedy."""

    pause: ClassVar[float | None] = None
    """Seconds to the next try, where the usual backoff does not fit."""


class Unreachable(EtcdError):
    """No answer: no connection, no leader, no time left; another endpoint or a later try may do."""


class Unauthenticated(EtcdError):
    """The token is missing, outlived or unknown; a new one may do."""


class Forbidden(EtcdError):
    """The user, its password or its role does not allow this; somebody has to change that."""


class NoUsers(EtcdError):
    """Authentication is not enabled: whoever asks is let in."""


class HistoryLost(EtcdError):
    """The revision asked for is compacted away or not there yet: only a full sync helps."""


class LeaseNotFound(EtcdError):
    """The lease has expired, was revoked or never existed."""


class Suspicious(EtcdError):
    """A listing without most of what is held: believed only when a second one agrees."""

    pause = 5.0


class NewCertificates(EtcdError):
    """The TLS files have been replaced by others that work: time to connect with those."""

    pause = 0.0


def being_cancelled() -> bool:
    """Is a CancelledError that arrives here meant for the task it arrives in?

    gRPC raises one, too, into whoever reads from a call that was cancelled, by whomever.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
