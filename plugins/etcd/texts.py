"""Texts as the character strings of a TXT record (RFC 1035 §3.3.14), cut and unescaped as CoreDNS does it."""

from __future__ import annotations

import re

_LONGEST = 255
_ESCAPE = re.compile(rb"\\(?:([0-9]{3})|(.)|\Z)", re.DOTALL)


def text_rdata(text: bytes) -> bytes:
    """The RDATA for a text: cut every 255 octets, with an empty string behind a last full one; then a backslash escapes."""
    end = len(text) + 1 if len(text) >= _LONGEST else 1
    return b"".join(_string(text[place : place + _LONGEST]) for place in range(0, end, _LONGEST))


def _string(text: bytes) -> bytes:
    octets = _ESCAPE.sub(_unescape, text) if b"\\" in text else text
    return bytes((len(octets),)) + octets


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes((int(match[1]) & 0xFF,))
    return match[2] or b""
