"""Questions that ask the same in other octets: letters of another case (0x20), a new cookie each time.

Resolvers spell each question differently, to make forged answers harder to guess (draft-vixie-dnsext-dns0x20, RFC 7873). A reply
is remembered for the usual spelling and given for all: with the client's letters in its question, and with its cookie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycoredns.wire import edns

if TYPE_CHECKING:
    from pycoredns.request import Request
    from pycoredns.response import Response

COOKIE_HEAD = edns.COOKIE.to_bytes(2, "big") + b"\0\x08"
"""What stands before a client's cookie, which ends a usual query: the option's code and size."""
COOKIE_SIZE = 8
_NO_COOKIE = bytes(COOKIE_SIZE)
NAME = 10
"""Where the name begins behind an ID."""
_BESIDE_NAME_WITH_COOKIE = NAME + 4 + 11 + len(COOKIE_HEAD) + COOKIE_SIZE


def usual(key: bytes) -> bytes:
    """A query (behind its ID) with small letters, and with zeros for a cookie at its end.

    Two queries have the same usual spelling only if they differ by nothing else, whatever their octets mean.
    """
    end = key.find(0, NAME) + 1 or NAME
    if key[-12:-8] == COOKIE_HEAD and len(key) >= end + 12:
        return b"%b%b%b%b" % (key[:NAME], key[NAME:end].lower(), key[end:-8], _NO_COOKIE)
    return b"%b%b%b" % (key[:NAME], key[NAME:end].lower(), key[end:])


def is_usual(key: bytes) -> bool:
    """Is a query (behind its ID) spelled as usual? One that is not has a capital letter, or seems to end with a cookie."""
    return key.islower() and key[-12:-8] != COOKIE_HEAD


def may_be_respelled(request: Request, response: Response, key: bytes) -> bool:
    """Is it known where the letters of a query (behind its ID) and its cookie stand, and do the records not depend on them?"""
    asked = request.asked
    if asked != request.name and not response.any_case:
        return False
    if key.find(0, NAME) + 1 != NAME + len(asked):  # a label holds a NUL
        return False
    if request.tail.cookie:  # what an OPT record of the answer's own holds may depend on it
        return response.opt is None and len(key) == _BESIDE_NAME_WITH_COOKIE + len(asked)
    return key[-12:-8] != COOKIE_HEAD  # else these octets mean something else here


def usual_reply(request: Request, response: Response) -> bytes:
    """The reply to the usual spelling: what was for this client only, its cookie, is not in it."""
    reply, end = response.plain().reply(request), NAME + len(request.asked)
    if request.terms.cookie:
        return b"%b%b%b%b" % (reply[:NAME], request.name, reply[end:-COOKIE_SIZE], _NO_COOKIE)
    return b"%b%b%b" % (reply[:NAME], request.name, reply[end:])


def respelled(reply: bytes, key: bytes, end: int, with_cookie: bool) -> bytes:
    """A reply to the usual spelling as one to this query, whose name ends before ``end``."""
    if with_cookie:
        return b"%b%b%b%b" % (reply[:NAME], key[NAME:end], reply[end:-8], key[-8:])
    return b"%b%b%b" % (reply[:NAME], key[NAME:end], reply[end:])
