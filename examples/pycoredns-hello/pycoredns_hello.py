"""A plugin for pycoredns: answers TXT questions with a greeting."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pycoredns.answer import Answer
from pycoredns.corefile.options import Argument
from pycoredns.plugin import Plugin
from pycoredns.request import Request
from pycoredns.response import Response
from pycoredns.wire import message, types


@dataclass
class Hello(Plugin):
    """Greet whoever asks for TXT records."""

    before: ClassVar[str] = "hosts"

    greeting: Annotated[str, Argument("what to say")] = "hello"

    def handle(self, request: Request) -> Answer:
        """Answers a TXT question, passes all others on."""
        if request.qtype != types.TXT:
            return self.next(request)
        text = self.greeting.encode()[:255]
        return Response(answer=message.record(request.asked, types.TXT, 60, bytes([len(text)]) + text), answers=1)
