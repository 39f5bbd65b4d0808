"""What is left to do once a batch of replies has been sent: counting and logging it."""

from __future__ import annotations

from pycoredns.listener import Listener
from pycoredns.memo import Entry
from pycoredns.plugin import tell


def settle(listener: Listener, hits: list[Entry], seen: list[tuple[Entry, object, int]], duration: int) -> None:
    """Counts the replies given from memory, shows those in ``seen`` (entry, peer, ID) to who watches, then the others.

    ``duration`` is that of the whole batch in nanoseconds: its replies left together.
    """
    if hits:
        listener.memo.took(hits, duration)
    for entry, peer, number in seen:
        outcome = entry.outcome
        outcome.peer, outcome.number, outcome.duration, outcome.times = peer, number, duration, 1
        tell(entry.block.each, outcome)
    listener.service.settle(duration)
