"""Leave out of answers what was not asked for."""

from __future__ import annotations

from typing import ClassVar

from pycoredns.answer import Answer, then
from pycoredns.corefile.options import Repetition
from pycoredns.frozen import changeable
from pycoredns.meaning import Meaning, meaning_of
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response

__all__ = ["Minimal"]


@changeable
class Minimal(Plugin):
    """Leave out of answers what was not asked for: positive ones keep their first section only."""

    repeated: ClassVar[Repetition] = "first"

    def handle(self, request: Request) -> Answer:
        """Shortens the answer of the plugins behind."""
        answer = self.next(request)
        if isinstance(answer, Response):
            return shortened(request, answer)
        return then(answer, lambda response: shortened(request, response))


def shortened(request: Request, response: Response) -> Response:
    """A positive answer without authority and additional records; referrals, denials and errors need theirs."""
    if not (response.authorities or response.additionals or response.opt):
        return response
    if response.error is not None or meaning_of(request, response) is not Meaning.ANSWER:
        return response
    return response.first_section()
