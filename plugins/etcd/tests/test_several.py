"""Answers from packed pieces are, octet by octet, those of the way that looks at everything."""

import random
from collections import Counter

import pytest

from pycoredns.direct import Found
from pycoredns.plugins.cache import verdict
from pycoredns.plugins.etcd import several
from pycoredns.plugins.etcd import zone as zone_module
from pycoredns.plugins.etcd.options import SkyDNS
from pycoredns.plugins.etcd.plugin import Etcd
from pycoredns.plugins.etcd.tests.without_etcd import LAB, delete, etcd, put, thorough
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names

LABELS = ("a", "b", "b", "c-1", "c-1", "Y", "any", "*", "x" * 63, "x" * 64, r"a\.b", "", "dns", "ns", "apex")
ASKED = ("a", "A", "b", "b", "c-1", "Y", "any", "*", "*", "x" * 63, r"a\.b", r"a\032b", "a/b", "dns", "ns", "apex", "local")
TYPES = (*["A", "AAAA", "SRV", "SRV"] * 3, "MX", "TXT", "MX", "TXT", "CNAME", "PTR", "NS", "SOA", "HTTPS", "ANY")
ZONES = (("lab.internal",), ("lab.internal",), ("lab.internal", "internal", "a.lab.internal"), (".",))
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2")
UNUSUAL = ("::ffff:10.0.0.1", "2001:DB8::1", "b.lab.internal", "a.b.lab.internal", "10.0.0.256", "www.example.org", "")
USUAL_FIELDS = {
    "port": (0, 80, 80, 443, 65535),
    "priority": (0, 5, 10, 65535),
    "weight": (0, 1, 3, 33, 100, 65535),
    "targetstrip": (0, 1, 1, 2, 3),
    "ttl": (0, 1, 60, 300, 1 << 31),
}
UNUSUAL_FIELDS = {
    "port": (-1, 65536 + 80),
    "priority": (-1, 65536, 1 << 40),
    "weight": (-3, 49, 1 << 62),
    "targetstrip": (-1, 256),
    "text": ("t", "other", "x" * 255),
    "group": ("g1", "g2", ""),
    "mail": (True, False),
}


def a_record(chance: random.Random, oddity: float) -> object:
    """A record, usual or not."""
    if chance.random() < oddity / 8:
        return b"{"
    hosts = UNUSUAL if chance.random() < oddity else ADDRESSES
    record: dict[str, object] = {"host": chance.choice(hosts)}
    fields = USUAL_FIELDS | UNUSUAL_FIELDS if chance.random() < oddity else USUAL_FIELDS
    for field in chance.sample(sorted(fields), chance.choice((0, 0, 1, 2, 5))):
        record[field] = chance.choice(fields[field])
    return record


def a_plugin(chance: random.Random) -> Etcd:
    """One with some records below few names, with any options."""
    options: dict[str, object] = {"path": chance.choice(("/skydns", "/skydns", "/skydns", "/team/dns", "/"))}
    if chance.random() < 0.2:
        options["skydns"] = SkyDNS(names.from_text("a.lab.internal"))
    plugin = etcd(zones=chance.choice(ZONES), **options)
    oddity = chance.choice((0, 0, 0.05, 0.3))
    labels = LABELS if oddity > 0.1 else LABELS[:6]
    for _ in range(chance.choice((4, 12, 40))):
        key = "/".join(chance.choice(labels) for _ in range(chance.randrange(1, 5)))
        root = plugin._source.tree.root.decode() + LAB.removeprefix("/skydns")
        put(plugin._source, root + key, a_record(chance, oddity), 7 * (chance.random() < oddity / 4))
    return plugin


def a_name(chance: random.Random, plugin: Etcd) -> str:
    """A name that is above some key, perhaps with wildcards; or any other."""
    key = chance.choice(sorted(plugin._source.tree.records)).decode().partition(LAB.removeprefix("/skydns"))[2]
    labels = key.split("/")[: chance.choice((1, 1, 1, 2, 2, 3))]
    if "" in labels or chance.random() < 0.2:
        labels = [chance.choice(ASKED) for _ in range(chance.randrange(4))]
    labels = [
        chance.choice((label, label, label, label.upper(), "*", "any")) if len(label) < 9 else label[:63] for label in labels
    ]
    return ".".join([*reversed(labels), "lab.internal"])


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands still: the SOA's serial is the time."""
    monkeypatch.setattr(zone_module, "time", lambda: 1e9)
    monkeypatch.setattr(zone_module, "monotonic", lambda: 5.0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many answers are made at once, by the function that makes them and the number of records."""
    counted: Counter[str] = Counter()
    for name in ("addresses", "services"):
        make = getattr(several, name)

        def count(*arguments: object, name: str = name, make=make) -> Response | Found | None:
            made = make(*arguments)
            shape = made[0] if isinstance(made, tuple) else made
            counted[name] += shape is not None and shape.answers > 1
            return made

        monkeypatch.setattr(several, name, count)
    return counted


def reply(plugin: Etcd, name: str, qtype: str) -> bytes:
    """A plugin's reply; if its answer has a gist, what a cache makes of that is what it makes of the records."""
    request = request_for(name, qtype, plugins=[plugin, Last(Response(5))], protocol="tcp")
    response = plugin.handle(request)
    assert not response.gist or verdict.judge(request, response) == verdict._judge_any(request, response)
    return response.reply(request)


@pytest.mark.usefixtures("still")
def test_both_ways_agree_on_random_trees(made: Counter[str]) -> None:
    chance = random.Random(7)
    for _ in range(120):
        plugin = a_plugin(chance)
        for _ in range(30):
            question = a_name(chance, plugin), chance.choice(TYPES)
            expected, *replies = (reply(each, *question) for each in (thorough(plugin), plugin, plugin))
            assert replies == [expected] * 2, (question, dict(plugin._source.tree.records))
    assert made["addresses"] > 300 < 3 * made["services"], "else nothing is shown"


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("length", range(30, 64, 3))
def test_names_up_to_the_longest(length: int) -> None:
    labels = ["x" * 63, "y" * 63, "z" * length]
    place = "/".join([*reversed(labels), ""])
    keys = ("1", "w" * 63, "v/" * 20 + "2") if length % 2 else ("1", "2/3")
    plugin = etcd({place + key: {"host": f"10.0.0.{number}", "port": 80} for number, key in enumerate(keys)})
    for name in (".".join([*labels, "lab.internal"]), ".".join(["*", *labels, "lab.internal"])):
        assert reply(thorough(plugin), name, "SRV") == reply(plugin, name, "SRV") == reply(plugin, name, "SRV")


def test_more_keys_than_are_read_for_one_question_are_left_to_an_inquiry(made: Counter[str]) -> None:
    plugin = etcd({f"a/n{place}": {"host": f"10.1.{place >> 8}.{place & 255}"} for place in range(4097)})
    assert plugin.handle(request_for("*.a.lab.internal", plugins=[plugin])).truncated
    assert not made
    delete(plugin._source, LAB + "a/n0")
    plugin.changed()
    assert plugin.handle(request_for("*.a.lab.internal", plugins=[plugin])).answers == 4096
    assert made == {"addresses": 1}
