"""From the lines of a Corefile to plugins, by the options that the plugins declare."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pycoredns.corefile.forms import (
    Form,
    Line,
    ManyWords,
    OneWord,
    Word,
    bare,
    element_of,
    field_types,
    form_of,
    has_default,
    mark_of,
    read_words,
    without_none,
    word_of,
)
from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import Argument, Arguments, BadValueError, Context, Option, OtherLines, Repeated
from pycoredns.corefile.suggest import suggestion
from pycoredns.errors import ConfigError, ConfigErrors
from pycoredns.frozen import frozen

T = TypeVar("T")


@frozen
class BlockOption:
    """A line of a plugin's block."""

    field: str
    declared: Any
    """The field's type."""
    mark: Option
    required: bool
    default: Any = None

    @property
    def name(self) -> str:
        """The word in the Corefile."""
        return self.mark.name or self.field

    @property
    def repeated(self) -> bool:
        """May it stand on several lines?"""
        return isinstance(self.mark, Repeated)

    @functools.cached_property
    def form(self) -> Form:
        """How the line is read: made for those options only that a Corefile has. TypeError where nothing reads the type."""
        form = form_of(element_of(self.declared) if self.repeated else self.declared, self.mark, self.mark.surplus)
        if self.repeated and isinstance(form, OneWord):
            return ManyWords(form.kind, f"{form.usage}...")
        return form

    @property
    def usage(self) -> str:
        """As `success CAPACITY [TTL]`."""
        return f"{self.name} {self.form.usage}".rstrip()

    def add(self, values: dict[str, Any], value: Any) -> None:
        """Notes a line's value: beside the earlier ones where it may be repeated, else in their place."""
        if self.repeated:
            value = values.get(self.field, ()) + (value if isinstance(self.form, ManyWords) else (value,))
        values[self.field] = value


@frozen
class Schema:
    """What a plugin's fields declare."""

    words: tuple[Word, ...]
    options: dict[str, BlockOption]
    others: tuple[str, OtherLines] | None

    def usage(self, name: str) -> str:
        """The directive's own line."""
        return " ".join([name, *(word.usage for word in self.words)])


@functools.cache
def schema_of(plugin: type) -> Schema:
    """Reads a plugin's fields; TypeError where nothing reads a word of the directive's line."""
    if not is_dataclass(plugin):
        return Schema((), {}, None)
    hints = field_types(plugin, only_marked=True)
    marked = [(field, bare(hints[field.name]), mark_of(hints[field.name])) for field in fields(plugin) if field.name in hints]
    options = [
        BlockOption(field.name, without_none(declared), mark, not has_default(field), field.default)
        for field, declared, mark in marked
        if isinstance(mark, Option)
    ]
    others = [(field.name, mark) for field, _, mark in marked if isinstance(mark, OtherLines)]
    words = tuple(word_of(field, declared, mark) for field, declared, mark in marked if isinstance(mark, Argument | Arguments))
    return Schema(words, {option.name: option for option in options}, others[0] if others else None)


def configure(plugin: type[T], directives: Sequence[Directive], context: Context) -> list[T]:
    """Makes a plugin's instances from all its lines in a server block.

    Mistakes are added to `context.errors`; then what is returned is not complete and must not be run.
    """
    context.plugin = directives[0].name.text
    made: list[T] = []
    for lines in _shares(plugin, directives, context):
        try:
            made.append(_make(plugin, lines, context))
        except ConfigErrors as errors:
            context.errors += [_owned(error, context.plugin) for error in errors.errors]
        except ConfigError as error:
            context.errors.append(_owned(error, context.plugin))
        except ValueError as error:
            context.report(lines[0].place, f"{context.plugin}: {error}", getattr(error, "remedy", ""))
        except OSError as error:
            context.errors.append(_owned(_inaccessible(lines[0], error), context.plugin))
    repeated = getattr(plugin, "repeated", "once")
    return made[:1] if repeated == "first" else made[-1:] if repeated == "last" else made


def _shares(plugin: type, directives: Sequence[Directive], context: Context) -> list[Sequence[Directive]]:
    """Which lines make an instance together."""
    repeated = getattr(plugin, "repeated", "once")
    if repeated == "merged":
        return [directives]
    if repeated == "once" and len(directives) > 1:
        cause = f"plugin/{context.plugin}: this plugin can only be used once per Server Block"
        first, second, *_ = (directive.place for directive in directives)
        context.report(second, cause, first.told_at(second))
        directives = directives[:1]
    return [[directive] for directive in directives]


