"""Records as master files have them."""

import dns.exception
import dns.rdata
from dns.rdataclass import IN
from dns.rdatatype import RdataType

from pycoredns.wire import names


def owner_text(name: bytes) -> str:
    """A name (wire form) that begins a line, where a dollar sign would make it a directive (RFC 1035 §5.1)."""
    text = names.to_text(name)
    return f"\\{text}" if text.startswith("$") else text


def rdata_text(rtype: int, rdata: bytes) -> str:
    """By dnspython, which knows nearly all types; what it does not take, as hexadecimal digits (RFC 3597 §5)."""
    try:
        return dns.rdata.from_wire(IN, RdataType.make(rtype), rdata, 0, len(rdata)).to_text()
    except dns.exception.DNSException:
        return f"\\# {len(rdata)} {rdata.hex()}"
