"""Set and clear flags of questions and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pycoredns.answer import Answer, then
from pycoredns.corefile.configure import parse_directive
from pycoredns.corefile.model import Directive
from pycoredns.corefile.options import BadValueError, Context, Repeated, Repetition
from pycoredns.frozen import changeable
from pycoredns.plugin import Plugin
from pycoredns.query import AA, RA, RD
from pycoredns.request import Request
from pycoredns.response import Response

__all__ = ["Header"]

_FLAGS: Mapping[str, int] = {"aa": AA, "ra": RA, "rd": RD}


@dataclass(frozen=True)
class Change:
    """Bits of a header that are set, and bits that are cleared."""

    placeholder: ClassVar[str] = "set|clear FLAGS..."
    given: int = 0
    taken: int = 0

    @classmethod
    def from_line(cls, line: Directive, context: Context) -> Self:
        """What is done, and to which flags; in any case."""
        action, *flags = [word.text.lower() for word in line.arguments] or [""]
        if action not in ("set", "clear"):
            raise BadValueError(f'unknown flag action "{action}"' if action else "set or clear is missing")
        if not flags:
            raise BadValueError("FLAGS are missing", f"name one or more of {', '.join(_FLAGS)}")
        bits = 0
        for flag in flags:
            if flag not in _FLAGS:
                raise BadValueError(f'unknown flag "{flag}"', f"choose from {', '.join(_FLAGS)}")
            bits |= _FLAGS[flag]
        return cls(given=bits) if action == "set" else cls(taken=bits)

    def then(self, later: Change) -> Change:
        """Both, one after the other: the later one decides where they meet."""
        return Change(self.given & ~later.taken | later.given, self.taken & ~later.given | later.taken)


def together(changes: Iterable[Change]) -> Change:
    """All changes in their order, as one."""
    whole = Change()
    for change in changes:
        whole = whole.then(change)
    return whole


@changeable
class Header(Plugin):
    """Set and clear flags of questions and answers."""

    repeated: ClassVar[Repetition] = "first"

    query: Annotated[tuple[Change, ...], Repeated("flags of the question, as the plugins behind see it")] = ()
    response: Annotated[tuple[Change, ...], Repeated("flags of the answer")] = ()

    def __post_init__(self) -> None:
        """Without any change it would do nothing, which cannot be meant."""
        if not self.query and not self.response:
            raise BadValueError("there is nothing to set or clear", "usage: query|response set|clear FLAGS...")
        self._query, self._response = together(self.query), together(self.response)

    @classmethod
    def from_directive(cls, directive: Directive, context: Context) -> Self:
        """The words of its lines may be in any case."""
        return parse_directive(cls, directive._replace(block=_lowered(directive.lines)), context)

    def handle(self, request: Request) -> Answer:
        """Changes the question on its way, and the answer on its way back; an error has no flags of its own."""
        if self.query:
            request = request.with_flags(self._query.given, self._query.taken)
        answer = self.next(request)
        if not self.response:
            return answer
        return self._changed(answer) if isinstance(answer, Response) else then(answer, self._changed)

    def _changed(self, response: Response) -> Response:
        """The answer with its flags changed; RD is the question's own, which it repeats unless that is withheld."""
        given, taken = self._response.given, self._response.taken
        return response.alike(flags=response.flags & ~taken | given, withheld=response.withheld | taken & RD)


def _lowered(lines: Sequence[Directive]) -> tuple[Directive, ...]:
    """Lines whose first words are in lower case."""
    return tuple(line._replace(name=line.name._replace(text=line.name.text.lower())) for line in lines)
