"""Domain names in wire form: lower-case bytes inside the server, text at its edges (RFC 1035 §3.1, §5.1)."""

import re

ROOT = b"\0"
LONGEST_NAME = 255
LONGEST_LABEL = 63
LONGEST_TEXT = 4 * LONGEST_NAME
"""Characters of a name whose octets are all written as escapes."""
_MOST_JUMPS = LONGEST_NAME // 2  # a name of 255 octets has no more labels
_SPECIAL = frozenset(b". '@;()\"\\")
_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/."
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9_*/-]{1,63}(\.[A-Za-z0-9_*/-]{1,63})*\.?")


class BadNameError(ValueError):
    """A name that breaks the limits of RFC 1035 §2.3.4 or cannot be read."""


def from_text(text: str) -> bytes:
    r"""The wire form of a name in text, in the text's own case.

    Understands ``\DDD`` and ``\X`` escapes; a final dot is optional. Raises BadNameError for an empty or over-long label or name,
    and for what is no UTF-8.
    """
    if len(text) > LONGEST_TEXT:  # a megabyte may be given as a host
        raise BadNameError(f"{text[:60]!r}...: longer than {LONGEST_NAME} octets")
    if _PLAIN_TEXT.fullmatch(text):
        labels = text.removesuffix(".").encode().split(b".")
    else:
        labels = _split_escaped(text)
        if any(not 0 < len(label) <= LONGEST_LABEL for label in labels):
            raise BadNameError(f"{text!r}: a label needs 1 to {LONGEST_LABEL} octets")
    name = b"".join([b"%c%b" % (len(label), label) for label in labels]) + ROOT
    if len(name) > LONGEST_NAME:
        raise BadNameError(f"{text!r}: longer than {LONGEST_NAME} octets")
    return name


def _split_escaped(text: str) -> list[bytes]:
    """The labels of a name that may hold escapes (RFC 1035 §5.1)."""
    if text == ".":
        return []
    try:
        labels, label, raw, place = [], bytearray(), text.encode(), 0
    except UnicodeEncodeError:  # octets of a command line, or a file's name
        raise BadNameError(f"{text!r}: not UTF-8") from None
    while place < len(raw):
        octet = raw[place]
        if octet == 0x5C:
            octet, place = _unescape(raw, place)
            label.append(octet)
        elif octet == 0x2E:
            labels.append(bytes(label))
            label.clear()
        else:
            label.append(octet)
        place += 1
    if label or not raw.endswith(b"."):
        labels.append(bytes(label))
    return labels


def _unescape(raw: bytes, place: int) -> tuple[int, int]:
    """The octet behind a backslash, and the place of the escape's last character."""
    digits = raw[place + 1 : place + 4]
    if len(digits) == 3 and digits.isdigit():
        if int(digits) > 255:
            raise BadNameError(f"\\{digits.decode()} is above 255")
        return int(digits), place + 3
    if place + 1 >= len(raw):
        raise BadNameError("a backslash stands at the end")
    return raw[place + 1], place + 1


def to_text(name: bytes) -> str:
    """A wire name as text with its final dot; special octets are escaped."""
    if name == ROOT:
        return "."
    parts = labels(name)
    joined = b".".join(parts)
    if not joined.translate(None, _PLAIN) and joined.count(b".") == len(parts) - 1:
        return joined.decode("ascii") + "."
    return ".".join(map(_label_text, parts)) + "."


def _label_text(label: bytes) -> str:
    """One label as text (RFC 1035 §5.1, RFC 4343 §2.1)."""
    return "".join(
        f"\\{chr(octet)}" if octet in _SPECIAL else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03d}" for octet in label
    )


def labels(name: bytes) -> list[bytes]:
    """The labels of a wire name, without the root's."""
    found, place = [], 0
    while length := name[place]:
        found.append(name[place + 1 : place + 1 + length])
        place += length + 1
    return found


def join(parts: list[bytes]) -> bytes:
    """The wire name of labels; raises BadNameError where a limit is broken."""
    if any(not 0 < len(label) <= LONGEST_LABEL for label in parts):
        raise BadNameError(f"a label needs 1 to {LONGEST_LABEL} octets")
    name = b"".join([bytes((len(label),)) + label for label in parts]) + ROOT
    if len(name) > LONGEST_NAME:
        raise BadNameError(f"longer than {LONGEST_NAME} octets")
    return name


def parent(name: bytes) -> bytes:
    """The name without its first label; the root's parent is the root."""
    return name[name[0] + 1 :] or ROOT


def within(name: bytes, zone: bytes) -> bool:
    """Is the name the zone's apex, or below it? Both in lower-case wire form."""
    if not name.endswith(zone):
        return False
    place, apex = 0, len(name) - len(zone)
    while place < apex:
        place += name[place] + 1
    return place == apex


def read(message: bytes, place: int, known: dict[int, bytes] | None = None) -> tuple[bytes, int]:
    """The name at a place of a message, and the place behind it.

    Follows compression pointers, which must point backwards, so that it ends (RFC 1035 §4.1.4). Raises BadNameError. Where
    names of the message are ``known`` by their places these are taken for what points there, and this one is added to them:
    most pointers lead to where a name begins that was read before. So are those that it leads through, so that no chain of
    pointers, wherever it stands, is followed more than once.
    """
    start, run, behind, limit, jumps = place, place, 0, place, 0
    begun, end = b"", place + LONGEST_NAME
    passed: tuple[tuple[int, int], ...] = ()
    try:
        while length := message[place]:
            if length < 0x40:
                place += length + 1
                if place >= end:
                    raise BadNameError("name too long")
                continue
            if length < 0xC0:
                raise BadNameError("bad label type")
            target = (length & 0x3F) << 8 | message[place + 1]
            if target >= limit:
                raise BadNameError("compression pointer does not point backwards")
            begun += message[run:place]
            behind = behind or place + 2
            if known is not None:
                if (rest := known.get(target)) is not None:
                    if len(begun) + len(rest) > LONGEST_NAME:
                        raise BadNameError("name too long")
                    name = known[start] = begun + rest
                    for inner, before in passed:
                        known[inner] = name[before:]
                    return name, behind
                passed += ((target, len(begun)),)
            place = run = limit = target
            end = target + LONGEST_NAME - len(begun)
            jumps += 1
            if jumps > _MOST_JUMPS:
                raise BadNameError("too many compression pointers")
    except IndexError:
        raise BadNameError("name is cut off") from None
    name = begun + message[run : place + 1]
    if known is not None:
        known[start] = name
        for inner, before in passed:
            known[inner] = name[before:]
    return name, behind or place + 1
