"""Octets that CoreDNS counts too many: it keeps signatures and keys as base64, and rounds them up to whole groups of three.

So its log, its metrics and the place where it cuts an answer have a P-256 signature with 66 octets, not 64 (Go's ``DecodedLen``).
"""

from __future__ import annotations

import re

from pycoredns.wire import names, types

_SIGNATURES = {24, types.RRSIG}  # SIG has the same form
_BEHIND = {25: 4, types.DNSKEY: 4, types.CDNSKEY: 4, 37: 5, 49: 0, 61: 0}  # KEY, CERT, DHCID, OPENPGPKEY
"""Where in the RDATA of other types that part begins."""
HOLD_BASE64 = frozenset(_SIGNATURES | _BEHIND.keys())
"""Types of records."""
may_hold = re.compile(b"\0[%b]\0\1" % re.escape(bytes(HOLD_BASE64))).search
"""Is there, it seems, such a record in these octets? What stands before its TTL does."""
_SIGNER = 18
"""Where in a signature's RDATA the signer's name begins (RFC 4034 §3.1)."""


def surplus(rtype: int, rdata: bytes) -> int:
    """How much too many it counts for a record."""
    if rtype in _SIGNATURES:
        try:
            _, start = names.read(rdata, _SIGNER)
        except names.BadNameError:
            return 0
    elif rtype in _BEHIND:
        start = _BEHIND[rtype]
    else:
        return 0
    return (start - len(rdata)) % 3
