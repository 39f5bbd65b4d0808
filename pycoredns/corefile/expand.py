"""From a file to its server blocks: imports, snippets, environment variables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from pycoredns.corefile.blocks import group
from pycoredns.corefile.environment import replace_references
from pycoredns.corefile.grammar import Line, parse_lines
from pycoredns.corefile.model import Place, ServerBlock, Token
from pycoredns.errors import ConfigError, ConfigErrors
from pycoredns.frozen import changeable, frozen

DEFAULT = """. {
    whoami
    log
}
"""
"""What is served without a Corefile, or with one that has no server block."""
MOST_IMPORTS = 10_000
DEEPEST_IMPORT = 50


@frozen
class Corefile:
    """A Corefile that has been read, with all it imports."""

    file: str
    blocks: tuple[ServerBlock, ...]
    warnings: tuple[ConfigError, ...] = ()
    """What is legal, but surely not meant."""
    sources: tuple[str, ...] = ()
    """The files it was read from, its own first."""
    empty: bool = False
    """Has it no server block, so that DEFAULT stands in its place?"""
    left_out: tuple[ServerBlock, ...] = ()
    """Blocks without a zone: they are not served, but there must be plugins for their directives."""

    @cached_property
    def checksum(self) -> str:
        """SHA-512 in hexadecimal over words and places: comments and spaces do not count, moved lines do, as in CoreDNS."""
        from hashlib import sha512  # late: only the reload plugin asks

        return sha512(repr(self.blocks).encode()).hexdigest()


def read(file: str) -> Corefile:
    """Reads a Corefile; raises ConfigErrors with all mistakes of its syntax, and OSError where it cannot be read."""
    return parse(Path(file).read_bytes().decode("utf-8", "replace"), file)


def parse(text: str, file: str = "Corefile") -> Corefile:
    """Reads a Corefile from its text; relative imports start from the folder of `file`. Raises ConfigErrors."""
    corefile, errors = parse_all(text, file)
    if errors:
        raise ConfigErrors(errors)
    return corefile


def parse_all(text: str, file: str = "Corefile") -> tuple[Corefile, list[ConfigError]]:
    """What can be read of a Corefile, and the mistakes of its syntax."""
    expansion = _Expansion(file)
    try:
        lines = list(expansion.expand(parse_lines(text, file, expansion.warnings), outermost=True))
    except ConfigError as error:
        return Corefile(file, ()), [error]
    grouped, errors, warnings = group(lines)
    blocks, left_out = tuple(each for each in grouped if each.keys), tuple(each for each in grouped if not each.keys)
    errors += expansion.errors
    empty = not blocks and not errors and text != DEFAULT
    if empty:
        cause, remedy = "there is no server block", "the default is served: whoami and log for all zones"
        warnings.append(ConfigError(Place(file, 1), cause, remedy))
        blocks = parse(DEFAULT, file).blocks
    sources = tuple(dict.fromkeys(expansion.sources))
    return Corefile(file, blocks, tuple(expansion.warnings + warnings), sources, empty, left_out), errors


@changeable
class _Expansion:
    """The state of one reading: the snippets so far, what is being imported, and what went wrong."""

    file: str
    snippets: dict[str, Line] = field(default_factory=dict)
    importing: list[str] = field(default_factory=list)
    imports: int = 0
    sources: list[str] = field(default_factory=list)
    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[ConfigError] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The Corefile itself is the first source, and must not be imported again."""
        self.sources.append(self.file)
        self.importing.append(str(_absolute(self.file)))

    def expand(self, lines: Sequence[Line], outermost: bool = False) -> Iterator[Line]:
        """The lines with references replaced and imports put in their place; snippets are kept, if outermost, and left out."""
        for line, behind in zip_longest(lines, lines[1:]):
            try:
                yield from self.expand_line(line, outermost, behind)
            except ConfigError as error:
                self.errors.append(error)

    def expand_line(self, line: Line, outermost: bool, behind: Line | None) -> Iterator[Line]:
        """What one line stands for; `behind` is the next one, where a brace that is missing was expected."""
        if line.words and line.words[0].text == "import":
            yield from self.imported(line, outermost)
            return
        words = tuple([self.replaced(word) for word in line.words])
        if outermost and len(words) == 1 and words[0].text.startswith("(") and words[0].text.endswith(")"):
            self.define(words[0].text[1:-1], line, (behind or line).place)
        else:
            yield replace(line, words=words, block=None if line.block is None else tuple(self.expand(line.block)))

    def replaced(self, word: Token) -> Token:
        """A word with its references replaced."""
        if "{" not in word.text:
            return word
        try:
            text = replace_references(word.text)
            return word if text == word.text else word._replace(text=text, quoted=True)  # a brace from a variable is none
        except ValueError as error:
            raise ConfigError(word.place, str(error)) from None

    def define(self, name: str, line: Line, behind: Place) -> None:
        """Keeps a snippet."""
        if line.block is None:
            raise ConfigError(behind, f'snippet "{name}" has no braces', f"write it as ({name}) {{ ... }}")
        if name in self.snippets:
            cause = f'snippet "{name}" is declared twice'
            raise ConfigError(line.place, cause, self.snippets[name].place.told_at(line.place))
        if (word := _import_of(name, line.block)) is not None:
            raise ConfigError(word.place, f'import: snippet "{name}" imports itself')
        self.snippets[name] = line

    def imported(self, line: Line, outermost: bool) -> Iterator[Line]:
        """The lines that an import stands for: of a snippet, or of files."""
        if len(line.words) != 2 or line.block is not None:
            cause = "import takes one name of a snippet, or one file or glob pattern"
            raise ConfigError(line.place, cause, "write one import for each")
        word = self.replaced(line.words[1])
        if not word.text:
            raise ConfigError(word.place, "import: the name is empty", "is an environment variable not set?")
        if word.text in self.snippets:
            yield from self.inside(f"({word.text})", word, self.snippets[word.text].block or (), outermost)
            return
        for path in self.matches(word):
            text = self.text(path, word)
            self.sources.append(str(path))
            yield from self.inside(str(path.absolute()), word, parse_lines(text, str(path)), outermost)

    def inside(self, name: str, word: Token, lines: Sequence[Line], outermost: bool) -> Iterator[Line]:
        """The lines of a snippet or a file, expanded in their turn."""
        self.imports += 1
        if name in self.importing:
            raise ConfigError(word.place, f'import: "{word.text}" imports itself')
        if len(self.importing) > DEEPEST_IMPORT or self.imports > MOST_IMPORTS:
            raise ConfigError(word.place, f'import of "{word.text}": there are too many imports, or too many inside one another')
        self.importing.append(name)
        yield from self.expand(lines, outermost)
        self.importing.pop()

    def matches(self, word: Token) -> list[Path]:
        """The files that a name or a pattern means, in order of their names; relative to the file in which it stands."""
        pattern = str(_absolute(word.place.file).parent / word.text)
        if pattern.count("*") > 1 or pattern.count("?") > 1:
            raise ConfigError(word.place, f'import: "{word.text}" has more than one wildcard', "use a single * (or ?)")
        if "[" in pattern:
            raise ConfigError(word.place, f'import: "{word.text}" holds a [, which is no wildcard here', "use a single * (or ?)")
        if not any(wildcard in pattern for wildcard in "*?"):
            return [Path(pattern)]
        found = sorted(Path("/").glob(pattern.lstrip("/")))
        if not found:
            self.warnings.append(ConfigError(word.place, f"No files matching import glob pattern: {word.text}"))
        return found

    def text(self, path: Path, word: Token) -> str:
        """What a file holds."""
        try:
            return path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            raise ConfigError(
                word.place, f'import: there is no file and no snippet "{word.text}"', f"looked for {path}"
            ) from None
        except IsADirectoryError:
            raise ConfigError(word.place, f"import: {path} is a directory", f"did you mean {path}/*?") from None
        except (OSError, ValueError) as error:  # ValueError: the name holds a NUL
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(word.place, f'import: "{word.text}" cannot be read ({reason})') from None


def _absolute(file: str) -> Path:
    """The path of a file; one that does not exist where the current folder has been removed, which absolute names do not need."""
    try:
        return Path(file).absolute()
    except FileNotFoundError:
        return Path("/(removed folder)", file)


def _import_of(name: str, lines: Sequence[Line]) -> Token | None:
    """The word by which lines import a snippet."""
    for line in lines:
        if len(line.words) == 2 and line.words[0].text == "import" and line.words[1].text == name:
            return line.words[1]
        if line.block and (found := _import_of(name, line.block)):
            return found
    return None
