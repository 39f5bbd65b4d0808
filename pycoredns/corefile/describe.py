"""What a plugin's declared options look like to people: the usage, and a sentence for each."""

from __future__ import annotations

import inspect
from typing import Any

from pycoredns.corefile.configure import Schema, schema_of
from pycoredns.corefile.forms import Group
from pycoredns.corefile.kinds import ListenAddress

_INDENT = "    "


def usage(plugin: type, name: str) -> str:
    """How a plugin is written in a Corefile, as its README's Syntax section shows it."""
    schema = schema_of(plugin)
    lines = _block_lines(schema)
    if own := getattr(plugin, "syntax", ""):
        return inspect.cleandoc(own)
    if not lines:
        return schema.usage(name)
    return "\n".join([f"{schema.usage(name)} {{", *(f"{_INDENT}{line}" for line in lines), "}"])


def describe(plugin: type, name: str) -> str:
    """Purpose, usage and options of a plugin, for `pycoredns help NAME`."""
    paragraphs = [f"{name}: {summary(plugin)}", usage(plugin, name), _table(schema_of(plugin))]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def summary(plugin: type) -> str:
    """The first sentence of a plugin's docstring."""
    text = inspect.getdoc(plugin) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _block_lines(schema: Schema) -> list[str]:
    """The lines of the block; what may stand on several ends in dots."""
    lines = [
        option.usage + (" ..." if option.repeated and not option.usage.endswith("...") else "")
        for option in schema.options.values()
    ]
    return lines + ([f"{schema.others[1].usage} ..."] if schema.others else [])


def _table(schema: Schema) -> str:
    """A line for each word and option: its name, what it is for, its default."""
    rows = [(word.name, _sentence(word.help, word.default)) for word in schema.words]
    for option in schema.options.values():
        rows.append((option.name, _sentence(option.mark.help, option.default)))
        words = option.form.words if isinstance(option.form, Group) else ()
        rows += [(f"  {word.name}", told) for word in words if (told := _sentence(word.help, word.default))]
    if schema.others:
        rows.append((schema.others[1].usage, schema.others[1].help))
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{_INDENT}{name:{width}}  {text}".rstrip() for name, text in rows)


def _sentence(text: str, default: Any) -> str:
    """The help with the default, where that says anything."""
    plain = isinstance(default, int | float | str | ListenAddress) and not isinstance(default, bool) and default != ""
    if not plain:
        return text
    written = getattr(default, "written", default)
    return f"{text} (default: {written})" if text else f"(default: {written})"
