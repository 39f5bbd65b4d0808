"""Which keys a zone shows and signs with at some time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pycoredns.dnssec.keys import SHA256, Key
from pycoredns.dnssec.schedule import active, published, synchronized
from pycoredns.wire import types

_SIGNED_BY_ENTRY_POINTS = frozenset({types.DNSKEY, types.CDS, types.CDNSKEY})


@dataclass(frozen=True)
class ZoneKeys:
    """The keys of one zone, each in the zone's name."""

    origin: bytes
    """The zone, a lower-case wire name."""
    shown: tuple[Key, ...]
    """Those whose DNSKEY is in the zone."""
    for_keys: tuple[Key, ...]
    """Those that sign DNSKEY, CDS and CDNSKEY."""
    for_data: tuple[Key, ...]
    """Those that sign all else."""
    named: tuple[Key, ...]
    """Those whose DS the parent is asked for."""

    def signing(self, rtype: int) -> tuple[Key, ...]:
        """The keys that sign a set of this type."""
        return self.for_keys if rtype in _SIGNED_BY_ENTRY_POINTS else self.for_data

    @cached_property
    def tags(self) -> frozenset[int]:
        """What signatures call the keys by."""
        return frozenset(key.tag for key in self.shown)

    @cached_property
    def roles(self) -> tuple[tuple[bytes, ...], ...]:
        """Which keys do what: two zones with the same roles give the same signatures."""
        return tuple(tuple(key.rdata for key in keys) for keys in (self.shown, self.for_keys, self.for_data, self.named))

    @cached_property
    def ttl(self) -> int:
        """The TTL of what it shows: one set has one (RFC 2181 §5.2)."""
        return min((key.ttl for key in self.shown), default=0)

    @cached_property
    def sets(self) -> dict[int, tuple[bytes, ...]]:
        """The RDATA of the records that it shows at the zone's apex, by type (RFC 4034 §2, RFC 7344 §3)."""
        sets = {types.DNSKEY: tuple(key.rdata for key in self.shown)}
        if self.named:
            sets[types.CDS] = tuple(key.ds(SHA256).rdata for key in self.named)
            sets[types.CDNSKEY] = tuple(key.rdata for key in self.named)
        return sets


def arrange(origin: bytes, always: Iterable[Key], scheduled: Iterable[Key], now: float) -> ZoneKeys:
    """The keys of a zone: those that always sign, and those that do so when their times say it.

    Where an algorithm has both KSKs and ZSKs, the first sign the keys and the others all else; otherwise each signs everything.
    """
    keys = {key.rdata: (key.for_zone(origin), True) for key in always}
    for key in scheduled:
        keys.setdefault(key.rdata, (key.for_zone(origin), False))
    shown = [key for key, fixed in keys.values() if fixed or published(key, now)]
    signing = [key for key, fixed in keys.values() if fixed or active(key, now)]
    named = tuple(key for key in shown if synchronized(key, now))
    for_keys, for_data = _roles(signing)
    return ZoneKeys(origin, tuple(shown), for_keys, for_data, named)


def _roles(keys: Sequence[Key]) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
    """Who signs the keys, and who all else: of each algorithm some key signs all there is (RFC 4035 §2.2)."""
    entry_points, others = ([key for key in keys if key.secure_entry_point is wanted] for wanted in (True, False))
    split = {key.algorithm for key in entry_points} & {key.algorithm for key in others}
    for_keys = tuple(key for key in keys if key.algorithm not in split or key.secure_entry_point)
    return for_keys, tuple(key for key in keys if key.algorithm not in split or not key.secure_entry_point)
