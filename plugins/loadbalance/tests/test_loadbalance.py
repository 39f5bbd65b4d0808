"""The order of records."""

import threading
from collections import Counter
from ipaddress import ip_network
from pathlib import Path

import dns.message
import dns.rrset
import pytest
from dnslib import RR

from pycoredns.answer import Pending
from pycoredns.corefile.numbers import Duration
from pycoredns.errors import StartError
from pycoredns.plugins.loadbalance import Loadbalance
from pycoredns.plugins.loadbalance.deck import Section
from pycoredns.plugins.loadbalance.weights import BadWeights, parse
from pycoredns.relayed import Relayed
from pycoredns.response import Response
from pycoredns.testing import Last, Upstream, eventually, request_for, running
from pycoredns.wire import names
from pycoredns.wire.walk import walk

NAME = names.from_text("a.test")
ADDRESSES = ["a.test. 60 IN A 192.0.2.1", "a.test. 60 IN A 192.0.2.2", "a.test. 60 IN A 192.0.2.3"]
ALIAS = "a.test. 60 IN CNAME b.test."
BEHIND_ALIAS = ["b.test. 60 IN A 192.0.2.1", "b.test. 60 IN A 192.0.2.2"]
MX = ["a.test. 60 IN MX 10 m.test.", "a.test. 60 IN MX 20 n.test."]
TXT = ['a.test. 60 IN TXT "x"', 'a.test. 60 IN TXT "y"']
IPV6 = ["a.test. 60 IN AAAA 2001:db8::1", "a.test. 60 IN AAAA 2001:db8::2"]


def relayed(answer=(), authority=(), additional=(), qtype="A", rcode=0):
    """An upstream's answer, as octets."""
    reply = dns.message.make_response(dns.message.make_query("a.test", qtype))
    reply.set_rcode(rcode)
    for section, lines in ((reply.answer, answer), (reply.authority, authority), (reply.additional, additional)):
        section += [dns.rrset.from_text(*line.split(" ", 4)) for line in lines]
    return Relayed.read(reply.to_wire(), NAME)


def sent(response):
    """The three sections of a reply, as lines in their order."""
    reply = dns.message.from_wire(bytes(2) + response.reply(request_for("a.test", protocol="tcp")), one_rr_per_rrset=True)
    return tuple([rrset.to_text() for rrset in section] for section in (reply.answer, reply.authority, reply.additional))


def balanced(plugin, response, qtype="A"):
    """An answer behind a plugin, and its request."""
    request = request_for("a.test", qtype, plugins=[plugin, Last(response)])
    return plugin.handle(request), request


def orders_of(plugin, response, times=60):
    """How often each order of the answer section was seen."""
    return Counter(tuple(sent(balanced(plugin, response)[0])[0]) for _ in range(times))


FORMS = pytest.mark.parametrize("form", [lambda response: response, Relayed.plain], ids=["relayed", "plain"])


@FORMS
def test_all_orders_come(form):
    seen = orders_of(Loadbalance(), form(relayed(ADDRESSES)), 300)
    assert len(seen) == 6
    assert all(sorted(order) == ADDRESSES for order in seen)


@FORMS
@pytest.mark.parametrize(
    ("answer", "kept", "moved"),
    [
        pytest.param([ALIAS, *BEHIND_ALIAS], [ALIAS], BEHIND_ALIAS, id="alias first"),
        pytest.param([*BEHIND_ALIAS, ALIAS], [ALIAS], BEHIND_ALIAS, id="alias put first"),
        pytest.param([*ADDRESSES[:1], *MX], ADDRESSES[:1], MX, id="mail exchangers last"),
        pytest.param([*TXT, *ADDRESSES], TXT, ADDRESSES, id="others stay"),
        pytest.param([*ADDRESSES[:2], *IPV6[:1]], [], [*ADDRESSES[:2], *IPV6[:1]], id="both families"),
        pytest.param(["a.test. 50 IN A 192.0.2.9", *ADDRESSES], [], ["a.test. 50 IN A 192.0.2.9", *ADDRESSES], id="TTLs"),
    ],
)
def test_what_moves_and_what_stays(form, answer, kept, moved):
    seen = orders_of(Loadbalance(), form(relayed(answer)))
    assert all(list(order[: len(kept)]) == kept and sorted(order[len(kept) :]) == sorted(moved) for order in seen)
    assert len(seen) > 1


