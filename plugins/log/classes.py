"""The sorts of answers in the words of the Corefile and of the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pycoredns.meaning import Meaning, meaning_of
from pycoredns.plugin import Outcome
from pycoredns.response import NO_ANSWER
from pycoredns.wire import names

Class = Literal["all", "success", "denial", "error"]
_CLASSES: Mapping[Meaning, Class] = {
    Meaning.ANSWER: "success",
    Meaning.DELEGATION: "success",
    Meaning.NO_DATA: "denial",
    Meaning.NO_NAME: "denial",
}
_TYPES: Mapping[Meaning, str] = {
    Meaning.ANSWER: "NOERROR",
    Meaning.NO_NAME: "NXDOMAIN",
    Meaning.FAILURE: "SERVERERROR",
    Meaning.NO_DATA: "NODATA",
    Meaning.DELEGATION: "DELEGATION",
    Meaning.ZONE_MATTER: "META",
    Meaning.OTHER: "OTHERERROR",
}
EMPTY = "-"


def class_of(outcome: Outcome) -> Class:
    """The class of an answer."""
    if outcome.response is NO_ANSWER:
        return "error"
    return _CLASSES.get(meaning_of(outcome.request, outcome.response), "error")


def type_of(outcome: Outcome) -> str:
    """The type of an answer, as CoreDNS names it."""
    if outcome.response is NO_ANSWER:
        return _TYPES[Meaning.OTHER]
    return _TYPES[meaning_of(outcome.request, outcome.response)]


def metadata(outcome: Outcome, label: str) -> str:
    """What is told of a question and its answer under a label; ``-`` if nothing is."""
    collected = outcome.request.metadata
    if collected is None:
        return EMPTY
    if label == "log/type":
        return type_of(outcome)
    if label == "log/class":
        return class_of(outcome)
    if label == "zone/wildcard" and outcome.response.wildcard:
        return names.to_text(outcome.response.wildcard)
    told = collected.get(label)
    return EMPTY if told is None else told
