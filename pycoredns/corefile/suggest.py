"""What was meant by a word that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_LISTED = 12


def suggestion(word: str, known: Sequence[str]) -> str:
    """A remedy: `did you mean "cache"?`, or the list of what there is where it is short."""
    from difflib import get_close_matches  # late: it is needed for mistakes only

    if close := get_close_matches(word.lower(), known, n=1, cutoff=0.6):
        return f'did you mean "{close[0]}"?'
    return f"known are {', '.join(known)}" if 0 < len(known) <= _MOST_LISTED else ""
