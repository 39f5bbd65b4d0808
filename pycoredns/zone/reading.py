"""Master files (RFC 1035 §5)."""

from __future__ import annotations

from pathlib import Path

from pycoredns.wire import names
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.zone import Zone


def read_zone(path: Path, origin: bytes) -> Zone:
    """The zone that a master file holds; raises BadZoneError, which names file and line, and OSError."""
    import dns.exception
    import dns.name
    import dns.zone

    from pycoredns.wire.message import Record

    try:
        parsed = dns.zone.from_file(str(path), names.to_text(origin), relativize=False, allow_include=True, check_origin=False)
    except dns.exception.DNSException as error:
        raise BadZoneError(str(path), str(error)) from None
    found = [Record(name.to_wire() or b"", rdata.rdtype, 1, ttl, rdata.to_wire() or b"") for name, ttl, rdata in parsed.iterate_rdatas()]
    try:
        return Zone.of(origin, found)
    except BadZoneError as error:
        raise BadZoneError(str(path), error.cause) from None
