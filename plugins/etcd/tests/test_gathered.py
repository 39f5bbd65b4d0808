"""Names with hundreds of others below them: what is asked for them over and over is gathered once."""

import pytest

from pycoredns.plugins.etcd import gathered
from pycoredns.plugins.etcd.gathered import MANY, MOST_KEPT
from pycoredns.plugins.etcd.tests.without_etcd import delete, etcd, put
from pycoredns.plugins.etcd.tree import Tree
from pycoredns.response import Response
from pycoredns.testing import Last, request_for

ADDRESSES = {f"all/n{number}": {"host": f"10.0.{number >> 8}.{number & 255}"} for number in range(MANY + 10)}
GROUPED = {key: {**value, "group": "g", "text": "t", "mail": True} for key, value in ADDRESSES.items()}
KEY = "/skydns/internal/lab/all/n1"


@pytest.fixture(autouse=True)
def _an_early_time(monkeypatch):
    """Answers without records hold until the second is over, whose number is in their SOA record."""
    monkeypatch.setattr(gathered, "monotonic", lambda: 0.0)


@pytest.fixture
def looks(monkeypatch):
    """What many keys were looked for."""
    found = []
    below, first_below = Tree._keys_below, Tree.first_below
    monkeypatch.setattr(Tree, "_keys_below", lambda self, place: found.append(place) or below(self, place))
    monkeypatch.setattr(
        Tree, "first_below", lambda self, stem, most: (most > MANY and found.append(stem)) or first_below(self, stem, most)
    )
    return found


def ask(plugin, name, qtype, **options) -> Response:
    return plugin.handle(request_for(name, qtype, plugins=[plugin, Last(Response(5))], **options))


@pytest.mark.parametrize("content", [ADDRESSES, GROUPED], ids=["usual", "grouped"])
@pytest.mark.parametrize("name", ["all.lab.internal", "*.all.lab.internal", "lab.internal", "any.*.lab.internal"])
@pytest.mark.parametrize("qtype", ["A", "AAAA", "TXT", "SRV", "MX", "NS", "TYPE999"])
def test_it_is_gathered_once_until_something_changes(looks, content, name, qtype):
    plugin = etcd(content)
    expected = ask(plugin, name, qtype)
    looks.clear()
    for letters in (name, name.upper(), name.replace("lab", "LaB")):
        assert ask(plugin, letters, qtype, do=True, size=1232) is expected
    assert not looks
    delete(plugin._source, KEY)
    plugin.changed()
    assert ask(plugin, name, qtype).answers == expected.answers - (expected.answers > 0)
    assert looks or not expected.answers
    put(plugin._source, KEY, content["all/n1"])
    plugin.changed()
    assert ask(plugin, name, qtype).answers == expected.answers


def test_types_without_records_share_an_answer_and_others_do_not():
    plugin = etcd(ADDRESSES)
    assert ask(plugin, "all.lab.internal", "TYPE999") is ask(plugin, "all.lab.internal", "TYPE1000")
    found = [ask(plugin, "all.lab.internal", qtype).answers for qtype in ("A", "AAAA", "SRV", "CNAME", "PTR")]
    assert found == [MANY + 10, 0, MANY + 10, 0, 0]


def test_few_are_gathered_anew_and_no_more_are_kept_than_a_few():
    plugin = etcd({**ADDRESSES, "few/a": {"host": "10.0.0.1"}, "few/b": {"host": "10.0.0.2"}})
    assert ask(plugin, "few.lab.internal", "A") is not ask(plugin, "few.lab.internal", "A")
    for number in range(3 * MOST_KEPT):
        ask(plugin, "*." * number + "all.lab.internal", "SRV")
        assert len(plugin._gathered._kept) <= MOST_KEPT


def test_what_leads_elsewhere_is_asked_for_each_time():
    plugin = etcd({**ADDRESSES, "all/alias": {"host": "elsewhere.test"}})
    assert ask(plugin, "all.lab.internal", "A") is not ask(plugin, "all.lab.internal", "A")
