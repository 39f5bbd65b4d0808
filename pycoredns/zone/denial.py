"""Proofs that something is not there, from the NSEC records of a zone that was signed ahead (RFC 4035 §3.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pycoredns.zone.zone import Zone


class Denial(Protocol):
    """What proves that something is not there; each method gives names whose NSEC or NSEC3 records do."""

    def no_data(self, name: bytes) -> list[bytes]:
        """A name of the zone, maybe an empty non-terminal, has no records of a type."""

    def no_name(self, name: bytes, encloser: bytes) -> list[bytes]:
        """Neither a name nor a wildcard that would stand for it is there; ``encloser`` is its closest encloser."""

    def no_closer_name(self, name: bytes, encloser: bytes) -> list[bytes]:
        """Only the wildcard below ``encloser`` stands for a name."""


def denial_of(zone: Zone) -> Denial | None:
    """What a zone proves its denials with, if it can."""
    return None
