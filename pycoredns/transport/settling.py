"""What is left to do once a batch of replies has been sent: counting and logging it."""

from __future__ import annotations

from pycoredns.memo import Entry
from pycoredns.metrics import DURATIONS
from pycoredns.request import Listener

_SLOW = int(DURATIONS[0] * 1e9)


def settle(listener: Listener, hits: list[Entry], seen: list[tuple[Entry, object, int]], duration: int) -> None:
    """Counts the replies given from memory, shows those in ``seen`` (entry, peer, ID) to who watches, then the others.

    ``duration`` is that of the whole batch in nanoseconds: its replies left together.
    """
    memo = listener.memo
    if hits:
        if duration < _SLOW:
            memo.spent += duration * len(hits)
            memo.given += len(hits)
        else:
            for entry in hits:
                memo.count_slow(entry, duration)
    for entry, peer, number in seen:
        outcome = entry.outcome
        outcome.peer, outcome.number, outcome.duration, outcome.times = peer, number, duration, 1
        for observe in entry.block.each:
            observe(outcome)
    if listener.service.outcomes:
        listener.service.settle(duration)
