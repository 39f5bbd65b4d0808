"""From the lines of a Corefile to server blocks."""

from __future__ import annotations

from collections.abc import Sequence

from pycoredns.corefile.grammar import Line
from pycoredns.corefile.model import Directive, ServerBlock, Token
from pycoredns.errors import ConfigError


def group(lines: Sequence[Line]) -> tuple[tuple[ServerBlock, ...], list[ConfigError], list[ConfigError]]:
    """The server blocks that the outermost lines make, also those without keys; mistakes; what is legal but surely not meant."""
    grouping = _Grouping(list(lines))
    try:
        while grouping.rest:
            grouping.take_block()
    except ConfigError as error:
        grouping.errors.append(error)
    return tuple(grouping.blocks), grouping.errors, grouping.warnings


class _Grouping:
    """Takes server blocks from lines, one after the other."""

    def __init__(self, lines: list[Line]) -> None:
        """The outermost lines, imports done."""
        self.rest = lines[::-1]
        self.blocks: list[ServerBlock] = []
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigError] = []

    def take_block(self) -> None:
        """Takes the keys, then the block in braces, or all that follows where there are none: a file of one block needs none."""
        place = self.rest[-1].place
        keys, last = self.take_keys()
        if last.block is None:
            directives = self.take_bare()
        else:
            directives = self.directives(last.block)
            if last.crowded:
                self.errors.append(
                    ConfigError(last.crowded, 'unexpected "}" on the line of a directive', "put it on a line of its own")
                )
        self.blocks.append(ServerBlock(keys, directives, place))
        if not keys:
            self.warnings.append(
                ConfigError(place, "this block has no zone and is left out", "put a zone before it, such as . for all")
            )

    def take_keys(self) -> tuple[tuple[Token, ...], Line]:
        """The keys of a block, and the line with the last: a comma at the end goes on to the next line."""
        keys: list[Token] = []
        more = False
        while self.rest:
            line = self.rest.pop()
            for word in line.words:
                more = word.text.endswith(",")
                if word.text:
                    keys.append(Token(word.text.removesuffix(","), word.place, word.quoted))
                    _warn_of_brace(word, self.warnings)
            if line.block is not None or not more:
                break
        if more:
            raise ConfigError(keys[-1].place, f'another address must follow the comma behind "{keys[-1]}"', "take the comma away")
        return tuple(keys), line

    def take_bare(self) -> tuple[Directive, ...]:
        """The directives of a block without braces: up to the end, or to a stray closing brace."""
        taken: list[Line] = []
        while self.rest:
            line = self.rest.pop()
            if line.words and line.words[0].text == "}" and not line.words[0].quoted:
                if line.words[1:] or line.block is not None:
                    self.rest.append(Line(line.words[1:], line.place, line.block))
                break
            taken.append(line)
        return self.directives(taken)

    def directives(self, lines: Sequence[Line]) -> tuple[Directive, ...]:
        """The directives that lines make; those with mistakes are left out."""
        made: list[Directive] = []
        for line in lines:
            try:
                made.append(_directive(line))
            except ConfigError as error:
                self.errors.append(error)
        return tuple(made)


def _directive(line: Line) -> Directive:
    """The directive of a line, with those of its block; raises ConfigError."""
    if not line.words:
        raise ConfigError(line.place, 'unexpected "{"', "a directive must stand before it, on the same line")
    if line.behind:
        raise ConfigError(line.place, f'unexpected "{line.words[0]}" behind a closing brace', "put it on a line of its own")
    if line.below:
        raise ConfigError(line.place, f'the "{{" of {line.words[0]} stands on another line', "put it on the same line")
    for word in line.words:
        if word.text == "}" and not word.quoted:
            raise ConfigError(word.place, f'unexpected "}}" behind "{line.words[0]}"', "there is no opening brace that matches")
    block = None if line.block is None else tuple([_directive(inner) for inner in line.block])
    return Directive(line.words[0], line.words[1:], block)


def _warn_of_brace(key: Token, warnings: list[ConfigError]) -> None:
    """A stray brace is taken for a zone, as in CoreDNS."""
    if key.text in ("}", "{}") and not key.quoted:
        warnings.append(ConfigError(key.place, f'a stray "{key}" is taken for a zone', "take it away"))
    elif key.text.endswith("{") and not key.quoted:
        warnings.append(ConfigError(key.place, f'the brace in "{key}" is taken for a part of the zone', "put a space before it"))
