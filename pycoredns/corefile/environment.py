"""References to environment variables, `{$NAME}` and `{%NAME%}`."""

from __future__ import annotations

import os

_MOST_ROUNDS = 1000
_LONGEST = 1 << 20


def replace_references(text: str) -> str:
    """The text with its references replaced; a variable that is not set counts as empty.

    A reference without a name or an end stays, and so do those behind it. What comes from a variable may hold references again,
    as in CoreDNS; raises ValueError where that never ends.
    """
    if "{%" in text:
        text = _replace(text, "{%", "%}")
    return _replace(text, "{$", "}") if "{$" in text else text


def _replace(text: str, opening: str, closing: str) -> str:
    """Replaces references of one form."""
    for _ in range(_MOST_ROUNDS):
        start = text.find(opening)
        end = text.find(closing, start)
        if start < 0 or end <= start + len(opening) or len(text) > _LONGEST:
            break
        text = text.replace(text[start : end + len(closing)], os.environ.get(text[start + len(opening) : end], ""))
    else:
        raise ValueError("a reference to an environment variable leads back to itself")
    return text
