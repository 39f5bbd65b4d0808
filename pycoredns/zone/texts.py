"""RDATA as master files have it."""

import dns.exception
import dns.rdata
from dns.rdataclass import IN
from dns.rdatatype import RdataType


def rdata_text(rtype: int, rdata: bytes) -> str:
    """By dnspython, which knows nearly all types; what it does not take, as hexadecimal digits (RFC 3597 §5)."""
    try:
        return dns.rdata.from_wire(IN, RdataType.make(rtype), rdata, 0, len(rdata)).to_text()
    except dns.exception.DNSException:
        return f"\\# {len(rdata)} {rdata.hex()}"
