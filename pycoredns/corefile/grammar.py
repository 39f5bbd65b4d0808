"""The syntax of a Corefile: words on lines, and lines between braces.

A word ends at white space. A `#` at its start begins a comment up to the end of the line; one inside it cuts off the rest of the
word alone. Quotes open at a word's start only and may hold line breaks; in them a backslash escapes nothing but a quote. A brace
is one where it is a word of its own.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pycoredns.corefile.model import Place, Token
from pycoredns.errors import ConfigError

if TYPE_CHECKING:
    from pyparsing import ParserElement

_SPACE = r"[^\S\n]"
# There is but one way for each of these to match, so that none takes long to fail. Possessive quantifiers would say so, but go
# astray before Python 3.11.5.
_BLANK = r"\s*(?:\#[^\n]*(?:\n\s*|\Z))*"
_CUT = r"(?:\#\S*)?"
_END = r"(?![^\s#])"
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_PLAIN = rf'[^\s#"][^\s#]*{_CUT}'
_WORD = rf"(?:{_QUOTED}|(?![{{}}]{_END}){_PLAIN})"
_WORD_OR_CLOSING = rf"(?:{_QUOTED}|(?!\{{{_END}){_PLAIN})"
_any_word = re.compile(rf"{_QUOTED}|{_PLAIN}", re.DOTALL)
_escape = re.compile(r"\\(.)", re.DOTALL)


class Line(NamedTuple):
    """A line as it is written: its words (none where it is but a brace), and the lines of its block (None: it has no braces)."""

    words: tuple[Token, ...]
    place: Place
    block: tuple[Line, ...] | None = None
    below: bool = False
    """The opening brace does not stand on the line of the words."""
    crowded: bool = False
    """The closing brace does not stand on a line of its own, and the block is not empty."""
    behind: bool = False
    """The line begins right behind the closing brace of the one before."""


@functools.cache
def _grammar() -> ParserElement:
    """The parser, made when it is first needed: importing pyparsing takes longer than parsing a Corefile."""
    from pyparsing import Forward, Group, Opt, Regex, StringEnd, ZeroOrMore

    def pattern(text: str) -> Regex:
        return Regex(_BLANK + text, re.DOTALL, as_match=True)

    def words(word: str) -> Regex:
        return pattern(rf"(?P<words>{word}(?:{_SPACE}*{word})*)")

    block = Forward()
    line = Group(words(_WORD) + Opt(block)) | Group(block)
    block <<= pattern(rf"(?P<opening>\{{{_END}){_CUT}") - Group(ZeroOrMore(line)) - pattern(rf"(?P<closing>\}}{_END}){_CUT}")
    outermost = Group(words(_WORD_OR_CLOSING) + Opt(block)) | Group(block)
    grammar: ParserElement = ZeroOrMore(outermost) + Regex(_BLANK).suppress() + StringEnd()
    return grammar.leave_whitespace().parse_with_tabs()


def parse_lines(text: str, file: str, warnings: list[ConfigError] | None = None) -> tuple[Line, ...]:
    """The lines of a file, those of blocks inside their lines; raises ConfigError where a brace is missing.

    With `warnings` the very last brace may be missing behind that of a plugin's block, as CoreDNS lets it be.
    """
    from pyparsing import ParseBaseException

    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        parsed = _grammar().parse_string(text)
    except ParseBaseException:
        missing = _unclosed(text, file)
        if warnings is None or not isinstance(missing, _LastBraceMissingError):
            raise missing from None
        lines = parse_lines(f"{text}\n}}", file)
        if any(line.block is None for line in lines) or lines[-1].words[0].text.startswith("("):
            raise missing from None
        warnings.append(missing)
        return lines
    except RecursionError:
        raise ConfigError(Place(file, 1), "braces are nested too deeply") from None
    return _Placed(text, file).lines(parsed)


class _LastBraceMissingError(ConfigError):
    """Only the last closing brace is missing, and the one before it closes a plugin's block."""


class _Placed:
    """Turns what has been parsed into Lines; counts line breaks on the way, so each part must be visited in its order."""

    def __init__(self, text: str, file: str) -> None:
        """`file` is what places are named by."""
        self.text = text
        self.file = file
        self.counted = 0
        self.line = 1

    def number(self, offset: int) -> int:
        """The number of the line at an offset, which must not lie before the last one asked for."""
        self.line += self.text.count("\n", self.counted, offset)
        self.counted = offset
        return self.line

    def lines(self, parsed: Any) -> tuple[Line, ...]:
        """The lines of a block, or of the file."""
        lines: list[Line] = []
        for parts in parsed:
            closed = self.line if lines and lines[-1].block is not None else 0
            lines.append(self.one(list(parts), closed))
        return tuple(lines)

    def one(self, parts: list[Any], closed: int) -> Line:
        """A line; `closed` is where the closing brace of the one before stands."""
        words = self.words(parts.pop(0)) if parts[0].lastgroup == "words" else ()
        if not parts:
            return Line(words, words[0].place, behind=words[0].place.line == closed)
        opening, inner, closing = parts
        ended, opened = self.line, self.number(opening.start("opening"))
        block = self.lines(inner)
        last, end = self.line, self.number(closing.start("closing"))
        place = words[0].place if words else Place(self.file, opened)
        below = bool(words) and opened != ended
        return Line(words, place, block, below, crowded=bool(block) and last == end, behind=place.line == closed)

    def words(self, match: re.Match[str]) -> tuple[Token, ...]:
        """The words of a line; ends where they end."""
        found = _any_word.finditer(self.text, match.start("words"), match.end("words"))
        words = tuple([self.word(word[0], word.start()) for word in found])
        self.number(match.end("words"))
        return words

    def word(self, text: str, offset: int) -> Token:
        """A word without its quotes."""
        place = Place(self.file, self.number(offset))
        if not text.startswith('"'):
            return Token(text.partition("#")[0], place)
        inner = text[1:] if _open(text) else text[1:-1]
        return Token(_escape.sub(lambda match: '"' if match[1] == '"' else match[0], inner), place, quoted=True)


def _open(text: str) -> bool:
    """Does a quoted word lack its closing quote? CoreDNS then takes what is left of the file."""
    return text == '"' or not text.endswith('"') or bool(re.search(r'(?<!\\)(?:\\\\)*\\"\Z', text))


def _unclosed(text: str, file: str) -> ConfigError:
    """The mistake in a text whose braces do not match, at its last word, as CoreDNS has it."""
    openings: list[Place] = []
    place, last = Place(file, 1), ""
    for match in re.finditer(rf"\#[^\n]*|{_QUOTED}|{_PLAIN}", text, re.DOTALL):
        if match[0].startswith("#"):
            continue
        last = match[0] if match[0].startswith('"') else match[0].partition("#")[0]
        place = Place(file, text.count("\n", 0, match.start()) + 1)
        if last == "{":
            openings.append(place)
        elif last == "}" and openings:
            openings.pop()
    if last.startswith('"') and _open(last):
        return ConfigError(place, "the quote that opens here is never closed", 'end it with "')
    opened = f", which closes the block opened at {openings[-1]}" if openings else ""
    missing = _LastBraceMissingError if len(openings) == 1 and last == "}" else ConfigError
    return missing(place, f'"}}" is missing behind "{last}"', f'add a line with "}}"{opened}')
