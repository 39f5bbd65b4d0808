"""What several records of a name, the zone and its options make of the answers."""

import dns.flags
import pytest

from pycoredns.corefile.kinds import Fallthrough
from pycoredns.plugins.etcd import answers as answers_module
from pycoredns.plugins.etcd import zone as zone_module
from pycoredns.plugins.etcd.options import SkyDNS
from pycoredns.plugins.etcd.tests.without_etcd import HOST, LAB, answer, etcd, message, put, texts
from pycoredns.response import Response
from pycoredns.testing import Last, request_for
from pycoredns.wire import names
from pycoredns.wire.message import Record


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0, 0, 0], [33, 33, 33]),
        ([120, 100, 130], [34, 28, 37]),
        ([100000, 1], [99, 1]),
        ([97], [99]),
        ([-5, 10], [65436, 200]),
        ([-100, 0], [1, 1]),
        ([(1 << 63) - 1, 1], [65436, 65535]),
    ],
)
def test_weights_are_shares_of_their_priority(weights, expected):
    content = {f"w/{place}": {"host": "10.0.0.1", "port": place, "weight": weight} for place, weight in enumerate(weights)}
    records = answer(etcd(content), "w.lab.internal", "SRV")
    assert [int(text.split()[2]) for text in records] == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"a": "g1", "a/b": "g2"}, "1"),
        ({"a/b": "g2", "c": "g1"}, "2"),
        ({"a/b": "g2", "c": ""}, "12"),
        ({"a": "g1", "b": "g2"}, "12"),
        ({"a/b": "", "c": "g1", "d/e": "g2"}, "12"),
        ({"a/b/c": "x", "d/e": "y", "f": "z", "g": "z"}, "34"),
        ({"a/b/c": "x", "d/e": "y", "f": "z", "g": "w"}, "1234"),
    ],
)
def test_groups(groups, expected):
    content = {f"g/{key}": {"host": f"10.0.0.{place}", "group": group} for place, (key, group) in enumerate(groups.items(), 1)}
    assert "".join(text[-1] for text in answer(etcd(content), "g.lab.internal")) == expected


def test_a_chain_of_eleven_aliases_is_followed_and_no_longer_one():
    content = {f"c{place}": {"host": f"c{place + 1}.lab.internal"} for place in range(12)} | {"c12": HOST}
    assert len(answer(etcd(content), "c1.lab.internal")) == 12
    assert answer(etcd(content), "c0.lab.internal") == []


def test_denials_carry_the_soa_whose_serial_is_the_time(monkeypatch):
    clock = [1_000_000.25]
    monkeypatch.setattr(zone_module, "time", lambda: clock[0])
    monkeypatch.setattr(zone_module, "monotonic", lambda: clock[0])
    plugin = etcd({"a": HOST})
    expected = "SOA ns.dns.lab.internal. hostmaster.lab.internal. {} 7200 1800 86400 30"
    assert texts(message(plugin, "no.lab.internal").authority) == [expected.format(1_000_000)]
    assert plugin.handle(request_for("no.lab.internal", plugins=[plugin])).until == 1_000_001
    clock[0] += 0.75
    assert texts(message(plugin, "a.lab.internal", "TXT").authority) == [expected.format(1_000_001)]
    assert answer(plugin, "no.lab.internal", "SOA") == [expected.format(1_000_001)]


@pytest.mark.parametrize(
    ("remaining", "ttl", "bounds", "expected"),
    [
        (60, 0, {}, 60),
        (10, 0, {}, 30),
        (200_000, 0, {}, 86400),
        (600, 60, {}, 60),
        (60, 600, {}, 60),
        (10, 5, {}, 5),
        (None, 0, {}, 300),
        (None, 7, {}, 7),
        (10, 0, {"min_lease_ttl": 5}, 10),
        (10, 0, {"min_lease_ttl": 0}, 30),
        (100, 0, {"max_lease_ttl": 50}, 50),
    ],
)
def test_the_ttl_of_a_lease(remaining, ttl, bounds, expected, monkeypatch):
    plugin = etcd(**bounds)
    monkeypatch.setattr(plugin._source.mirror, "lease_ttl", {7: remaining}.get)
    monkeypatch.setattr(answers_module, "monotonic", lambda: 100.0)
    put(plugin._source, LAB + "a", {"host": "10.0.0.1", "ttl": ttl}, lease=7)
    assert message(plugin, "a.lab.internal").answer[0].ttl == expected
    assert plugin.handle(request_for("a.lab.internal", plugins=[plugin])).until == 101.0


def test_fallthrough_passes_on_missing_names_only():
    plugin = etcd({"a": HOST, "b/c": HOST}, through=Fallthrough((names.from_text("b.lab.internal"),)))
    behind = Last(Response(answer=Record(names.from_text("x"), 1, 1, 5, bytes(4)).wire(), answers=1))
    assert answer(plugin, "x.b.lab.internal", behind=behind) == ["A 0.0.0.0"]
    assert answer(plugin, "x.lab.internal", behind=behind) == "NXDOMAIN"
    assert answer(plugin, "c.b.lab.internal", "TXT", behind=behind) == []
    assert answer(plugin, "x.b.lab.internal", "SOA", behind=behind) != ["A 0.0.0.0"]


@pytest.mark.parametrize(
    ("path", "key", "target"),
    [
        ("/dns", "/dns/internal/lab/a", "a.lab.internal."),
        ("dns/", "/dns/internal/lab/a", "a.lab.internal."),
        ("/team/dns", "/team/dns/internal/lab/a", "a.lab.internal.dns."),
        ("/x/../b//c/", "/b/c/internal/lab/a", "a.lab.internal.c."),
        ("", "/internal/lab/a", "a.lab."),
    ],
)
def test_paths(path, key, target):
    plugin = etcd({key: HOST}, path=path)
    assert answer(plugin, "a.lab.internal") == ["A 10.0.0.1"]
    assert answer(plugin, "a.lab.internal", "SRV") == [f"SRV 10 100 0 {target}"]


def test_skydns():
    plugin = etcd(
        {"a": HOST, "dns/apex/x": {"host": "10.0.0.2"}, "/skydns/arpa/in-addr/10/0/0/1": {"host": "a.lab.internal"}},
        skydns=SkyDNS(names.from_text("a.lab.internal")),
    )
    assert len(answer(plugin, "lab.internal")) == 2
    assert message(plugin, "LOCAL.dns.lab.internal").answer[0].to_text() == "LOCAL.dns.lab.internal. 3600 IN A 10.0.0.1"
    pointer = message(plugin, "1.0.0.10.in-addr.arpa", "PTR")
    assert texts(pointer.answer) == ["PTR a.lab.internal."]
    assert not pointer.flags & dns.flags.AA
    assert answer(plugin, "2.0.0.10.in-addr.arpa", "PTR") == "REFUSED"
    assert answer(plugin, "no.lab.internal", "NS") == []
    assert answer(plugin, "no.lab.internal", "SOA") == "NXDOMAIN"
    assert answer(plugin, "lab.internal", "SOA")[0].endswith("28800 7200 604800 60")
