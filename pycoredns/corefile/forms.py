"""The forms a line of options can have: a bare word, one word, many, several in order, or whatever a class reads by itself."""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from inspect import get_annotations
from typing import Any, Protocol, Union, get_args, get_origin

from pycoredns.corefile.kinds import Choice, Kind, kind_of
from pycoredns.corefile.model import Directive, Place, Token
from pycoredns.corefile.options import Argument, BadValueError, Context, Mark, UnknownWordError
from pycoredns.errors import ConfigError
from pycoredns.frozen import frozen


class Form(Protocol):
    """How the words behind an option's name are read, and how they are written in usage lines."""

    @property
    def usage(self) -> str:
        """The words, as `CAPACITY [TTL]`."""

    def read(self, line: Line, context: Context) -> Any:
        """The option's value; raises ConfigError."""


@frozen
class Line:
    """A line to be read, and how it is spoken of: its label (`success`) and its usage (`success CAPACITY [TTL]`)."""

    directive: Directive
    label: str
    usage: str

    def mistake(self, cause: str, remedy: str = "", place: Place | None = None) -> ConfigError:
        """A mistake in this line."""
        return ConfigError(place or self.directive.place, f"{self.label}: {cause}", remedy or f"usage: {self.usage}")

    def value(self, kind: Kind, token: Token, context: Context, name: str = "") -> Any:
        """One word's value; `name` tells which of several words it is."""
        return self._told(kind.parse, token, context, name)

    def values(self, kind: Kind, tokens: Iterable[Token], context: Context, name: str = "") -> tuple[Any, ...]:
        """The values of several words: a kind with `parse_all` may make more than one of each."""
        if parse_all := getattr(kind, "parse_all", None):
            return tuple(value for token in tokens for value in self._told(parse_all, token, context, name))
        return tuple(self.value(kind, token, context, name) for token in tokens)

    def _told(self, parse: Callable[[Token, Context], Any], token: Token, context: Context, name: str) -> Any:
        """What parse gives; its complaint gains the place and the names."""
        try:
            return parse(token, context)
        except UnknownWordError as error:
            cause = f'{self.label}: unknown word "{error.word}"' if name else f'unknown {self.label} "{error.word}"'
            raise ConfigError(token.place, cause, error.remedy) from None
        except BadValueError as error:
            cause = f"{name}: {error.cause}" if name else error.cause
            raise self.mistake(cause, error.remedy, token.place) from None

    def end(self, rest: Sequence[Token]) -> None:
        """Raises ConfigError where words are left."""
        if rest:
            raise self.mistake(f'unexpected "{rest[0].text}"', place=rest[0].place)


@frozen
class Flag:
    """A word of its own that stands for true."""

    usage: str = ""
    surplus: bool = False

    def read(self, line: Line, context: Context) -> bool:
        """True, where nothing stands behind it, or nothing that matters."""
        if not self.surplus:
            line.end(line.directive.arguments)
        return True


@frozen
class OneWord:
    """Exactly one word."""

    kind: Kind
    usage: str
    surplus: bool = False

    def read(self, line: Line, context: Context) -> Any:
        """The word's value."""
        if not line.directive.arguments:
            raise line.mistake(f"{self.usage} is missing")
        first, *rest = line.directive.arguments
        if not self.surplus:
            line.end(rest)
        return line.value(self.kind, first, context)


@frozen
class ManyWords:
    """One or more words of a kind."""

    kind: Kind
    usage: str

    def read(self, line: Line, context: Context) -> tuple[Any, ...]:
        """The values of all words."""
        if not line.directive.arguments:
            raise line.mistake(f"{self.usage.removesuffix('...')} is missing")
        return line.values(self.kind, line.directive.arguments, context)


@frozen
class WholeLine:
    """A class that reads the line by itself."""

    reader: Any
    usage: str

    def read(self, line: Line, context: Context) -> Any:
        """What the class makes of the line."""
        try:
            return self.reader.from_line(line.directive, context)
        except BadValueError as error:
            raise line.mistake(error.cause, error.remedy) from None


@frozen
class Word:
    """One of the words of a line, or all that are left (`several`)."""

    field: str
    name: str
    kind: Kind
    help: str
    required: bool
    several: bool = False
    meant: Callable[[str], bool] | None = None
    otherwise: Callable[[Context], Any] | None = None
    default: Any = None

    @property
    def usage(self) -> str:
        """As `TTL`, `[TTL]`, `[ZONES...]`."""
        text = f"{self.name}..." if self.several else self.name
        return text if self.required else f"[{text}]"


@frozen
class Group:
    """A dataclass whose fields are the words of the line, in order."""

    made: Callable[..., Any]
    words: tuple[Word, ...]
    surplus: bool = False

    @property
    def usage(self) -> str:
        """As `CAPACITY [TTL]`."""
        return " ".join(word.usage for word in self.words)

    def read(self, line: Line, context: Context) -> Any:
        """An instance of the dataclass."""
        values = read_words(self.words, line, context, self.surplus)
        try:
            return self.made(**values)
        except BadValueError as error:
            raise line.mistake(error.cause, error.remedy) from None
        except ValueError as error:
            raise line.mistake(str(error)) from None


