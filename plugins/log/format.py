"""Formats of log lines: text with labels such as ``{name}``, filled in two steps.

Most labels say the same of every answer to the same question: they are filled once. What differs each time (the client, the ID,
the duration) is left open as slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import zip_longest
from typing import TypeAlias

from pycoredns.durations import seconds_text
from pycoredns.listener import STREAM_LIMIT
from pycoredns.plugin import Outcome
from pycoredns.plugins.log.classes import EMPTY, metadata
from pycoredns.query import AA, AD, BESIDE_NAME, CD, QR, RA, RD, TC
from pycoredns.request import Request
from pycoredns.response import NO_ANSWER
from pycoredns.transport.addresses import bracketed, join
from pycoredns.wire import names, types

MIDDLE = '{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize}'
COMMON = f'{{remote}}:{{port}} - {{>id}} "{MIDDLE} {{duration}}'
COMBINED = COMMON + ' "{>opcode}"'
_METADATA = "{/"
CLIENT = "{remote}:{port}"
_FUSED = {"{type}": MIDDLE, "{remote}": CLIENT}
"""Labels that mostly stand together are filled together, in a third of the time."""

Slots: TypeAlias = tuple[str, ...]
"""The labels that are filled for each line, in their order."""
USUAL: Slots = (CLIENT, "{>id}", "{duration}")
"""Those of both formats that have a name."""

Prepared: TypeAlias = tuple[Slots, tuple[str, ...]]
"""The slots of a line, and the texts before, between and behind them."""

_FLAGS = ((QR, "qr"), (AA, "aa"), (TC, "tc"), (RD, "rd"), (RA, "ra"), (0x0040, "z"), (AD, "ad"), (CD, "cd"))
_ALL_FLAGS = sum(flag for flag, _ in _FLAGS)
_OPT_FIXED = 11


def _size(outcome: Outcome) -> int:
    """Octets of the question before compression, without its signature and what may stand behind its end."""
    request = outcome.request
    if request.verified is not None:
        return request.verified.signature.start if request.header.plain else _signed_size(request)
    plain = request.header.plain and (not request.header.additionals or request.tail.edns)
    beside = 0 if plain else request.records_size()
    if outcome.error is None and outcome.response.opt is None:  # CoreDNS measures what of the question's OPT is in the answer
        opt = len(request.terms.opt)
    else:
        opt = _OPT_FIXED + len(request.terms.options) if request.terms.edns else 0
    return BESIDE_NAME + len(request.asked) + opt + beside


def _signed_size(request: Request) -> int:
    """Octets of a signed question with records before compression, without the last of them, which is the signature."""
    return BESIDE_NAME + len(request.asked) + sum([len(each.wire()) for each in list(request.records())[:-1]])


def _buffer_size(outcome: Outcome) -> int:
    """The largest datagram the client takes; over a stream there is none."""
    return STREAM_LIMIT if outcome.request.listener.protocol == "tcp" else outcome.request.terms.limit


def _response_code(outcome: Outcome) -> str:
    rcode = outcome.response.rcode
    return EMPTY if outcome.response is NO_ANSWER else types.RCODES.get(rcode) or str(rcode)


def _response_flags(outcome: Outcome) -> str:
    request, response = outcome.request, outcome.response
    if response is NO_ANSWER:
        return EMPTY
    bits = response.flags_to(request)
    if response.size(request) > request.limit:
        bits = int.from_bytes(response.reply(request)[:2], "big")  # whether it was cut is known only when it is made
    return _flags_text(bits & _ALL_FLAGS)


@cache
def _flags_text(bits: int) -> str:
    """The flags that are set; there are at most 256 combinations."""
    return ",".join(text for flag, text in _FLAGS if bits & flag)


def _middle(outcome: Outcome) -> str:
    """The fixed part of the common format."""
    request = outcome.request
    return (
        f"{types.asked_type_text(request.qtype)} {types.class_text(request.qclass)} {names.to_text(request.name)}"
        f" {request.listener.protocol} {_size(outcome)} {'true' if request.terms.do else 'false'} {_buffer_size(outcome)}"
        f'" {_response_code(outcome)} {_response_flags(outcome)} {outcome.size}'
    )


_FIXED: Mapping[str, Callable[[Outcome], object]] = {
    MIDDLE: _middle,
    "{type}": lambda outcome: types.asked_type_text(outcome.request.qtype),
    "{class}": lambda outcome: types.class_text(outcome.request.qclass),
    "{name}": lambda outcome: names.to_text(outcome.request.name),
    "{proto}": lambda outcome: outcome.request.listener.protocol,
    "{size}": _size,
    "{>do}": lambda outcome: "true" if outcome.request.terms.do else "false",
    "{>bufsize}": _buffer_size,
    "{>opcode}": lambda outcome: outcome.request.header.opcode,
    "{rcode}": _response_code,
    "{rsize}": lambda outcome: outcome.size,
    "{>rflags}": _response_flags,
}
_OPEN: Mapping[str, Callable[[Outcome], object]] = {
    CLIENT: lambda outcome: join(*outcome.client),
    "{remote}": lambda outcome: bracketed(outcome.client[0]),
    "{port}": lambda outcome: outcome.client[1],
    "{local}": lambda outcome: bracketed(outcome.request.listener.local(outcome.peer)[0]),
    "{>id}": lambda outcome: outcome.id,
    "{duration}": lambda outcome: f"{seconds_text(outcome.duration)}s",
}


class Format:
    """A format, taken apart."""

    def __init__(self, text: str) -> None:
        """Takes any text; what is no label stands for itself."""
        self._parts = [(part, _filling(part)) for part in _parts(text) if part]
        self.slots: Slots = tuple(part for part, _ in self._parts if part in _OPEN)
        if self.slots == USUAL:
            self.slots = USUAL

    def prepare(self, outcome: Outcome) -> Prepared:
        """Fills what is the same for all answers to a question."""
        texts = [""]
        for part, fill in self._parts:
            if part in _OPEN:
                texts.append("s" if part == "{duration}" and self.slots is USUAL else "")
            else:
                texts[-1] += str(fill(outcome)) if fill else part
        return self.slots, tuple(texts)

    @staticmethod
    def fill(slots: Slots, texts: tuple[str, ...], outcome: Outcome) -> str:
        """The whole line."""
        return "".join(f"{text}{_OPEN[slot](outcome) if slot else ''}" for text, slot in zip_longest(texts, slots))


def _filling(part: str) -> Callable[[Outcome], object] | None:
    """What fills a part that is the same for all answers to a question; None for text."""
    if part.startswith(_METADATA) and part.endswith("}") and "{" not in part[1:]:
        return partial(metadata, label=part[len(_METADATA) : -1])
    return _FIXED.get(part)


def _parts(text: str) -> Iterator[str]:
    """Labels and the texts between them. A brace that opens no label is text, as in ``{ {name} }``."""
    while "}" in text:
        end = text.index("}") + 1
        start = text.rfind("{", 0, end)
        label = text[start:end] if start >= 0 else ""
        if label in _FUSED and text.startswith(_FUSED[label], start):
            label = _FUSED[label]
            end = start + len(label)
        if label in _FIXED or label in _OPEN or label.startswith(_METADATA):
            yield from (text[:start], label)
        else:
            yield text[:end]
        text = text[end:]
    yield text
