"""Names and the keys they stand for: the record of www.example.org is at /skydns/org/example/www."""

from __future__ import annotations

import posixpath
import re

from pycoredns.wire import names

WILDCARDS = frozenset({b"*", b"any"})
"""Labels of a question that stand for any label."""
_SHORT_NAME = 240
_LONGEST_LABEL = names.LONGEST_LABEL
_PLAIN_KEY = re.compile(rb"(?:/[A-Za-z0-9_-]+)+")
_ESCAPED = re.compile(rb"[. '@;()\"\\]|[^!-~]")
_ESCAPED_BY_BACKSLASH = b". '@;()\"\\"


def root_of(path: str) -> bytes:
    """The beginning of all keys for a ``path`` as a Corefile gives it: ``/skydns`` for skydns and /skydns/, nothing for /."""
    return posixpath.normpath("/" + path.lstrip("/")).rstrip("/").encode()


def segments(name: bytes) -> list[bytes]:
    """What a name's key consists of behind the root, top domain first; a slash inside a label divides it, as in CoreDNS."""
    texts = [label_text(label) for label in reversed(names.labels(name))]
    return [segment for text in texts for segment in text.split(b"/") if segment]


def label_text(label: bytes) -> bytes:
    """A label as CoreDNS writes it (RFC 1035 §5.1), which is how it stands in a key."""
    return label if label.isalnum() else _ESCAPED.sub(_escape, label)


def _escape(match: re.Match[bytes]) -> bytes:
    octet = match[0]
    return b"\\" + octet if octet in _ESCAPED_BY_BACKSLASH else b"\\%03d" % octet[0]


def before_wildcard(name: bytes) -> bytes | None:
    """The name above the topmost wildcard of a name (b.example.org for a.*.b.example.org); None if there is none."""
    labels = names.labels(name)
    for place in range(len(labels) - 1, -1, -1):
        if labels[place] in WILDCARDS:
            return names.join(labels[place + 1 :])
    return None


def is_plain(key: bytes) -> bool:
    """Is a key what it seems: each segment the octets of one label, none of them a wildcard?"""
    return _PLAIN_KEY.fullmatch(key) is not None and not (b"/any" in key and b"any" in key.split(b"/"))


def is_plain_label(label: bytes) -> bool:
    """Does a label of a question stand for itself in keys?"""
    if label.isalnum() or label.translate(None, b"-_").isalnum():  # a tenth of what it takes to write the label
        return label not in WILDCARDS
    return label not in WILDCARDS and b"/" not in label and label_text(label) == label


def plain_key(root: bytes, name: bytes) -> bytes | None:
    """The key of a name below the key ``root``; None where one of its labels does not stand for itself."""
    labels = names.labels(name)
    return b"/".join((root, *reversed(labels))) if all(map(is_plain_label, labels)) else None


def name_of(key: bytes) -> bytes:
    """The name that a key stands for. CoreDNS takes its first part for the root, whatever ``path`` says.

    Raises BadNameError where it is no name.
    """
    parts = key.split(b"/")
    if not parts[-1]:
        parts.pop()
    try:
        return names.from_text(b".".join(parts[:1:-1]).decode() or ".")
    except UnicodeError as error:
        raise names.BadNameError(f"{key!r}: not UTF-8") from error


def name_below(name: bytes, below: bytes, strip: int) -> bytes | None:
    """The name that belongs to the key of a name and then plain segments, without its first labels.

    None where that takes a closer look; a name that comes of it is so short that it fits records whose size is told by one octet.
    """
    if len(below) > _LONGEST_LABEL or len(below) + len(name) > _SHORT_NAME:
        return None
    depth = below.count(b"/")
    if depth == strip:
        return name
    if strip:
        return None
    if depth == 1:
        return b"%c%b%b" % (len(below) - 1, below[1:], name)
    return labels_of(below[1:]) + name


def labels_of(below: bytes) -> bytes:
    """The first labels in wire form of the name whose key ends with these segments; none may be longer than a label."""
    return b"".join([b"%c%b" % (len(each), each) for each in reversed(below.split(b"/"))])


def stripped(name: bytes, count: int) -> bytes:
    """A name without its first ``count`` labels; the whole name where it has no more than those."""
    place = 0
    for _ in range(min(max(count, 0), len(name))):
        if not name[place]:
            break
        place += name[place] + 1
    return name[place:] if name[place] else name