def read_words(words: Sequence[Word], line: Line, context: Context, surplus: bool = False) -> dict[str, Any]:
    """The values of a line's words by the names of their fields; those that are not there are left out."""
    values: dict[str, Any] = {}
    rest = list(line.directive.arguments)
    for word in words:
        mine = [] if rest and word.meant and not word.meant(rest[0].text) else rest if word.several else rest[:1]
        rest = rest[len(mine) :]
        if mine:
            read = line.values if word.several else lambda kind, tokens, *more: line.value(kind, tokens[0], *more)
            values[word.field] = read(word.kind, mine, context, word.name)
        elif word.otherwise:
            values[word.field] = word.otherwise(context)
        elif word.required:
            raise line.mistake(f"{word.name} is missing")
    if not surplus:
        line.end(rest)
    return values


def form_of(declared: Any, mark: Mark, surplus: bool = False) -> Form:
    """The form of an option whose field has this type."""
    declared = without_none(declared)
    if element := element_of(declared):
        kind = kind_for(element, mark)
        return ManyWords(kind, f"{mark.placeholder or kind.placeholder}...")
    if hasattr(declared, "from_line"):
        return WholeLine(declared, mark.placeholder or getattr(declared, "placeholder", ""))
    if mark.kind is None and declared is bool:
        return Flag(surplus=surplus)
    if mark.kind is None and dataclasses.is_dataclass(declared) and not hasattr(declared, "parse"):
        return Group(declared, words_of(declared), surplus)  # type: ignore[arg-type]  # a dataclass, not an instance of one
    kind = kind_for(declared, mark)
    return OneWord(kind, mark.placeholder or kind.placeholder, surplus)


def kind_for(declared: Any, mark: Mark) -> Kind:
    """The kind that a mark names, or that suits the type; TypeError where there is none: the plugin's author must say."""
    kind: Kind | None = mark.kind or kind_of(declared)
    if kind is None:
        raise TypeError(f"no kind reads {declared!r}: give the option a kind")
    return kind


def words_of(declared: Any) -> tuple[Word, ...]:
    """The words that a dataclass's fields declare, each field one."""
    hints = field_types(declared)
    found = [(field, hints[field.name], mark_of(hints[field.name])) for field in dataclasses.fields(declared)]
    return tuple(word_of(field, bare(hint), mark) for field, hint, mark in found if isinstance(mark, Mark | str | None))


def word_of(field: dataclasses.Field[Any], declared: Any, mark: Any) -> Word:
    """The word that one field declares."""
    mark = mark if isinstance(mark, Mark) else Argument(mark or "")
    element = element_of(without_none(declared))
    kind = kind_for(element or without_none(declared), mark)
    name = mark.placeholder or (kind.placeholder if isinstance(kind, Choice) else field.name.upper())
    required = not has_default(field) or getattr(mark, "least", 0) > 0
    return Word(
        field.name,
        name,
        kind,
        mark.help,
        required and getattr(mark, "otherwise", None) is None,
        several=element is not None,
        meant=getattr(mark, "meant", None),
        otherwise=getattr(mark, "otherwise", None),
        default=field.default,
    )


def field_types(declared: Any, only_marked: bool = False) -> dict[str, Any]:
    """The types of a dataclass's fields with their marks.

    With `only_marked` the others are not looked at: their names may be known to type checkers only.
    """
    hints: dict[str, Any] = {}
    for owner in reversed(declared.__mro__):
        written = {
            name: hint
            for name, hint in get_annotations(owner).items()
            if not only_marked or "Annotated[" in str(hint) or hasattr(hint, "__metadata__")
        }
        shell = type("Fields", (), {"__annotations__": written})
        hints |= get_annotations(shell, globals=vars(sys.modules[owner.__module__]), locals=dict(vars(owner)), eval_str=True)
    return hints


def mark_of(hint: Any) -> Any:
    """What stands beside the type in `Annotated[type, mark]`."""
    return hint.__metadata__[0] if hasattr(hint, "__metadata__") else None


def bare(hint: Any) -> Any:
    """The type in `Annotated[type, mark]`."""
    return hint.__origin__ if hasattr(hint, "__metadata__") else hint


def element_of(declared: Any) -> Any:
    """X of `tuple[X, ...]`; None for other types."""
    return get_args(declared)[0] if get_origin(declared) is tuple else None


def without_none(declared: Any) -> Any:
    """X of `X | None`."""
    if get_origin(declared) not in (Union, types.UnionType):
        return declared
    return functools.reduce(operator.or_, [part for part in get_args(declared) if part is not types.NoneType])


def has_default(field: dataclasses.Field[Any]) -> bool:
    """May a field be left out?"""
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
