"""How the fields of a plugin become its Corefile options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import pytest

from pycoredns.corefile.configure import configure, parse_directive
from pycoredns.corefile.describe import describe
from pycoredns.corefile.expand import parse
from pycoredns.corefile.kinds import Fallthrough, Network, OnOff, Zone
from pycoredns.corefile.model import Directive
from pycoredns.corefile.numbers import Count, Duration, PositiveSeconds, Seconds, is_whole
from pycoredns.corefile.options import (
    Argument,
    Arguments,
    BadValueError,
    Context,
    Option,
    OtherLines,
    Repeated,
    Repetition,
    zones_of_block,
)
from pycoredns.errors import ConfigError, ConfigErrors
from pycoredns.wire.names import from_text

if TYPE_CHECKING:
    from decimal import Decimal as Mirror


@dataclass(frozen=True)
class Kept:
    capacity: Count
    ttl: PositiveSeconds = PositiveSeconds(3600)
    minimum: Annotated[Seconds, Argument("the least", placeholder="MINTTL")] = Seconds(5)


@dataclass(frozen=True)
class Disabled:
    what: Literal["success", "denial"]
    zones: tuple[Zone, ...] = ()


@dataclass
class Store:
    """Keep answers and give them
    again.

    Not in the summary.
    """

    ttl: Annotated[PositiveSeconds, Argument("longest time", meant=is_whole)] = PositiveSeconds(3600)
    zones: Annotated[tuple[Zone, ...], Arguments("for which names", otherwise=zones_of_block)] = ()
    success: Annotated[Kept, Option("limits for positive answers")] = Kept(Count(9984))
    disable: Annotated[Disabled | None, Option("what is not kept")] = None
    policy: Annotated[Literal["random", "sequential"], Option("which is next")] = "random"
    expire: Annotated[Duration, Option("how long", surplus=True)] = Duration(10)
    prefix: Annotated[bool, Option("switch", name="local-prefix", kind=OnOff)] = False
    keepttl: Annotated[bool, Option("flag")] = False
    networks: Annotated[tuple[Network, ...], Repeated("for whom", name="net")] = ()
    limits: Annotated[tuple[Kept, ...], Repeated("more limits", name="limit")] = ()
    names: Annotated[tuple[Zone, ...], Option("except these")] = ()
    through: Annotated[Fallthrough, Option("pass on", name="fallthrough")] = Fallthrough()
    mirror: Mirror | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.keepttl and self.policy == "sequential":
            raise BadValueError("keepttl makes no sense with policy sequential", "take one away")


def directives(text: str) -> tuple[Directive, ...]:
    """The directives of a server block with this text."""
    return parse(f". {{\n{text}\n}}").blocks[0].directives


def made(plugin: type, text: str, **surroundings: Any) -> Any:
    """The only instance that lines make."""
    context = Context(**surroundings)
    instances: list[Any] = configure(plugin, directives(text), context)
    assert not context.errors
    return instances[0]


def mistakes(plugin: type, text: str) -> list[str]:
    """What is said about lines."""
    context = Context()
    configure(plugin, directives(text), context)
    return str(ConfigErrors(context.errors)).splitlines()


ORG, NET, A = Zone(from_text("org")), Zone(from_text("net")), Zone(from_text("a"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("store", Store(zones=(ORG, NET))),
        ("store 60", Store(PositiveSeconds(60), (ORG, NET))),
        ("store 60 A.", Store(PositiveSeconds(60), (A,))),
        ("store a 16.0.0.0/8", Store(zones=(A, Zone(from_text("16.in-addr.arpa"))))),
        ("store {\n}", Store(zones=(ORG, NET))),
        ("store a {\n success 5\n}", Store(zones=(A,), success=Kept(Count(5)))),
        ("store a {\n success 5 6 7\n}", Store(zones=(A,), success=Kept(Count(5), PositiveSeconds(6), Seconds(7)))),
        ("store a {\n expire 1m too much\n keepttl\n}", Store(zones=(A,), expire=Duration(60), keepttl=True)),
        ("store a {\n policy sequential\n policy random\n}", Store(zones=(A,))),
        ("store a {\n local-prefix on\n fallthrough org\n}", Store(zones=(A,), prefix=True, through=Fallthrough((ORG,)))),
        ("store a {\n disable denial a\n}", Store(zones=(A,), disable=Disabled("denial", (A,)))),
        ("store a {\n limit 1\n limit 2 3\n}", Store(zones=(A,), limits=(Kept(Count(1)), Kept(Count(2), PositiveSeconds(3))))),
    ],
)
def test_declared_options(text: str, expected: Store) -> None:
    assert made(Store, text, zones=(ORG, NET)) == expected


def test_repeated_options_collect_all_words() -> None:
    store = made(Store, "store {\n net 10.0.0.0/8 ::1/128\n net 192.0.2.0/24\n names a b\n}")
    assert list(map(str, store.networks)) == ["10.0.0.0/8", "::1/128", "192.0.2.0/24"]
    assert store.names == (from_text("a"), from_text("b"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("success", "Corefile:3: success: CAPACITY is missing; usage: success CAPACITY [TTL] [MINTTL] (plugin store)"),
        (
            "success x",
            'Corefile:3: success: CAPACITY: "x" is not a whole number; usage: success CAPACITY [TTL] [MINTTL] (plugin store)',
        ),
        ("success 1 2 3 4", 'Corefile:3: success: unexpected "4"; usage: success CAPACITY [TTL] [MINTTL] (plugin store)'),
        ("success 1 0", 'Corefile:3: success: TTL: "0" is too small; it must be at least 1 (plugin store)'),
        ("disable all", 'Corefile:3: disable: unknown word "all"; choose one of success, denial (plugin store)'),
        ("policy fastest", 'Corefile:3: unknown policy "fastest"; choose one of random, sequential (plugin store)'),
        ("expire", "Corefile:3: expire: DURATION is missing; usage: expire DURATION (plugin store)"),
        ("local-prefix", "Corefile:3: local-prefix: on|off is missing; usage: local-prefix on|off (plugin store)"),
        ("keepttl yes", 'Corefile:3: keepttl: unexpected "yes"; usage: keepttl (plugin store)'),
        ("names", "Corefile:3: names: ZONE is missing; usage: names ZONE... (plugin store)"),
        (
            "fallthrough a..b",
            'Corefile:3: fallthrough: zone "a..b" is not a domain name; usage: fallthrough [ZONES...] (plugin store)',
        ),
        ("keepttl {\n  x\n }", "Corefile:3: keepttl: takes no block; usage: keepttl (plugin store)"),
        ("succes 5", 'Corefile:3: unknown option "succes"; did you mean "success"? (plugin store)'),
        ("keepttl\n policy sequential", "Corefile:2: store: keepttl makes no sense with policy sequential; take one away"),
    ],
)
def test_mistakes_in_options(line: str, expected: str) -> None:
    assert mistakes(Store, f"store {{\n {line}\n}}") == [expected]


def test_all_mistakes_of_a_plugin_are_told() -> None:
    found = mistakes(Store, "store 0 {\n success\n expire soon\n nonsense\n}")
    assert [line.partition(": ")[0] for line in found] == ["Corefile:2", "Corefile:3", "Corefile:4", "Corefile:5"]


@dataclass
class Plain:
    """Take nothing."""


@dataclass
class Short:
    word: Annotated[str, Argument("some")] = ""


@dataclass(kw_only=True)
class Needing:
    endpoint: Annotated[str, Option("where")]
    least: Annotated[tuple[str, ...], Arguments("some", least=1)] = ()
    lines: Annotated[tuple[Directive, ...], OtherLines("ADDRESS NAME...", "entries")] = ()


@pytest.mark.parametrize(
    ("plugin", "text", "expected"),
    [
        (Plain, "plain x", 'Corefile:2: plain: unexpected "x"; usage: plain'),
        (Plain, "plain {\n}", "Corefile:2: plain: takes no block; usage: plain"),
        (Short, "short {\n x\n}", "Corefile:2: short: takes no block; usage: short [WORD]"),
        (
            Plain,
            "plain\nplain",
            "Corefile:3: plugin/plain: this plugin can only be used once per Server Block; the other is at Corefile:2",
        ),
        (Needing, "needing a", "Corefile:2: needing: endpoint is missing; usage: endpoint TEXT"),
        (Needing, "needing {\n endpoint x\n}", "Corefile:2: needing: LEAST is missing; usage: needing LEAST..."),
    ],
)
def test_mistakes_in_directives(plugin: type, text: str, expected: str) -> None:
    assert mistakes(plugin, text) == [expected]


def test_an_empty_block_says_nothing() -> None:
    assert made(Short, "short a {\n}") == Short("a")


def test_other_lines_are_left_to_the_plugin() -> None:
    needing = made(Needing, "needing a b {\n endpoint x\n 1.2.3.4 y\n endpoints z\n}")
    assert needing.least == ("a", "b")
    assert [line.name.text for line in needing.lines] == ["1.2.3.4", "endpoints"]


@pytest.mark.parametrize(
    ("repetition", "expected"),
    [("each", [("a",), ("b", "c")]), ("merged", [("a", "b", "c")]), ("first", [("a",)]), ("last", [("b", "c")])],
)
def test_repeated_directives(repetition: Repetition, expected: list[tuple[str, ...]]) -> None:
    @dataclass
    class Words:
        repeated: ClassVar[Repetition] = repetition
        words: Annotated[tuple[str, ...], Arguments("some")] = ()

    context = Context()
    assert [each.words for each in configure(Words, directives("w a\nw b c"), context)] == expected
    assert not context.errors


def test_a_plugin_may_read_its_lines_by_itself() -> None:
    @dataclass
    class Own(Plain):
        repeated: ClassVar[Repetition] = "merged"
        lines: int = 0
        base: Store | None = None

        @classmethod
        def from_directives(cls, directives: Sequence[Directive], context: Context) -> Self:
            if directives[0].arguments:
                raise ConfigError(directives[0].place, "wants no words")
            return cls(len(directives), parse_directive(Store, directives[0], context))

    own = made(Own, "own {\n success 1\n}\nown")
    assert (own.lines, own.base.success.capacity) == (2, 1)
    assert mistakes(Own, "own x") == ["Corefile:2: wants no words (plugin own)"]
    assert mistakes(Own, "own {\n success\n}")[0].startswith("Corefile:3: success: CAPACITY is missing")


def test_a_file_that_may_not_be_looked_at_is_told_with_its_place() -> None:
    class Looking:
        @classmethod
        def from_directive(cls, directive: Directive, context: Context) -> Self:
            context.path(directive.arguments[0].text).stat()
            return cls()

    name = 300 * "x"
    assert mistakes(Looking, f"looking {name}") == [f'Corefile:2: looking: "{name}" cannot be accessed: File name too long']


def test_a_type_that_nothing_reads_is_told_to_the_author() -> None:
    @dataclass
    class Wrong:
        what: Annotated[bytes, Option("")] = b""

    with pytest.raises(TypeError, match="give the option a kind"):
        configure(Wrong, directives("wrong {\n what x\n}"), Context())


def test_description() -> None:
    assert describe(Store, "store").splitlines()[:6] == [
        "store: Keep answers and give them again.",
        "",
        "store [TTL] [ZONES...] {",
        "    success CAPACITY [TTL] [MINTTL]",
        "    disable success|denial [ZONES...]",
        "    policy random|sequential",
    ]
    assert "    TTL           longest time (default: 3600)" in describe(Store, "store").splitlines()
    assert describe(Needing, "needing").splitlines()[2:6] == [
        "needing LEAST... {",
        "    endpoint TEXT",
        "    ADDRESS NAME... ...",
        "}",
    ]
