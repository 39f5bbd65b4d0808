"""Options of tsig that need more than one plain word."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from pycoredns.corefile.kinds import not_a_name
from pycoredns.corefile.model import Directive, Token
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.output import logger
from pycoredns.plugins.tsig.keyfile import BadKeyFileError, read_keys
from pycoredns.tsig import BadSecretError, Key
from pycoredns.wire.names import BadNameError
from pycoredns.wire.types import TYPE_NUMBERS

log = logger("plugin/tsig")
_OPCODES = {"QUERY": 0, "IQUERY": 1, "STATUS": 2, "NOTIFY": 4, "UPDATE": 5}


@dataclass(frozen=True)
class Secret:
    """A key from the Corefile."""

    placeholder: ClassVar[str] = "NAME KEY"
    key: Key

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """The name is a domain name; it need not exist."""
        if len(line.arguments) != 2:
            raise BadValueError("a name and a secret are needed")
        name, secret = line.arguments
        try:
            return cls(Key.of(name.text, secret.text))
        except BadNameError as error:
            raise not_a_name(name.text, error) from None
        except BadSecretError as error:
            raise BadValueError(f'key "{name}": {error}', "make a secret with: openssl rand -base64 32") from None


@dataclass(frozen=True)
class SecretsFile:
    """The keys of a file; as in CoreDNS a relative path starts where the server was started, not at `root`."""

    placeholder: ClassVar[str] = "FILE"
    keys: tuple[Key, ...]

    @classmethod
    def parse(cls, token: Token, context: Context) -> Self:
        """Reads the file at once; warns where others may read it too."""
        if not token.text:
            raise BadValueError("the path is empty")
        path = Path(token.text)
        try:
            keys = tuple(read_keys(path))
            if path.stat().st_mode & stat.S_IROTH:
                log.warning('"%s" can be read by everyone: its keys are no secret', path)
            return cls(keys)
        except OSError as error:
            raise BadValueError(f'"{token.text}" cannot be read: {error.strerror}') from None
        except BadKeyFileError as error:
            raise BadValueError(f"{token.text}:{error}") from None


@dataclass(frozen=True)
class Chosen:
    """Some numbers by their names, `all` of them, or `none`."""

    word: ClassVar[str]
    examples: ClassVar[str]
    names: ClassVar[Mapping[str, int]]
    numbers: frozenset[int] = frozenset()
    all: bool = False

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """What stands behind `all` or `none` does not matter."""
        words = [word.text for word in line.arguments]
        if not words:
            raise BadValueError(f"{cls.word} are missing")
        if words[0] in ("all", "none"):
            return cls(all=words[0] == "all")
        for word in words:
            if word not in cls.names:
                raise BadValueError(f'"{word}" is unknown', f"write all, none, or names in capitals such as {cls.examples}")
        return cls(frozenset(cls.names[word] for word in words))

    def hold(self, number: int) -> bool:
        """Is it one of them?"""
        return self.all or number in self.numbers


@dataclass(frozen=True)
class QueryTypes(Chosen):
    """Types of questions."""

    placeholder: ClassVar[str] = "all|none|TYPES..."
    word: ClassVar[str] = "TYPES"
    examples: ClassVar[str] = "AXFR IXFR"
    names: ClassVar[Mapping[str, int]] = TYPE_NUMBERS


@dataclass(frozen=True)
class Opcodes(Chosen):
    """Opcodes of requests (RFC 1035 §4.1.1, RFC 1996, RFC 2136)."""

    placeholder: ClassVar[str] = "all|none|OPCODES..."
    word: ClassVar[str] = "OPCODES"
    examples: ClassVar[str] = "NOTIFY UPDATE"
    names: ClassVar[Mapping[str, int]] = _OPCODES


NO_TYPES, NO_OPCODES = QueryTypes(), Opcodes()
