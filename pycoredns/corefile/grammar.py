"""The syntax of a Corefile: words on lines, and lines between braces.

A word ends at white space. A `#` at its start begins a comment up to the end of the line; one inside it cuts off the rest of the
word alone. Quotes open at a word's start only and may hold line breaks; in them a backslash escapes nothing but a quote. A brace
is one where it is a word of its own, in quotes or not. Carriage returns are nothing at all.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from pycoredns.corefile.model import Place, Token
from pycoredns.errors import ConfigError
from pycoredns.frozen import frozen

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
_WORD = rf'(?:(?!"[{{}}]"){_QUOTED}|(?![{{}}]{_END}){_PLAIN})'
_WORD_OR_CLOSING = rf'(?:(?!"\{{"){_QUOTED}|(?!\{{{_END}){_PLAIN})'
_DEEPEST_QUICKLY = 50
_any_word = re.compile(rf"{_QUOTED}|{_PLAIN}", re.DOTALL)
_escape = re.compile(r"\\(.)", re.DOTALL)


@frozen
class Line:
    """A line as it is written: its words (none where it is but a brace), and the lines of its block (None: it has no braces)."""

    words: tuple[Token, ...]
    place: Place
    block: tuple[Line, ...] | None = None
    below: bool = False
    """The opening brace does not stand on the line of the words."""
    crowded: Place | None = None
    """Where the closing brace stands, if that is not a line of its own and the block is not empty."""
    behind: bool = False
    """The line begins right behind the closing brace of the one before."""


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    """A part of a line, with the blanks and comments before it."""
    return re.compile(_BLANK + text, re.DOTALL)


def _words(word: str) -> str:
    return rf"(?P<words>{word}(?:{_SPACE}*{word})*)"


_OPENING = rf'(?P<opening>"\{{"|\{{{_END}{_CUT})'
_CLOSING = rf'(?P<closing>"\}}"|\}}{_END}{_CUT})'


@functools.cache
def _grammar() -> ParserElement:
    """The parser, made when it is first needed."""
    from pyparsing import Forward, Group, Opt, Regex, StringEnd, ZeroOrMore

    def part(text: str) -> Regex:
        return Regex(_pattern(text), as_match=True)

    block = Forward()
    line = Group(part(_words(_WORD)) + Opt(block)) | Group(block)
    block <<= part(_OPENING) - Group(ZeroOrMore(line)) - part(_CLOSING)
    outermost = Group(part(_words(_WORD_OR_CLOSING)) + Opt(block)) | Group(block)
    grammar: ParserElement = ZeroOrMore(outermost) + Regex(_pattern("")).suppress() + StringEnd()
    return grammar.leave_whitespace().parse_with_tabs()


def _read_quickly(text: str) -> list[Any] | None:
    """What the grammar makes of a text without mistakes, None where there may be one.

    Importing pyparsing takes 50 ms and 6 MB, and a server that starts has a Corefile without mistakes.
    """
    lines: list[Any] = []
    around: list[list[Any]] = []  # of the open blocks: the lines that each stands among
    place = 0
    while len(around) <= _DEEPEST_QUICKLY:
        words = _pattern(_words(_WORD if around else _WORD_OR_CLOSING)).match(text, place)
        place = words.end() if words else place
        if opening := _pattern(_OPENING).match(text, place):
            inner: list[Any] = []
            lines.append([words, opening, inner] if words else [opening, inner])
            around.append(lines)
            lines, place = inner, opening.end()
        elif words:
            lines.append([words])
        elif around and (closing := _pattern(_CLOSING).match(text, place)):
            lines, place = around.pop(), closing.end()
            lines[-1].append(closing)
        else:
            break
    return lines if not around and _pattern("").fullmatch(text, place) else None


def parse_lines(text: str, file: str, warnings: list[ConfigError] | None = None) -> tuple[Line, ...]:
    """The lines of a file, those of blocks inside their lines; raises ConfigError where a brace is missing.

    With `warnings` the very last brace may be missing behind that of a plugin's block, as CoreDNS lets it be.
    """
    text = text.removeprefix("\ufeff").replace("\r", "")
    parsed = _read_quickly(text)
    return _parse(text, file, warnings) if parsed is None else _Placed(text, file).lines(parsed)


def _parse(text: str, file: str, warnings: list[ConfigError] | None) -> tuple[Line, ...]:
    """The same by the grammar, which knows what is wrong."""
    from pyparsing import ParseBaseException

    try:
        parsed = _grammar().parse_string(text)
    except ParseBaseException:
        missing = _unclosed(text, file)
        if warnings is None or not isinstance(missing, _LastBraceMissingError):
            raise missing from None
        lines = parse_lines(f"{text}\n}}", file)
        if not all(map(_may_stand_above, lines[:-1])) or (lines[-1].words[:1] and lines[-1].words[0].text.startswith("(")):
            raise missing from None
        warnings.append(missing)
        return lines
    except RecursionError:
        raise ConfigError(Place(file, 1), "braces are nested too deeply") from None
    return _Placed(text, file).lines(parsed)


def _may_stand_above(line: Line) -> bool:
    """May the line of a block's key follow? It may not where that has begun a block without braces."""
    return line.block is not None or line.words[-1].text.endswith(",") or line.words[0].text == "import"


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
        crowded = Place(self.file, end) if block and last == end else None
        return Line(words, place, block, below, crowded, behind=place.line == closed)

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
        quoted = inner not in ("{", "}")
        return Token(_escape.sub(lambda match: '"' if match[1] == '"' else match[0], inner), place, quoted)


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
        if last in ("{", '"{"'):
            openings.append(place)
        elif last in ("}", '"}"') and openings:
            openings.pop()
    if last.startswith('"') and _open(last):
        return ConfigError(place, "the quote that opens here is never closed", 'end it with "')
    opened = f", which closes the block opened at {openings[-1]}" if openings else ""
    missing = _LastBraceMissingError if len(openings) == 1 and last in ("}", '"}"') else ConfigError
    return missing(place, f'"}}" is missing behind "{last}"', f'add a line with "}}"{opened}')
