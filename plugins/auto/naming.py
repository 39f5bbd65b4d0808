"""From the name of a file to the zone it holds: a pattern, and a template that is filled as Go's regexp.Expand does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pycoredns.corefile.options import BadValueError
from pycoredns.wire import names

LONGEST_PATTERN = 10_000
"""Characters."""
_USUAL_PATTERN, _USUAL_TEMPLATE = re.compile(r"db\.(.*)", re.ASCII), "{1}"
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
_NUMBER = re.compile("0|[1-9][0-9]{0,7}")


@dataclass(frozen=True)
class ZoneFiles:
    """Where zone files lie, which files they are, and what their zones are called."""

    dir: Path
    regexp: re.Pattern[str] | None = None
    origin_template: str | None = None

    def __post_init__(self) -> None:
        """A pattern needs a group, and a template beside it."""
        if self.regexp is None:
            return
        if len(self.regexp.pattern) > LONGEST_PATTERN:
            raise BadValueError("REGEXP is too large", f"it can have {LONGEST_PATTERN} characters at most")
        if not self.regexp.groups:
            raise BadValueError(f'REGEXP "{self.regexp.pattern}" needs a group', r"write it as db\.(.*)")
        if self.origin_template is None:
            raise BadValueError("ORIGIN_TEMPLATE is missing")

    def origin(self, file_name: str) -> bytes | None:
        """The zone that a file of this name holds, in lower-case wire form; None where it is no zone file.

        Raises BadNameError where what the template makes is no domain name.
        """
        match = (self.regexp or _USUAL_PATTERN).search(file_name)
        text = _expand(self.origin_template or _USUAL_TEMPLATE, match) if match else ""
        return names.from_text(text).lower() if text else None


WORKING_DIRECTORY = ZoneFiles(Path())
"""Without a folder it is that in which the server was started, as in CoreDNS."""


def _expand(template: str, match: re.Match[str]) -> str:
    """The template with its references filled: `{1}`, `{name}`, and Go's own `$1` and `$name`; `$$` stands for a dollar sign."""
    return _REFERENCE.sub(lambda reference: _filled(reference, match), template.replace("{", "${"))


def _filled(reference: re.Match[str], match: re.Match[str]) -> str:
    """What a reference stands for: nothing where the pattern has no such group, or the group took no part."""
    if reference[1]:
        return "$"
    name = reference[2] or reference[3]
    if _NUMBER.fullmatch(name):
        return match[int(name)] or "" if int(name) <= match.re.groups else ""
    return match.groupdict().get(name) or ""