def _make(plugin: type[T], directives: Sequence[Directive], context: Context) -> T:
    """One instance, in the plugin's own way if it has one."""
    if from_directives := getattr(plugin, "from_directives", None):
        return from_directives(directives, context)  # type: ignore[no-any-return]  # as options.py asks of plugins
    directive = directives[0] if len(directives) == 1 else _joined(directives)
    if from_directive := getattr(plugin, "from_directive", None):
        return from_directive(directive, context)  # type: ignore[no-any-return]  # likewise
    return parse_directive(plugin, directive, context)


def _joined(directives: Sequence[Directive]) -> Directive:
    """Several lines as if they were one."""
    arguments = tuple(token for directive in directives for token in directive.arguments)
    blocks = [directive.block for directive in directives if directive.block is not None]
    return Directive(directives[0].name, arguments, tuple(line for block in blocks for line in block) if blocks else None)


def _owned(error: ConfigError, plugin: str) -> ConfigError:
    """The error, saying which plugin it belongs to."""
    error.plugin = error.plugin or plugin
    return error


def _inaccessible(line: Directive, error: OSError) -> ConfigError:
    """A line names a file that may not even be looked at."""
    what = f'"{error.filename}" cannot be accessed: {error.strerror}' if error.filename else str(error)
    return ConfigError(line.place, f"{line.name}: {what}")


def parse_directive(plugin: type[T], directive: Directive, context: Context) -> T:
    """An instance from the declared options; raises ConfigErrors with all mistakes of the line and its block."""
    values = read_options(plugin, directive, context)
    try:
        return plugin(**values)
    except BadValueError as error:
        places = [line.place for line in directive.lines if line.name.text == error.option]
        place = places[-1] if places else directive.place
        raise ConfigError(place, f"{directive.name}: {error.cause}", error.remedy) from None
    except ValueError as error:
        raise ConfigError(directive.place, f"{directive.name}: {error}") from None


def parse_directives(plugin: type[T], directives: Sequence[Directive], context: Context) -> list[T]:
    """An instance of each line; raises ConfigErrors with the mistakes of all."""
    made, errors = list[T](), list[ConfigError]()
    for directive in directives:
        try:
            made.append(parse_directive(plugin, directive, context))
        except ConfigErrors as found:
            errors += found.errors
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise ConfigErrors(errors)
    return made


def read_options(plugin: type, directive: Directive, context: Context) -> dict[str, Any]:
    """The values of the fields that a line and its block give; raises ConfigErrors with all their mistakes."""
    schema, errors = schema_of(plugin), list[ConfigError]()
    values: dict[str, Any] = {}
    head = Line(directive, directive.name.text, schema.usage(directive.name.text))
    try:
        values |= read_words(schema.words, head, context)
        # an empty block says nothing: as in CoreDNS it is a mistake only where nothing at all may follow
        if not schema.options and not schema.others and (directive.block or (directive.block is not None and not schema.words)):
            raise head.mistake("takes no block")
    except ConfigError as error:
        errors.append(error)
    if schema.options or schema.others:
        errors += _read_block(schema, directive, values, context)
    if errors:
        raise ConfigErrors(errors)
    return values


def _read_block(schema: Schema, directive: Directive, values: dict[str, Any], context: Context) -> list[ConfigError]:
    """Adds the values of the block's lines; returns the mistakes."""
    errors: list[ConfigError] = []
    for line in directive.lines:
        try:
            _read_line(schema, line, values, context)
        except ConfigError as error:
            errors.append(error)
        except OSError as error:
            errors.append(_inaccessible(line, error))
    missing = [option for option in schema.options.values() if option.required and option.field not in values]
    if missing and not errors:
        errors = [ConfigError(directive.place, f"{directive.name}: {o.name} is missing", f"usage: {o.usage}") for o in missing]
    return errors


def _read_line(schema: Schema, line: Directive, values: dict[str, Any], context: Context) -> None:
    """Adds the value of one line; raises ConfigError."""
    option = schema.options.get(line.name.text)
    if option:
        told = Line(line, option.name, option.usage)
        if line.block is not None and not getattr(getattr(option.form, "reader", None), "takes_block", False):
            raise told.mistake("takes no block")
        option.add(values, option.form.read(told, context))
    elif schema.others:
        values[schema.others[0]] = (*values.get(schema.others[0], ()), line)
    else:
        raise ConfigError(line.place, f'unknown option "{line.name}"', suggestion(line.name.text, list(schema.options)))
