"""What etcd holds, as the names it stands for: the store of the mirror.

A record is one entry of one dictionary, from key to packed record. The order of the keys is kept by the mirror, which shares
their memory with us; of each place in the tree we know its only key, or that there are several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from pycoredns.output import logger
from pycoredns.plugins.etcd import packed as packing
from pycoredns.plugins.etcd.keys import WILDCARDS, before_wildcard, is_plain, segments
from pycoredns.plugins.etcd.parted import LAST, Parted
from pycoredns.plugins.etcd.skydns import BadValue, read
from pycoredns.plugins.etcd.usual import Usual

LONGEST_KEY = 1100
"""Octets below the root: 255 octets of a name, each written with a backslash and three digits."""
DEEPEST_KEY = 128
"""Labels; a name has 127 at most."""
SEVERAL = b""
"""In place of the only key below a place that has several."""

log = logger("plugin/etcd")


class SortedKeys(Protocol):
    """Keeps the keys in order: the mirror's ``Held``."""

    def between(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The keys from ``low`` to just before ``high``."""

    def first(self, low: bytes, high: bytes, most: int) -> list[bytes]:
        """The first of these keys, so many at most."""


class Tree:
    """Records by key, and who must know when they change."""

    def __init__(self, root: bytes, default_ttl: int) -> None:
        """``root`` is what all keys begin with, without a slash at its end; ``default_ttl`` is for records that have none."""
        self.root = root
        self._stem = root + b"/"
        self._root_size = len(root)
        self.default_ttl = default_ttl
        self.records = Parted()
        self.below = Parted()
        """Of each place that has keys below it: the only one, ``SEVERAL`` if there are more."""
        self.spoiled = 0
        self.sorted_keys: SortedKeys
        self.listeners: list[Callable[[], None]] = []
        self._usual = Usual(default_ttl)
        self._complaints = Complaints()

    # --- the store of a mirror

    def put(self, key: bytes, value: bytes, lease: int) -> None:
        """Takes over a value; one that is no record is told of once, and spoils nothing else."""
        if not self._has_place(key):
            self._complaints.tell(key, "too long for a name")
            return
        self.keep(key, self._pack(key, value, lease))

    def keep(self, key: bytes, new: bytes) -> None:
        """Takes over a record that is packed already."""
        records = self.records.parts[hash(key) & LAST]
        old = records.get(key)
        records[key] = new
        if new[0] == packing.SPOILED:
            self.spoiled += 1
        if old is None:
            self._add_below(key)
        elif old[0] == packing.SPOILED:
            self.spoiled -= 1

    def _add_below(self, key: bytes) -> None:
        # Not by _places_above: it takes 2 µs less without a generator, which are a sixth of a sync.
        cut = key.rfind(b"/")
        while cut >= self._root_size:
            place = key[:cut]
            part = self.below.parts[hash(place) & LAST]
            only = part.setdefault(place, key)
            if only is SEVERAL:
                return  # as at all places above
            if only is not key:
                part[place] = SEVERAL
            cut = key.rfind(b"/", 0, cut)

    def delete(self, key: bytes) -> None:
        """Forgets a key, which the sorted keys have forgotten already."""
        old = self.records.pop(key, None)
        if old is None:
            return
        self.spoiled -= old[0] == packing.SPOILED
        for place in self._places_above(key):
            left = list(islice(self._keys_below(place), 2))
            if len(left) > 1:
                return  # so it is at all places above
            if left:
                self.below[place] = left[0]
            else:
                del self.below[place]

    def changed(self) -> None:
        """Tells those who answer from here."""
        for listener in self.listeners:
            listener()

    def _pack(self, key: bytes, value: bytes, lease: int) -> bytes:
        plain = is_plain(key)
        if plain and not lease and (usual := self._usual.pack(value)):
            return usual
        try:
            service = read(value, key, lease, self.default_ttl)
        except BadValue as error:
            self._complaints.tell(key, str(error))
            return packing.pack_spoiled(str(error))
        return packing.pack(service, plain)

    def _has_place(self, key: bytes) -> bool:
        start = self._root_size
        return key.startswith(self._stem) and len(key) - start <= LONGEST_KEY and key.count(b"/", start) <= DEEPEST_KEY

    def _places_above(self, key: bytes) -> Iterator[bytes]:
        cut = key.rfind(b"/")
        while cut >= self._root_size:
            yield key[:cut]
            cut = key.rfind(b"/", 0, cut)

    # --- questions

    def place_of(self, name: bytes) -> bytes:
        """The key of a name."""
        return b"/".join((self.root, *segments(name)))

    def find(self, name: bytes, exact: bool = False) -> Iterator[bytes] | None:
        """The keys of a name in order: all below it or, if there are none or it is to be ``exact``, its own. None if it has none.

        Where a label is a wildcard, these are the keys of the name above it: ``matching`` says which of them count.
        """
        above = before_wildcard(name)
        place = self.place_of(name if above is None else above)
        if place in self.below and not exact:
            return self._keys_below(place)
        return iter((place,)) if place in self.records else None

    def first_below(self, stem: bytes, most: int) -> list[bytes]:
        """The first keys that begin with ``stem``, which ends with a slash, so many at most; also those that are no names."""
        return self.sorted_keys.first(stem, stem[:-1] + b"0", most)  # as below

    def matching(self, name: bytes, found: list[bytes]) -> list[bytes]:
        """Those of the keys found for a name with a wildcard that it stands for."""
        pattern = segments(name)
        return [key for key in found if self._matches(key, pattern)]

    def _keys_below(self, place: bytes) -> Iterator[bytes]:
        keys = self.sorted_keys.between(place + b"/", place + b"0")  # 0 follows / in ASCII
        return (key for key in keys if key in self.records)

    def _matches(self, key: bytes, pattern: list[bytes]) -> bool:
        parts = key[len(self.root) + 1 :].split(b"/")
        if len(parts) < len(pattern):
            return False
        return all(wanted in WILDCARDS or wanted == part for wanted, part in zip(pattern, parts, strict=False))


class Complaints:
    """Log lines about bad values: at most so many a minute, the rest as a number."""

    most, seconds = 20, 60.0

    def __init__(self) -> None:
        """Nothing said yet."""
        self._since = 0.0
        self._told = 0

    def tell(self, key: bytes, cause: str) -> None:
        """Names a key and what is wrong with its value."""
        now = time.monotonic()
        if now - self._since >= self.seconds:
            if self._told > self.most:
                log.error("%d more bad values in etcd", self._told - self.most)
            self._since, self._told = now, 0
        self._told += 1
        if self._told <= self.most:
            log.error("bad value in etcd, left out: %s: %s", shown(key), cause)


def shown(key: bytes) -> str:
    """A key as it can stand in a log line."""
    text = key.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
    return text if len(text) <= 300 else f"{text[:297]}..."
