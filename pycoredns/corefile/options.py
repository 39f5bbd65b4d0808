"""How a plugin declares its Corefile options: as annotated fields of its dataclass.

    @dataclass(frozen=True)
    class Kept:
        capacity: Count
        ttl: Annotated[PositiveSeconds, "longest time"] = PositiveSeconds(3600)

    @dataclass
    class Cache(Plugin):
        \"\"\"Keep answers and give them again until their TTL runs out.\"\"\"

        repeated: ClassVar[Repetition] = "once"

        ttl: Annotated[PositiveSeconds | None, Argument("longest time an answer is kept", meant=is_whole)] = None
        zones: Annotated[tuple[Zone, ...], Arguments("zones to keep answers for", otherwise=zones_of_block)] = ()
        success: Annotated[Kept, Option("limits for positive answers")] = Kept(Count(9984))
        policy: Annotated[Literal["random", "round_robin"], Option("which upstream comes next")] = "random"
        expire: Annotated[Duration, Option("how long an idle connection is kept")] = Duration(10)
        names: Annotated[tuple[Zone, ...], Option("takes one or more words")] = ()
        keepttl: Annotated[bool, Option("a word of its own: true where it stands")] = False
        through: Annotated[Fallthrough, Option("...", name="fallthrough")] = Fallthrough()
        rules: Annotated[tuple[Rule, ...], Repeated("may stand on several lines")] = ()
        entries: Annotated[tuple[Directive, ...], OtherLines("ADDRESS NAME...", "lines that are no option")] = ()

The type of a field says how its words are read (see kinds.py): a kind, `str`, `int`, `Path`, `re.Pattern[str]`, Address, Network,
a `Literal` or an enum of words, a dataclass of such fields (its fields are the words of the line, in order; the last may be
`tuple[X, ...]`), or a class with `from_line(line, context)` that reads a whole line by itself (its block too, if the class has
`takes_block = True`). `X | None` reads as X. A field without a default must be given; use `kw_only=True` where such a field
stands behind one with a default. Fields without one of these marks are no options. A `__post_init__` may raise BadValueError (or
ValueError) with what does not fit together.

What no declaration can say, a plugin reads by itself, in one of these (both may raise ConfigError, or report to the context):

    @classmethod
    def from_directive(cls, directive: Directive, context: Context) -> Self: ...        # one line
    @classmethod
    def from_directives(cls, directives: Sequence[Directive], context: Context) -> Self: ...   # all lines of the block

`parse_directive(cls, directive, context)` of configure.py reads the declared part for them. Where declarations do not show how
such a plugin is written, it says so for `pycoredns help` in `syntax: ClassVar[str]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pycoredns.corefile.model import Directive, Place
from pycoredns.errors import ConfigError
from pycoredns.frozen import changeable

Repetition = Literal["once", "each", "merged", "first", "last"]
"""What several lines of one plugin in a server block mean.

once: an error. each: every line makes an instance of its own, in their order. merged: their words and blocks are joined and read
as one line (or all are given to from_directives). first, last: only that line counts.
"""


@changeable
class Context:
    """What a plugin may know of its surroundings while its options are read; it collects the mistakes."""

    zones: tuple[bytes, ...] = (b"\0",)
    """The zones of the server block: lower-case wire names, networks turned into reverse zones."""
    root: Path = field(default_factory=Path)
    """The folder that relative paths start from, set by the plugin root."""
    file: str = "Corefile"
    """The Corefile's path as it was given."""
    plugin: str = ""
    """The directive that is being read."""
    scheme: str = "dns"
    """The transport of the block's first key: dns, tls, https ..."""
    names: frozenset[str] = frozenset()
    """All directives of the server block."""
    errors: list[ConfigError] = field(default_factory=list)

    def report(self, place: Place, cause: str, remedy: str = "") -> None:
        """Note a mistake and go on, so that all of them are told at once."""
        self.errors.append(ConfigError(place, cause, remedy, self.plugin))

    def path(self, text: str) -> Path:
        """A path of the Corefile; a relative one starts at `root`."""
        return self.root / text


class BadValueError(ValueError):
    """A word that does not suit its option: raised by kinds and by `__post_init__`, told with place and name of the option."""

    def __init__(self, cause: str, remedy: str = "", option: str = "") -> None:
        """`cause` follows the option's name: `"soon" is not a duration`; `remedy`: `write it as 5s, 1m30s or 100ms`.

        `option` is for a `__post_init__`: the line of the block that is to be changed.
        """
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.option = option


class UnknownWordError(BadValueError):
    """A word that is none of those to choose from."""

    def __init__(self, word: str, choices: tuple[str, ...]) -> None:
        """Told as `unknown policy "fastest"; choose one of random, round_robin, sequential`."""
        super().__init__(f'"{word}" is unknown', f"choose one of {', '.join(choices)}")
        self.word = word


def zones_of_block(context: Context) -> tuple[bytes, ...]:
    """For `otherwise`: where a directive names no zones it works for those of its server block."""
    return context.zones


@changeable
class Mark:
    """What all declarations of options have in common."""

    help: str
    """One sentence for `pycoredns help` and the README."""
    kind: Any = None
    """How a word is read, where the field's type does not say it (`kind=OnOff` for a bool)."""
    placeholder: str = ""
    """The word's name in usage lines, where neither the kind's nor the field's is good enough."""


@changeable
class Argument(Mark):
    """A word on the directive's own line. Arguments are read in the order of their fields."""

    meant: Callable[[str], bool] | None = None
    """Tells whether a word is meant for this argument; if not, the next field gets it (`cache [TTL] [ZONES...]`)."""


@changeable
class Arguments(Mark):
    """All further words on the directive's own line; the field is a `tuple[X, ...]`."""

    otherwise: Callable[[Context], Any] | None = None
    """Gives the value where the line has no such words, as zones_of_block does."""
    least: int = 0
    """How many words there must be."""


@changeable
class Option(Mark):
    """A line of the plugin's block that begins with the field's name. Of several such lines the last counts."""

    name: str = ""
    """The word in the Corefile, where it is not the field's name."""
    surplus: bool = False
    """Whether words too many are passed over (as CoreDNS does for some options) instead of being a mistake."""


@changeable
class Repeated(Option):
    """An option that may stand on several lines; the field is a `tuple[X, ...]` of all their values.

    Where X is a dataclass or reads whole lines, each line gives one X; otherwise each word does.
    """


@changeable
class OtherLines:
    """Collects the lines of the block that are no option, as `tuple[Directive, ...]`, to be read by the plugin."""

    usage: str
    help: str = ""


__all__ = [
    "Argument",
    "Arguments",
    "BadValueError",
    "ConfigError",
    "Context",
    "Directive",
    "Option",
    "OtherLines",
    "Repeated",
    "Repetition",
    "UnknownWordError",
    "zones_of_block",
]
