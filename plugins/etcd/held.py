"""The keys a mirror holds, each with the revision and size of its value, in 20 bytes a key besides the key itself.

A dictionary would take 84. The order also tells which keys a page of a listing does not have any more.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

LONGEST = 1024  # keys in a block; moving that many for an insertion takes well under 1 µs


class Block:
    """Three columns, in the order of the keys."""

    __slots__ = ("keys", "revisions", "sizes")

    def __init__(self, keys: list[bytes], revisions: "array[int]", sizes: "array[int]") -> None:
        """Take over the three columns; they have one length."""
        self.keys = keys
        self.revisions = revisions
        self.sizes = sizes

    def find(self, key: bytes) -> tuple[int, bool]:
        """The place of `key`, and whether it is there already."""
        place = bisect_left(self.keys, key)
        return place, place < len(self.keys) and self.keys[place] == key

    def upper_half(self) -> "Block":
        """Give the upper half away to a block of its own."""
        middle = len(self.keys) // 2
        upper = Block(self.keys[middle:], self.revisions[middle:], self.sizes[middle:])
        del self.keys[middle:], self.revisions[middle:], self.sizes[middle:]
        return upper


class Held:
    """A sorted map from key to the revision that wrote its value."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self._blocks = [Block([], array("q"), array("I"))]
        self._lowest = [b""]  # of each block: no key in it is below this, and all keys in the block before are
        self._length = 0
        self.size = 0  # keys and values together

    def __len__(self) -> int:
        """How many keys there are."""
        return self._length

    def put(self, key: bytes, revision: int, size: int) -> bool:
        """Note that `revision` wrote `key`, a value of `size` bytes; False if that was known."""
        index = bisect_right(self._lowest, key) - 1
        block = self._blocks[index]
        place, there = block.find(key)
        if there:
            return self._overwrite(block, place, revision, size)
        block.keys.insert(place, key)
        block.revisions.insert(place, revision)
        block.sizes.insert(place, size)
        self._length += 1
        self.size += len(key) + size
        if len(block.keys) > LONGEST:
            self._split(index)
        return True

    def _overwrite(self, block: Block, place: int, revision: int, size: int) -> bool:
        if block.revisions[place] == revision:
            return False
        self.size += size - block.sizes[place]
        block.revisions[place] = revision
        block.sizes[place] = size
        return True

    def _split(self, index: int) -> None:
        upper = self._blocks[index].upper_half()
        self._blocks.insert(index + 1, upper)
        self._lowest.insert(index + 1, upper.keys[0])

    def delete(self, key: bytes) -> bool:
        """Forget `key`; False if it was not held."""
        index = bisect_right(self._lowest, key) - 1
        block = self._blocks[index]
        place, there = block.find(key)
        if not there:
            return False
        self._length -= 1
        self.size -= len(key) + block.sizes[place]
        del block.keys[place], block.revisions[place], block.sizes[place]
        if not block.keys and index:
            del self._blocks[index], self._lowest[index]
        return True

    def between(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The keys from `low` to just before `high`, in order; an empty `high`, or one of a zero byte, has no end."""
        endless = high in (b"", b"\0")
        for index in range(bisect_right(self._lowest, low) - 1, len(self._blocks)):
            keys = self._blocks[index].keys
            start = bisect_left(keys, low)
            end = len(keys) if endless else bisect_left(keys, high)
            yield from keys[start:end]
            if end < len(keys):
                return

    def newest(self) -> tuple[bytes, int] | None:
        """The key that was written last, and its revision."""
        if not self._length:
            return None
        newest, block = max(((max(block.revisions), block) for block in self._blocks if block.keys), key=lambda pair: pair[0])
        return block.keys[block.revisions.index(newest)], newest