def test_all_sections_are_shuffled():
    seen = {tuple(map(tuple, sent(balanced(Loadbalance(), relayed(TXT, MX, ADDRESSES))[0]))) for _ in range(60)}
    assert len({each[1] for each in seen}) == 2
    assert len({each[2] for each in seen}) == 6


class Copied(bytes):
    """Octets that count how many others are copied to put them behind these."""

    octets = 0

    def __getitem__(self, key):
        return Copied(super().__getitem__(key))

    def __radd__(self, before):
        Copied.octets += len(before)
        return before + bytes(self)


def test_thousands_of_records_that_stay_are_copied_once():
    section = relayed([*TXT, ALIAS]).plain()
    found = walk(section.answer, 0, section.answers)
    dealt = Section((Copied(section.answer), found * 1000))
    assert len(dealt.aliases + dealt.others) == 1000 * len(section.answer)
    assert Copied.octets == 0


@pytest.mark.parametrize(
    ("response", "qtype"),
    [
        (relayed(ADDRESSES[:1]), "A"),
        (relayed(ADDRESSES, rcode=3), "A"),
        (relayed(ADDRESSES), "AXFR"),
        (Response(2), "A"),
    ],
)
def test_what_is_not_touched(response, qtype):
    assert balanced(Loadbalance(), response, qtype)[0] is response


def test_what_has_one_order_only_is_remembered_as_it_is():
    given, request = balanced(Loadbalance(), relayed(TXT))
    assert (sent(given)[0], given.orders, given.memorable, request.personal) == (TXT, None, True, False)


def test_the_memo_gives_each_address_first_equally_often():
    given, request = balanced(Loadbalance(), relayed(ADDRESSES))
    firsts = [sent(order)[0][0] for order in given.orders()]
    assert (sorted(firsts), request.personal) == (ADDRESSES, False)


def test_orders_do_not_outlive_a_change():
    given, _ = balanced(Loadbalance(), relayed(ADDRESSES))
    for changed in (given.alike(rcode=0), given.replace(rcode=0), given.with_ttl(5)):
        assert (changed.orders, changed.memorable) == (None, False)


def test_an_answer_that_comes_later():
    later = Pending()
    answer, _ = balanced(Loadbalance(), lambda request: later)
    later.resolve(relayed(ADDRESSES))
    assert sorted(sent(answer.result())[0]) == ADDRESSES


# --- preferred networks


@pytest.mark.parametrize(
    ("networks", "answer", "expected"),
    [
        (["192.0.2.3/32"], ADDRESSES, [ADDRESSES[2:], ADDRESSES[:2]]),
        (["192.0.2.2/32", "192.0.2.1/32"], ADDRESSES, [ADDRESSES[1:2], ADDRESSES[:1], ADDRESSES[2:]]),
        (["192.0.2.2/31"], ADDRESSES, [ADDRESSES[1:], ADDRESSES[:1]]),
        (["10.0.0.0/8"], ADDRESSES, [ADDRESSES]),
        (["2001:db8::2/128"], [*IPV6, ADDRESSES[0]], [IPV6[1:], [*IPV6[:1], ADDRESSES[0]]]),
        (["192.0.2.0/24"], ["a.test. 60 IN AAAA ::ffff:192.0.2.9", *IPV6], [["a.test. 60 IN AAAA ::ffff:192.0.2.9"], IPV6]),
        (["192.0.2.3/32"], [ALIAS, *BEHIND_ALIAS, *TXT, *MX], [[ALIAS], BEHIND_ALIAS, MX, TXT]),
    ],
)
def test_preferred_networks_come_first(networks, answer, expected):
    plugin = Loadbalance(prefer=tuple(map(ip_network, networks)))
    for order in orders_of(plugin, relayed(answer)):
        rest = list(order)
        for part in expected:
            assert sorted(rest[: len(part)]) == sorted(part)
            rest = rest[len(part) :]


# --- weights

WEIGHTS = "# a comment\n\nA.test\n192.0.2.1 1\n192.0.2.3 200\nb.test.\n2001:db8::1 7\n"


async def test_weights_say_which_address_comes_first(tmp_path):
    file = tmp_path / "weights"
    file.write_text(WEIGHTS)
    plugin = Loadbalance("weighted", file)
    async with plugin.running():
        seen = orders_of(plugin, relayed(ADDRESSES), 500)
        assert balanced(plugin, relayed(ADDRESSES))[1].personal
    firsts = Counter(order[0] for order, times in seen.items() for _ in range(times))
    assert firsts[ADDRESSES[2]] > 450
    assert len(seen) <= 3


