"""The keys a mirror holds, each with revision, size and checksum of value and lease, in 24 bytes a key besides the key itself.

A dictionary of the revisions alone would take 84. The order also tells which keys a page of a listing does not have any more.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import lt
from typing import NamedTuple
from zlib import crc32

LONGEST = 1024
"""Keys in a block; to move that many for an insertion takes well under 1 µs."""


class Block:
    """Four columns, in the order of the keys."""

    __slots__ = ("checksums", "keys", "revisions", "sizes")

    def __init__(self, keys: list[bytes], revisions: array[int], sizes: array[int], checksums: array[int]) -> None:
        """Takes over the columns; they have one length."""
        self.keys = keys
        self.revisions = revisions
        self.sizes = sizes
        self.checksums = checksums

    def find(self, key: bytes) -> tuple[int, bool]:
        """The place of ``key``, and whether it is there already."""
        place = bisect_left(self.keys, key)
        return place, place < len(self.keys) and self.keys[place] == key

    def append(self, key: bytes, revision: int, size: int, checksum: int) -> None:
        """Adds a key behind all others."""
        self.keys.append(key)
        self.revisions.append(revision)
        self.sizes.append(size)
        self.checksums.append(checksum)

    def extend(self, keys: list[bytes], revisions: list[int], values: list[bytes], leases: list[int]) -> None:
        """Adds keys in their order behind all others."""
        self.keys += keys
        self.revisions.extend(revisions)
        self.sizes.extend(map(len, values))
        self.checksums.extend(map(crc32, values, leases))

    def insert(self, place: int, key: bytes, version: Version) -> None:
        """Makes room at ``place``."""
        self.keys.insert(place, key)
        self.revisions.insert(place, version.revision)
        self.sizes.insert(place, version.size)
        self.checksums.insert(place, version.checksum)

    def upper_half(self) -> Block:
        """Gives the upper half away to a block of its own."""
        half = slice(len(self.keys) // 2, None)
        upper = Block(self.keys[half], self.revisions[half], self.sizes[half], self.checksums[half])
        self.delete(half)
        return upper

    def delete(self, places: int | slice) -> None:
        """Closes the gap."""
        del self.keys[places], self.revisions[places], self.sizes[places], self.checksums[places]


def new_block() -> Block:
    """One without keys."""
    return Block([], array("q"), array("I"), array("I"))


class Version(NamedTuple):
    """What is known of a key's value, and of the lease that holds it."""

    revision: int
    size: int
    checksum: int

    @classmethod
    def of(cls, revision: int, value: bytes, lease: int) -> Version:
        """The version that ``revision`` wrote; the checksum begins with the lease, 0 if there is none."""
        return cls(revision, len(value), crc32(value, lease))


class Newest(NamedTuple):
    """The key that was written last, and what was written."""

    key: bytes
    revision: int
    checksum: int


class Held:
    """A sorted map from key to the revision that wrote its value."""

    def __init__(self) -> None:
        """Begins with nothing held."""
        self.size = 0
        """Octets in all keys and values."""
        self._blocks = [new_block()]
        self._lowest = [b""]
        """Of each block: no key in it is below this, and all keys in the block before are."""
        self._length = 0

    def __len__(self) -> int:
        """How many keys there are."""
        return self._length

    def extend(self, keys: list[bytes], revisions: list[int], values: list[bytes], leases: list[int]) -> bool:
        """Notes many keys that are behind all others, each once and in order; False, and nothing done, where they are not.

        It takes a third of what it takes to put one after the other.
        """
        last = self._blocks[-1].keys
        if not keys or (last and keys[0] <= last[-1]) or not all(map(lt, keys, islice(keys, 1, None))):
            return False
        if last and len(last) + len(keys) > LONGEST:
            self._blocks.append(new_block())
            self._lowest.append(keys[0])
        self._blocks[-1].extend(keys, revisions, values, leases)
        self._length += len(keys)
        self.size += sum(map(len, keys)) + sum(map(len, values))
        return True

    def put(self, key: bytes, revision: int, value: bytes, lease: int = 0) -> bool:
        """Notes that ``revision`` wrote ``value`` to ``key``, held by ``lease``; False if that was known."""
        return self.note(key, Version.of(revision, value, lease))

    def note(self, key: bytes, version: Version) -> bool:
        """Notes that ``key`` has this version now; False if that was known."""
        last = self._blocks[-1].keys
        if last and key > last[-1]:
            self._append(key, *version)
            return True
        index = bisect_right(self._lowest, key) - 1
        block = self._blocks[index]
        place, there = block.find(key)
        if there:
            return self._overwrite(block, place, version)
        block.insert(place, key, version)
        self._length += 1
        self.size += len(key) + version.size
        if len(block.keys) > LONGEST:
            self._split(index)
        return True

    def version(self, key: bytes) -> Version | None:
        """What is known of the value of ``key``, None if it is not held."""
        block = self._blocks[bisect_right(self._lowest, key) - 1]
        place, there = block.find(key)
        return Version(block.revisions[place], block.sizes[place], block.checksums[place]) if there else None

    def _append(self, key: bytes, revision: int, size: int, checksum: int) -> None:
        """Adds a key behind all others; blocks that are made so are full, where those made by insertions are half empty."""
        if len(self._blocks[-1].keys) >= LONGEST:
            self._blocks.append(new_block())
            self._lowest.append(key)
        self._blocks[-1].append(key, revision, size, checksum)
        self._length += 1
        self.size += len(key) + size

    def _overwrite(self, block: Block, place: int, version: Version) -> bool:
        if block.revisions[place] == version.revision and block.checksums[place] == version.checksum:
            return False
        self.size += version.size - block.sizes[place]
        block.revisions[place], block.sizes[place], block.checksums[place] = version
        return True

    def _split(self, index: int) -> None:
        upper = self._blocks[index].upper_half()
        self._blocks.insert(index + 1, upper)
        self._lowest.insert(index + 1, upper.keys[0])

    def delete(self, key: bytes) -> bool:
        """Forgets ``key``; False if it was not held."""
        index = bisect_right(self._lowest, key) - 1
        block = self._blocks[index]
        place, there = block.find(key)
        if not there:
            return False
        self._length -= 1
        self.size -= len(key) + block.sizes[place]
        block.delete(place)
        if not block.keys and index:
            del self._blocks[index], self._lowest[index]
        return True

    def between(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The keys from ``low`` to just before ``high``, in order; an empty ``high``, or one of a zero byte, has no end."""
        endless = high in (b"", b"\0")
        for index in range(bisect_right(self._lowest, low) - 1, len(self._blocks)):
            keys = self._blocks[index].keys
            start = bisect_left(keys, low)
            end = len(keys) if endless else bisect_left(keys, high)
            yield from keys[start:end]
            if end < len(keys):
                return

    def first(self, low: bytes, high: bytes, most: int) -> list[bytes]:
        """The first of these keys, so many at most; quick where they stand in one block, as those of a name nearly always do."""
        keys = self._blocks[bisect_right(self._lowest, low) - 1].keys
        start = bisect_left(keys, low)
        end = bisect_left(keys, high, start)
        return keys[start : min(end, start + most)] if end < len(keys) else list(islice(self.between(low, high), most))

    def newest_of_blocks(self) -> Iterator[Newest]:
        """What was written last in each block; it takes 20 µs a block."""
        for block in self._blocks:
            if block.keys:
                revision = max(block.revisions)
                place = block.revisions.index(revision)
                yield Newest(block.keys[place], revision, block.checksums[place])
