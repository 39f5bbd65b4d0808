"""SRV answers by the usual way, which makes them at once, are those of the way that looks at everything."""

import random

import pytest

from pycoredns.plugins.cache import verdict
from pycoredns.plugins.etcd.plugin import Etcd
from pycoredns.plugins.etcd.tests.without_etcd import HOST, answer, etcd, message
from pycoredns.request import Request
from pycoredns.testing import request_for
from pycoredns.wire import types

ADDRESSES = ("10.0.0.1", "2001:db8::1")
OF_A_SERVICE = {
    "port": (0, 80, 65535),
    "priority": (0, 5, 65535),
    "weight": (0, 1, 50, 65535),
    "targetstrip": (0, 1, 2),
    "ttl": (1, 300, 1 << 31),
    "text": ("t",),
    "group": ("g",),
}


def a_service(chance: random.Random) -> dict[str, object]:
    """A record with some of the fields."""
    chosen = chance.sample(sorted(OF_A_SERVICE), chance.randrange(6))
    return {"host": chance.choice(ADDRESSES)} | {field: chance.choice(OF_A_SERVICE[field]) for field in chosen}


def test_random_services():
    """``message`` asks by both ways and compares."""
    chance = random.Random(6)
    for _ in range(200):
        key = "/".join(chance.choice(("a", "b-1", "Y", "x" * 63, "x" * 64)) for _ in range(chance.randrange(4)))
        message(etcd({f"a/{key}".rstrip("/"): a_service(chance)}), "a.lab.internal", "SRV")


@pytest.mark.parametrize("length", range(20, 49))
def test_names_up_to_the_longest(length):
    labels = ["x" * 63] * 3 + ["y" * length]
    key = "/".join([*reversed(labels), *"12345"])
    message(etcd({key: HOST}), ".".join([*labels, "lab.internal"]), "SRV")


def test_what_a_cache_has_to_know_of_them_is_found_out_once(monkeypatch: pytest.MonkeyPatch):
    looked_at: list[Request] = []
    judge_any = verdict._judge_any
    monkeypatch.setattr(
        verdict, "_judge_any", lambda request, response: looked_at.append(request) or judge_any(request, response)
    )
    verdict._by_gist.clear()
    plugin = etcd({f"n{number}/x": {"port": number, "ttl": 60 + number // 5} | HOST for number in range(1, 9)})
    assert answer(plugin, "n1.lab.internal", "SRV") == ["SRV 10 100 1 x.n1.lab.internal."]
    verdicts = [judged(plugin, f"n{number}.lab.internal") for number in range(1, 9)]
    assert [ttl for _, _, ttl, _ in verdicts] == [60] * 4 + [61] * 4
    assert len(looked_at) == 2


def judged(plugin: Etcd, name: str) -> verdict.Verdict:
    """What a cache thinks of the SRV answer."""
    request = request_for(name, "SRV", plugins=[plugin])
    response = plugin.handle(request)
    assert request.qtype == types.SRV
    return verdict.judge(request, response)