@pytest.mark.parametrize(
    ("answer", "qtype"), [(TXT, "TXT"), (MX, "MX"), (ADDRESSES, "ANY"), ([*ADDRESSES[:1], *MX], "A")]
)  # fmt: skip
def test_weights_are_for_addresses(answer, qtype):
    plugin = Loadbalance("weighted", "no file is read")
    assert {tuple(sent(balanced(plugin, relayed(answer), qtype)[0])[0]) for _ in range(20)} == {tuple(answer)}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("192.0.2.1 1", "missing domain name"),
        ("a.test\n192.0.2.1", "wrong domain name"),
        ("a.test\n192.0.2.1 0", "wrong weight value"),
        ("a.test\n192.0.2.1 256", "wrong weight value"),
        ("a.test\n192.0.2.1 ²", "wrong weight value"),
        ("a.test\n192.0.2 1", "wrong IP address"),
        ("a.test\n192.0.2.1 1 1", "could not parse"),
        (f"{'a' * 64}.test", "wrong domain name"),
    ],
)
def test_mistakes_in_a_file(text, mistake):
    with pytest.raises(BadWeights, match=mistake):
        parse(text.splitlines())


@pytest.mark.parametrize(("text", "interval"), [(None, 0), ("192.0.2.1 1", 30)])
async def test_a_bad_file_stops_the_start(tmp_path, text, interval):
    file = tmp_path / "weights"
    if text:
        file.write_text(text)
    with pytest.raises(StartError, match="loadbalance"):
        async with Loadbalance("weighted", file, reload=interval).running():
            pass


async def test_a_folder_is_not_waited_for(tmp_path):
    with pytest.raises(StartError, match=f"^plugin/loadbalance: weight file open error: open {tmp_path}: is a directory$"):
        async with Loadbalance("weighted", tmp_path).running():
            pass


async def test_a_missing_file_is_told_with_its_name_and_reason(tmp_path, caplog):
    file = tmp_path / "weights"
    reason = f"open {file}: no such file or directory"
    with pytest.raises(StartError, match=f"^plugin/loadbalance: weight file open error: {reason}$"):
        async with Loadbalance("weighted", file, reload=Duration(0)).running():
            pass
    async with Loadbalance("weighted", file, reload=Duration(0.01)).running():
        await eventually(lambda: len(caplog.messages) > 1)
    assert caplog.messages[0] == f"Failed to open weight file: {reason}. Will try again in 10ms"
    assert caplog.messages[1] == f"weight file open error: {reason}"


async def test_a_file_is_read_when_it_comes_and_when_it_changes(tmp_path):
    file = tmp_path / "weights"
    plugin = Loadbalance("weighted", file, reload=Duration(0.01))
    async with plugin.running():
        file.write_text(WEIGHTS)
        await eventually(lambda: bool(plugin._weights))
        file.write_text("nonsense 1\n")
        before = plugin._weights
        file.write_text("c.test\n192.0.2.1 9\n")
        await eventually(lambda: plugin._weights is not before)
    assert list(plugin._weights.values()) == [9]


# --- with the server


async def test_a_client_sees_all_orders_from_memory():
    def answer(query):
        reply = query.reply()
        reply.add_answer(*(rr for line in ADDRESSES for rr in RR.fromZone(line)))
        return reply

    async with (
        Upstream(answer) as upstream,
        running(f".:{{port}} {{\n loadbalance\n cache\n forward . {upstream.address}\n}}") as server,
    ):
        firsts = Counter([(await server.answers("a.test"))[0] for _ in range(63)])
        assert len(upstream.questions) == 1
    assert len(firsts) == len(ADDRESSES)
    assert min(firsts.values()) > 6  # 21 are to be expected; by chance alone it is fewer once in 30,000 runs


async def test_the_file_is_read_beside_the_answers(tmp_path, monkeypatch):
    file = tmp_path / "weights"
    file.write_text("a.test\n192.0.2.1 2\n")
    readers = []
    read_text = Path.read_text

    def noted(path, *how):
        readers.append(threading.current_thread())
        return read_text(path, *how)

    monkeypatch.setattr(Path, "read_text", noted)
    async with Loadbalance("weighted", file, reload=Duration(0.01)).running():
        await eventually(lambda: len(readers) > 1)
    assert threading.main_thread() not in readers
