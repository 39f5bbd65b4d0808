"""What a Corefile consists of, once read: words, lines, server blocks.

Named tuples here and in this package, where a dataclass would do as well, because making such a class takes a sixth of the time
at the start (0.11 ms, not 0.65).
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A line of a file, as people name it: `Corefile:4`."""

    file: str
    line: int

    def __str__(self) -> str:
        """As editors and compilers write it."""
        return f"{self.file}:{self.line}"

    def told_at(self, again: Place) -> str:
        """What stands here, told where it must not stand again; of an imported line both places are the same."""
        return "it stands there twice, or its line is imported more than once" if again == self else f"the other is at {self}"


class Token(NamedTuple):
    """A word of a Corefile, without its quotes, with its environment references replaced."""

    text: str
    place: Place
    quoted: bool = False
    """Is it no brace, whatever it holds?"""

    def __str__(self) -> str:
        """The word itself."""
        return self.text


class Directive(NamedTuple):
    """A line: its first word, the words behind it, and the lines between its braces (None: it has no braces).

    The lines of a plugin's block are directives again.
    """

    name: Token
    arguments: tuple[Token, ...] = ()
    block: tuple[Directive, ...] | None = None

    @property
    def place(self) -> Place:
        """Where the line begins."""
        return self.name.place

    @property
    def words(self) -> tuple[Token, ...]:
        """All words of the line, its first one too: for lines that are data, as in the block of `hosts`."""
        return (self.name, *self.arguments)

    @property
    def lines(self) -> tuple[Directive, ...]:
        """The lines of the block; none where there is no block."""
        return self.block or ()


class ServerBlock(NamedTuple):
    """The directives for some zones: `example.org:1053 example.net { ... }`."""

    keys: tuple[Token, ...]
    directives: tuple[Directive, ...]
    place: Place
