"""Values as most are written: an address, then numbers and texts. They are packed without JSON, in a sixth of the time.

{"host": "10.0.0.1", "port": 8080, "ttl": 300}

What follows the address is read once for all values that have the same there.
"""

from __future__ import annotations

import re

from pycoredns.plugins.etcd import packed as packing
from pycoredns.plugins.etcd.skydns import DEFAULT_PRIORITY, Service, address_of, address_text
from pycoredns.wire import types

MOST_KNOWN = 1024
"""Endings that are kept; then it is begun anew."""
_NUMBER = rb"(0|[1-9][0-9]{0,8})"
"""None is too large for any field."""
_PLAIN = rb"[ !#-\[\]-~]*"
_TEXT = rb'"text": ?"' + _PLAIN + rb'(?:\\["\\/bfnrt]' + _PLAIN + rb')*"'
_NO_TEXT = b'"text":""'
_texts = re.compile(_TEXT)
_ENDING = re.compile(
    rb'(?:, ?"(?:'
    + b"|".join((
        *(rb'%b": ?' % field + _NUMBER for field in (b"port", b"priority", b"weight", b"targetstrip", b"ttl")),
        rb'group": ?"(' + _PLAIN + rb')"',
        _TEXT[1:],
    ))
    + rb"))* ?\}"
)  # fmt: skip
"""Of two members with one name the last counts, here as in JSON."""


class Usual:
    """Packs usual values that are held by no lease, at keys that are what they seem."""

    def __init__(self, default_ttl: int) -> None:
        """``default_ttl`` is for records that have none."""
        self._default_ttl = default_ttl
        self._around: dict[tuple[int, bytes], tuple[bytes, bytes]] = {}
        """By type and ending: what stands around the address."""

    def pack(self, value: bytes) -> bytes:
        """The packed record; nothing where the value has to be read in full."""
        parts = value.split(b'"', 4)
        if len(parts) < 5 or parts[1] != b"host" or parts[0] != b"{" or parts[2] not in (b":", b": "):
            return b""
        text, ending = parts[3:]
        address = address_of(text)
        if address is None:
            return b""
        rtype, rdata = address
        around = self._around.get((rtype, ending))
        if around is None:
            ending = _texts.sub(_NO_TEXT, ending)  # beside an address it says nothing, and ExternalDNS has one for each name
            around = self._around.get((rtype, ending)) or self._learn(rtype, ending)
        if around is None or (b":" in text and text != address_text(rtype, rdata)):
            return b""
        return around[0] + rdata + around[1]

    def _learn(self, rtype: int, ending: bytes) -> tuple[bytes, bytes] | None:
        match = _ENDING.fullmatch(ending)
        if match is None:
            return None
        port, priority, weight, targetstrip, ttl = (int(number or 0) for number in match.groups()[:5])
        priority, ttl, group = priority or DEFAULT_PRIORITY, ttl or self._default_ttl, match[6] or b""
        host = bytes(4 if rtype == types.A else 16)
        service = Service(b"", rtype, host, b"", b"", group, port, priority, weight, ttl, targetstrip)
        if len(self._around) >= MOST_KNOWN:
            self._around.clear()
        around = packing.around_host(packing.pack(service, plain=True), len(host))
        return self._around.setdefault((rtype, ending), around)
