"""A zone as it is answered for: its SOA record, and the answers that consist of nothing else."""

from __future__ import annotations

from math import floor
from struct import Struct
from time import monotonic, time

from pycoredns.direct import MOST_RECORDS, Found, shape_of
from pycoredns.frozen import frozen
from pycoredns.meaning import Meaning
from pycoredns.response import Response
from pycoredns.wire import types
from pycoredns.wire.message import record

_NUMBERS = Struct("!IIIII")
_NO_NAME, _NO_DATA = shape_of(Meaning.NO_NAME, types.NXDOMAIN, authorities=1), shape_of(Meaning.NO_DATA, authorities=1)


@frozen
class Manners:
    """Where CoreDNS and SkyDNS differ."""

    default_ttl: int
    """TTL of records that have none."""
    soa_ttl: int
    """TTL of the SOA record in an answer about it."""
    denial_ttl: int
    """TTL of the SOA record that goes with a denial."""
    times: tuple[int, int, int, int]
    """Refresh, retry, expire, minimum of the SOA record."""
    longest_chain: int
    """Aliases that may stand before another one."""
    apex_key: bool
    """Do addresses of the zone itself come from dns/apex, where there is such a key?"""
    any_soa: bool
    """Is a question for the SOA answered at any name of the zone?"""
    both_families: bool
    """Do AAAA records go with a target in the zone, too?"""
    may_deny_ns: bool
    """May a question for NS learn that a name is not there?"""
    foreign_ttl: int | None = None
    """TTL of addresses from elsewhere beside SRV and MX; None: as they come."""


COREDNS = Manners(
    300,
    30,
    30,
    (7200, 1800, 86400, 30),
    longest_chain=10,
    apex_key=True,
    any_soa=True,
    both_families=False,
    may_deny_ns=True,
)
SKYDNS = Manners(
    3600,
    3600,
    60,
    (28800, 7200, 604800, 60),
    longest_chain=7,
    apex_key=False,
    any_soa=False,
    both_families=True,
    may_deny_ns=False,
    foreign_ttl=60,
)


class Zone:
    """One of the plugin's zones.

    The serial is the time, so its answers last until the second is over; until then all questions share them.
    """

    def __init__(self, name: bytes, manners: Manners = COREDNS) -> None:
        """``name`` is in lower-case wire form."""
        self.name = name
        self.manners = manners
        self.name_servers = b"\x02ns\x03dns" + name
        self.apex_key = b"\x04apex\x03dns" + name
        self._until = 0.0
        self._missing = self._empty = self._soa = Response()
        self._no_name: Found | None = None
        self._no_data: Found | None = None

    def missing(self) -> Response:
        """NXDOMAIN: there is no such name (RFC 2308 §2.1)."""
        if monotonic() >= self._until:
            self._renew()
        return self._missing

    def empty(self) -> Response:
        """NODATA: the name is there, but has no such records (RFC 2308 §2.2)."""
        if monotonic() >= self._until:
            self._renew()
        return self._empty

    def no_name(self) -> Found | None:
        """The same as ``missing``, if it is short enough to be found directly."""
        if monotonic() >= self._until:
            self._renew()
        return self._no_name

    def no_data(self) -> Found | None:
        """The same as ``empty``, if it is short enough to be found directly."""
        if monotonic() >= self._until:
            self._renew()
        return self._no_data

    def soa(self) -> Response:
        """The answer to a question for the SOA record."""
        if monotonic() >= self._until:
            self._renew()
        return self._soa

    def failure(self, error: Exception) -> Response:
        """SERVFAIL with the SOA record, as CoreDNS has it."""
        response = Response(types.SERVFAIL, authority=self.empty().authority, authorities=1)
        response.error = error
        response.memorable = False
        return response

    def _renew(self) -> None:
        now = time()
        denial = self._soa_record(self.manners.denial_ttl, floor(now))
        self._missing = Response(types.NXDOMAIN, authority=denial, authorities=1)
        self._empty = Response(authority=denial, authorities=1)
        self._soa = Response(answer=self._soa_record(self.manners.soa_ttl, floor(now)), answers=1)
        self._until = monotonic() + 1 - now % 1
        for response in (self._missing, self._empty, self._soa):
            response.until = self._until
        if len(denial) <= MOST_RECORDS:
            ttl = self.manners.denial_ttl.to_bytes(4, "big")
            self._no_name = _NO_NAME, ttl, self._until, b"", denial, b""
            self._no_data = _NO_DATA, ttl, self._until, b"", denial, b""

    def _soa_record(self, ttl: int, serial: int) -> bytes:
        rdata = self.name_servers + b"\x0ahostmaster" + self.name + _NUMBERS.pack(serial & 0xFFFFFFFF, *self.manners.times)
        return record(self.name, types.SOA, ttl, rdata)
