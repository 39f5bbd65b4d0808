"""Files of keys, in the form that BIND's tsig-keygen writes:

key "transfer.example." { algorithm hmac-sha256; secret "…"; };
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pycoredns.tsig import Algorithm, BadSecretError, Key
from pycoredns.wire import names

_TOKEN = re.compile(r'"(?P<quoted>[^"\n]*)"|(?P<mark>[{};\n])|(?P<word>[^\s{};"]+)')
_COMMENT = re.compile(r'("[^"\n]*")|(?:#|//)[^\n]*|/\*.*?\*/', re.DOTALL)


class BadKeyFileError(ValueError):
    """A file that is not as it should be; the text begins with the line."""


class _Word(NamedTuple):
    """A word, or one of the marks ``{ } ;`` and the end of a line, which may stand in the place of ``;``."""

    text: str
    line: int
    mark: bool


def read_keys(path: Path) -> list[Key]:
    """The keys of a file; raises OSError, or BadKeyFileError with the line of a mistake."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise BadKeyFileError("1: this is no text") from None
    words = _Words(list(_words(text)))
    keys: list[Key] = []
    while (word := words.next_statement()) is not None:
        if word.text != "key":
            raise BadKeyFileError(f'{word.line}: unexpected "{word.text}"; a key begins with: key "NAME" {{')
        keys.append(_key(words))
    return keys


def _words(text: str) -> Iterator[_Word]:
    """The words of a text without its comments."""
    text = _COMMENT.sub(lambda found: found[1] or "\n" * found[0].count("\n"), text)
    line = 1
    for found in _TOKEN.finditer(text):
        yield _Word(found["quoted"] or found["mark"] or found["word"] or "", line, found["mark"] is not None)
        line += found[0] == "\n"


class _Words:
    """What has not been read yet."""

    def __init__(self, words: list[_Word]) -> None:
        """Takes the words in their order."""
        self._rest = words[::-1]
        self._line = words[-1].line if words else 1

    def next(self) -> _Word:
        """The next word or mark; raises BadKeyFileError at the end."""
        if not self._rest:
            raise BadKeyFileError(f"{self._line}: the file ends within a key")
        return self._rest.pop()

    def next_statement(self) -> _Word | None:
        """The first word of the next statement, or a brace; None at the end."""
        while self._rest and self._rest[-1].mark and self._rest[-1].text in ";\n":
            self._rest.pop()
        return self._rest.pop() if self._rest else None

    def value(self, of: str) -> _Word:
        """The word that follows another one."""
        word = self.next()
        if word.mark or not word.text:
            raise BadKeyFileError(f"{word.line}: the {of} is missing")
        return word


def _key(words: _Words) -> Key:
    """What stands behind the word ``key``."""
    name = words.value("key's name")
    if (opening := words.next_statement()) is None or opening.text != "{":
        raise BadKeyFileError(f'{name.line}: "{{" is missing behind the name of the key')
    said: dict[str, str] = {}
    while (word := words.next_statement()) is not None and word.text != "}":
        if word.text not in ("algorithm", "secret"):
            raise BadKeyFileError(f'{word.line}: unexpected "{word.text}"; a key has an algorithm and a secret')
        said[word.text] = words.value(word.text).text
    if "secret" not in said:
        raise BadKeyFileError(f'{name.line}: key "{name.text}" has no secret')
    return _made(name, said["secret"], said.get("algorithm", ""))


def _made(name: _Word, secret: str, algorithm: str) -> Key:
    """The key; as in CoreDNS its algorithm says only what we sign with ourselves."""
    try:
        known = Algorithm.named(names.from_text(algorithm.lower())) if algorithm else None
        return Key.of(name.text, secret, known or Algorithm.SHA256)
    except (names.BadNameError, BadSecretError) as error:
        raise BadKeyFileError(f'{name.line}: key "{name.text}": {error}') from None
