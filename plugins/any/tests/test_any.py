"""ANY gets one short record; the rest is left to others."""

from pycoredns.plugins.any import Any
from pycoredns.response import Response
from pycoredns.testing import Last, ask


async def test_any_is_answered_with_hinfo_in_the_clients_case():
    response = await ask(Any(), "Example.org", "ANY", behind=Last(RuntimeError("asked")))
    assert response.answer == b"\7Example\3org\0" + b"\0\x0d\0\1\0\0\x21\x22\0\x1b\x0dANY obsoleted\x0cSee RFC 8482"
    assert not response.authoritative


async def test_other_types_are_passed_on():
    passed = Response(rcode=3)
    assert await ask(Any(), "example.org", "A", behind=Last(passed)) is passed
