"""Corefiles: what they mean, and what is wrong with them."""

import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.plugins.cache import Cache
from pycoredns.plugins.cache.options import Disabled, Limits, Prefetch, ServeStale
from pycoredns.wire import names

ZONE = names.from_text("example.org")


def made(line, block):
    """The cache of a Corefile."""
    lines = "\n".join(block.split("; "))
    assembly = assemble(parse(f"example.org:1053 {{\n cache {line} {{\n{lines}\n}}\n whoami\n}}\n", "Corefile"))
    (cache,) = assembly.blocks[0].find(Cache)
    return cache


@pytest.mark.parametrize(
    ("line", "block", "expected"),
    [
        ("", "", {"ttl": None, "zones": (ZONE,), "success": Limits(10000), "servfail": 5, "serve_stale": None}),
        ("30", "", {"ttl": 30, "zones": (ZONE,)}),
        ("30 a.test B.test", "", {"ttl": 30, "zones": (names.from_text("a.test"), names.from_text("b.test"))}),
        ("a.test 30", "", {"ttl": None, "zones": (names.from_text("a.test"), names.from_text("30"))}),
        ("10.0.0.0/8", "", {"zones": (names.from_text("10.in-addr.arpa"),)}),
        ("", "success 10", {"success": Limits(10, None, 5)}),
        ("", "success -5 10 0 more", {"success": Limits(-5, 10, 0)}),
        ("", "denial 1 2 3", {"denial": Limits(1, 2, 3)}),
        ("", "prefetch 3", {"prefetch": Prefetch(3, 60, 10)}),
        ("", "prefetch 3 -5s 90%", {"prefetch": Prefetch(3, -5, 90)}),
        ("", "serve_stale", {"serve_stale": ServeStale(3600)}),
        ("", "serve_stale 1m IMMEDIATE 30s 5m", {"serve_stale": ServeStale(60, False, 0, 30, 300)}),
        ("", "serve_stale 1m verify 100ms 30s 1s", {"serve_stale": ServeStale(60, True, 0.1, 30, 1)}),
        ("", "serve_stale; serve_stale_policy Prefer_Positive", {"serve_stale_policy": (True,)}),
        ("", "servfail 5m", {"servfail": 300}),
        ("", "disable success", {"disable": (Disabled("success", (names.ROOT,)),)}),
        ("", "disable denial a.test", {"disable": (Disabled("denial", (names.from_text("a.test"),)),)}),
        ("", "keepttl; keepttl", {"keepttl": True}),
    ],
)
def test_what_a_corefile_means(line, block, expected):
    cache = made(line, block)
    assert {name: getattr(cache, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "block", "mistake"),
    [
        ("0", "", "cache TTL can not be zero or negative: 0"),
        ("-5", "", "cache TTL can not be zero or negative: -5"),
        ("", "success", "success: CAPACITY is missing"),
        ("", "success a", '"a" is not a whole number'),
        ("", "success 1 0", "cache TTL can not be zero or negative: 0"),
        ("", "denial 1 1 -1", "too small"),
        ("", "prefetch", "AMOUNT is missing"),
        ("", "prefetch -1", "too small"),
        ("", "prefetch 1 5", "not a duration"),
        ("", "prefetch 1 5s 10", "not a percentage"),
        ("", "prefetch 1 5s 9%", "too small"),
        ("", "prefetch 1 5s 91%", "too large"),
        ("", "prefetch 1 5s 10% x", 'unexpected "x"'),
        ("", "serve_stale -1h", "negative"),
        ("", "serve_stale 1h never", '"never" is unknown'),
        ("", "serve_stale 1h immediate 1500ms", "whole number of seconds"),
        ("", "serve_stale 1h immediate 1s 6m", "too long"),
        ("", "serve_stale 1h immediate 1s 1s 1s", 'unexpected "1s"'),
        ("", "serve_stale 1h verify 1s 1s 1s 1s", 'unexpected "1s"'),
        ("", "serve_stale_policy prefer_positive", "requires serve_stale"),
        ("", "serve_stale; serve_stale_policy x", 'unknown serve_stale_policy "x"'),
        ("", "serve_stale; serve_stale_policy prefer_positive; serve_stale_policy prefer_positive", "only be specified once"),
        ("", "servfail", "missing"),
        ("", "servfail 6m", "too long"),
        ("", "disable", "missing"),
        ("", "disable failure", '"failure"'),
        ("", "keepttl x", 'unexpected "x"'),
        ("", "keep", 'unknown option "keep"'),
    ],
)
def test_mistakes_are_told(line, block, mistake):
    with pytest.raises(ConfigErrors) as raised:
        made(line, block)
    assert mistake in str(raised.value)
