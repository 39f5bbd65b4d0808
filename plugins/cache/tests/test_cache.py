"""What is kept, for how long, and what is given."""

from datetime import UTC, datetime, timedelta

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from pycoredns import metrics
from pycoredns.answer import Pending
from pycoredns.errors import ServerFailure
from pycoredns.plugin import Outcome
from pycoredns.plugins.cache import Cache
from pycoredns.plugins.cache.kept import weight
from pycoredns.plugins.cache.options import Disabled, Limits
from pycoredns.query import AA, AD, CD, RA, RD, TC
from pycoredns.relayed import Relayed
from pycoredns.response import Response
from pycoredns.service import Service
from pycoredns.testing import request_for
from pycoredns.wire import edns, names, types
from pycoredns.wire.message import record

ZONE = names.from_text("test")


def address(name="a.test", ttl=300, last=1):
    return record(names.from_text(name), types.A, ttl, bytes((192, 0, 2, last)))


def soa(ttl=60):
    return record(ZONE, types.SOA, ttl, ZONE + ZONE + bytes(20))


def relayed(*answer, name="a.test", qtype="A", rcode=0, authority=(), do=False, flags=dns.flags.RA):
    """An upstream's answer, as octets."""
    query = dns.message.make_query(name, qtype, want_dnssec=do)
    reply = dns.message.make_response(query)
    reply.set_rcode(rcode)
    reply.flags |= flags
    if do:
        reply.use_edns(0, dns.flags.DO, 1232)
    for section, lines in ((reply.answer, answer), (reply.authority, authority)):
        section += [dns.rrset.from_text(*line.split(" ", 4)) for line in lines]
    return Relayed.read(reply.to_wire(), names.from_text(name))


SOA_33 = "test. 33 IN SOA . . 1 2 3 4 5"
VALID = f"a.test. 9 IN RRSIG A 13 2 9 {datetime.now(UTC) + timedelta(days=2):%Y%m%d%H%M%S} 20200101000000 1 test. AAAA"
OUTDATED = "a.test. 9 IN RRSIG A 13 2 9 20210101000000 20200101000000 1 test. AAAA"
OTHER = "b.test. 9 IN A 192.0.2.1"
POSITIVE = Response(0, address(), 1)
NO_NAME = Response(3, b"", 0, soa(), 1)
NO_DATA = Response(0, b"", 0, soa(), 1)
FAILURE = Response(2)


# --- what is kept, and for how long

LINES = pytest.mark.parametrize(
    ("response", "qtype", "options", "ttl"),
    [
        pytest.param(POSITIVE, "A", {}, 300, id="positive"),
        pytest.param(POSITIVE, "A", {"ttl": 10}, 10, id="bound of all"),
        pytest.param(POSITIVE, "A", {"ttl": 10, "success": Limits(1024, 20)}, 20, id="bound of positive answers"),
        pytest.param(POSITIVE, "A", {"success": Limits(1024, 20, 30)}, 20, id="the upper bound wins"),
        pytest.param(Response(0, address(ttl=2), 1), "A", {}, 5, id="least TTL"),
        pytest.param(Response(0, address(ttl=2), 1), "A", {"success": Limits(1024, 20, 1)}, 2, id="lower least TTL"),
        pytest.param(Response(0, address(ttl=9999), 1), "A", {}, 3600, id="longest of positive answers"),
        pytest.param(Response(0, address() + address(ttl=20, last=2), 2), "A", {}, 20, id="the smallest of all records"),
        pytest.param(Response(0, address(), 1, soa(30), 1, address(ttl=40), 1), "A", {}, 30, id="in all sections"),
        pytest.param(Response(0), "A", {}, 5, id="no records"),
        pytest.param(Response(0, b"", 0, b"", 0, address(ttl=0), 1), "A", {}, 5, id="like whoami"),
        pytest.param(NO_NAME, "A", {}, 60, id="nxdomain"),
        pytest.param(NO_NAME, "A", {"denial": Limits(1024, 7)}, 7, id="bound of denials"),
        pytest.param(Response(3, b"", 0, soa(9999), 1), "A", {}, 1800, id="longest of denials"),
        pytest.param(NO_DATA, "A", {}, 60, id="nodata"),
        pytest.param(FAILURE, "A", {}, 5, id="servfail"),
        pytest.param(Response(4), "A", {"servfail": 9}, 9, id="notimp"),
        pytest.param(Response(0, b"", 0, record(ZONE, types.NS, 99, ZONE), 1), "A", {}, 5, id="referral"),
        pytest.param(relayed("a.test. 90 IN A 192.0.2.1"), "A", {}, 90, id="relayed"),
        pytest.param(relayed("a.test. 90 IN CNAME b.test.", "b.test. 70 IN A 192.0.2.1"), "A", {}, 70, id="alias"),
        pytest.param(relayed("a.test. 90 IN CNAME b.test."), "CNAME", {}, 90, id="alias asked for"),
        pytest.param(relayed("a.test. 90 IN CNAME b.test.", authority=[SOA_33]), "A", {}, 33, id="dangling"),
        pytest.param(relayed("a.test. 90 IN A 192.0.2.1", "a.test. 80 IN TXT x", qtype="ANY"), "ANY", {}, 80, id="any"),
        pytest.param(relayed("a.test. 90 IN A 192.0.2.1", VALID, do=True),
                     "A", {}, 9, id="valid signature"),
    ],
)  # fmt: skip


@LINES
def test_kept_for_one_ttl(setting, response, qtype, options, ttl):
    setting.start(response, FAILURE, **options)
    assert set(setting.ttls("a.test", qtype)) <= {ttl}
    setting.now += ttl - 0.5
    assert set(setting.ttls("a.test", qtype)) <= {1}
    assert setting.asked == 1
    setting.now += 1
    setting.ask("a.test", qtype)
    assert setting.asked == 2


NOT_KEPT = [
    pytest.param(POSITIVE.alike(flags=AA | TC), "A", {}, id="truncated"),
    pytest.param(Response(3), "A", {}, id="nxdomain without a SOA"),
    pytest.param(Response(3, address(), 1, soa(), 1), "A", {}, id="nxdomain with an answer"),
    pytest.param(Response(5), "A", {}, id="refused"),
    pytest.param(POSITIVE, "AXFR", {}, id="transfer"),
    pytest.param(FAILURE, "A", {"servfail": 0}, id="servfail 0"),
    pytest.param(Response(0, address(ttl=0), 1), "A", {"success": Limits(1024, 9, 0)}, id="TTL 0"),
    pytest.param(POSITIVE, "A", {"disable": (Disabled("success"),)}, id="disabled"),
    pytest.param(NO_NAME, "A", {"disable": (Disabled("success"), Disabled("denial", (ZONE,)))}, id="disabled in the zone"),
    pytest.param(POSITIVE, "A", {"zones": (names.from_text("b.test"),)}, id="another zone"),
    pytest.param(relayed("a.test. 90 IN CNAME b.test."), "A", {}, id="dangling alias"),
    pytest.param(relayed("a.test. 9 IN CNAME b.test.", "b.test. 9 IN CNAME a.test."), "A", {}, id="alias in a circle"),
    pytest.param(relayed("a.test. 9 IN CNAME b.test.", "a.test. 9 IN CNAME c.test.", OTHER), "A", {}, id="two aliases"),
    pytest.param(relayed(OTHER), "A", {}, id="another name"),
    pytest.param(relayed(OTHER, qtype="ANY"), "ANY", {}, id="another name for any"),
    pytest.param(
        relayed("a.test. 90 IN A 192.0.2.1", OUTDATED, do=True),
        "A", {}, id="outdated signature",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("response", "qtype", "options"), NOT_KEPT)
def test_not_kept(setting, response, qtype, options):
    setting.start(response, **options)
    setting.ask("a.test", qtype)
    setting.ask("a.test", qtype)
    assert setting.asked == 2


def test_errors_are_not_kept(setting):
    setting.start(ServerFailure("down"), POSITIVE)
    with pytest.raises(ServerFailure):
        setting.ask()
    assert setting.ask().answers == 1


def test_an_answer_that_comes_later_is_kept(setting):
    setting.start(later := Pending())
    answer = setting.ask()
    later.resolve(POSITIVE)
    assert answer.result().answers == 1
    assert (setting.ask().answers, setting.asked) == (1, 1)


def test_an_answer_with_an_error_is_kept_without_it(setting):
    broken = Response(2, b"", 0, soa(), 1).alike(error=ServerFailure("bad data"))
    assert setting.start(broken).ask().error is broken.error
    assert (setting.ask().error, setting.ask().rcode, setting.asked) == (None, 2, 1)


# --- what is given


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"name": "a.test"}, {"name": "A.TEST"}, True),
        ({"flags": 0x0100}, {"flags": 0x0000}, True),
        ({"size": 512}, {"size": 4096}, True),
        ({"flags": 0x0100}, {"flags": 0x0120}, True),
        ({"qtype": "A"}, {"qtype": "AAAA"}, False),
        ({"do": False}, {"do": True}, False),
        ({"flags": 0x0100}, {"flags": 0x0110}, False),
        ({"qclass": "IN"}, {"qclass": "CH"}, False),
    ],
)  # fmt: skip
def test_what_is_the_same_question(setting, first, second, same):
    setting.start(POSITIVE)
    setting.ask(**first)
    setting.ask(**second)
    assert setting.asked == 2 - same


def test_answers_for_any_class_are_kept(setting):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1"))
    assert [setting.ask(qclass="ANY").flags & AA for _ in range(2)] == [0, AA]


def test_ttls_count_down_by_the_second(setting):
    setting.start(Response(0, address() + address(ttl=20, last=2), 2))
    seen = []
    for age in (0, 0.4, 0.99, 1.0, 7.5, 19.9):
        setting.now = 1000 + age
        seen.append(setting.ttls())
    assert seen == [[20, 20], [20, 20], [20, 20], [19, 19], [13, 13], [1, 1]]


def test_keepttl(setting):
    setting.start(Response(0, address(ttl=20), 1), FAILURE, keepttl=True)
    setting.ask()
    setting.now += 19.5
    assert setting.ttls() == [20]
    assert not setting.ask().counts_down
    setting.now += 1
    assert setting.ask().rcode == 2


def test_answers_from_the_cache_have_aa(setting):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1"))
    assert [setting.ask().flags, setting.ask().flags] == [RA | RD, AA | RA]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Response(0, address(), 1, flags=RA | RD | CD), id="changed by header"),
        pytest.param(relayed("a.test. 90 IN A 192.0.2.1"), id="with RD"),
        pytest.param(relayed("a.test. 90 IN A 192.0.2.1", flags=dns.flags.RA | dns.flags.CD), id="with RD and CD"),
    ],
)
@pytest.mark.parametrize(("asked", "bits"), [(RD, 0x8580), (0, 0x8480), (0x2000 | RD, 0xA480), (0x2000, 0xA480)])
def test_answers_from_the_cache_repeat_the_header_of_who_asks(setting, answer, asked, bits):
    setting.begin(answer)
    assert setting.ask(flags=asked).reply(setting.request)[:2] == bits.to_bytes(2, "big")
    assert setting.asked == 1


@pytest.mark.parametrize(("options", "shown"), [({}, False), ({"flags": 0x0120}, True), ({"do": True}, True)])
def test_ad_is_for_those_who_want_it(setting, options, shown):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1", flags=dns.flags.AD))
    assert [bool(setting.ask(**options).flags & AD) for _ in range(3)] == [shown] * 3


def test_an_answer_kept_with_ad_is_still_not_for_all(setting):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1", flags=dns.flags.AD))
    assert [bool(setting.ask(flags=flags).flags & AD) for flags in (0x0120, 0x0100, 0x0120, 0x0100)] == [True, False, True, False]


def test_upstreams_are_asked_with_ad(setting):
    setting.start(POSITIVE)
    setting.ask()
    assert setting.behind.seen[0].authentic
    assert setting.request.personal


def test_the_upstreams_opt_is_not_kept(setting):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1", do=True))
    reply = dns.message.from_wire(bytes(2) + setting.ask(size=4000).reply(setting.request))
    assert reply.payload == 4000
    setting.ask()
    assert dns.message.from_wire(bytes(2) + setting.ask().reply(setting.request)).edns == -1


def test_an_answer_that_is_signed_for_one_client_is_not_kept(setting):
    message = relayed("a.test. 90 IN A 192.0.2.1").plain()
    signature = record(b"\3key\0", types.TSIG, 0, bytes(30), rclass=255)
    setting.start(message.replace(additional=signature, additionals=1), relayed())
    assert [setting.ask().additionals for _ in range(2)] == [1, 0]


def test_a_long_response_code_outlives_the_upstreams_opt(setting):
    message = dns.message.make_response(dns.message.make_query("a.test", "A", use_edns=True))
    message.set_rcode(dns.rcode.BADVERS)
    setting.start(Relayed.read(message.to_wire(), b"\1a\4test\0"))
    reply = dns.message.from_wire(bytes(2) + setting.ask(size=4000).reply(setting.request))
    assert (reply.rcode(), reply.payload, reply.options) == (dns.rcode.BADVERS, 4000, ())


def test_beside_a_long_response_code_the_options_come_back_that_always_do(setting):
    message = dns.message.make_response(dns.message.make_query("a.test", "A", use_edns=True))
    message.set_rcode(dns.rcode.BADCOOKIE)
    setting.start(Relayed.read(message.to_wire(), b"\1a\4test\0"))
    cookie, subnet = edns.option(edns.COOKIE, b"12345678"), edns.option(edns.SUBNET, b"\0\1\0\0")
    request = setting.request.replace(tail=setting.request.tail.replace(options=cookie + subnet))
    reply = dns.message.from_wire(bytes(2) + setting.cache.handle(request).reply(request))
    assert (reply.rcode(), [each.otype for each in reply.options]) == (dns.rcode.BADCOOKIE, [edns.COOKIE])


def test_owners_keep_the_case_of_the_first_question(setting):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1"))
    setting.ask()
    reply = dns.message.from_wire(bytes(2) + setting.ask("A.tesT").reply(setting.request))
    assert (str(reply.question[0].name), str(reply.answer[0].name)) == ("A.tesT.", "a.test.")


def test_servfail_does_not_hide_a_good_answer(setting):
    setting.start(POSITIVE, FAILURE)
    setting.ask()
    key = setting.request.name + setting.request.tail.key
    setting.cache.keep(setting.request, key, FAILURE)
    assert setting.ask().rcode == 0
    setting.cache.keep(setting.request, key, NO_NAME)
    assert setting.ask().rcode == 3


# --- capacity


@pytest.mark.parametrize(("capacity", "entries"), [(-5, 1024), (10, 1024), (1300, 1280), (10000, 9984)])
def test_capacity_is_a_multiple_of_256(capacity, entries):
    assert Limits(capacity).entries == entries


def test_a_cache_keeps_to_its_memory(setting):
    setting.start(lambda: None, max_bytes=1 << 20)
    setting.behind.answer = lambda request: Response(0, record(request.asked, types.A, 300, bytes(4)) * 100, 100)
    setting.ask("first.test")
    for number in range(1000):
        setting.ask(f"{number}.test")
    cache = setting.cache
    kept = len(cache.stores["success"])
    assert (1 << 20) / 8000 < kept < (1 << 20) / 5000
    assert (1 << 20) - 80_000 < cache.budget.used <= 1 << 20
    assert cache.budget.used == sum(weight(*each) for store in cache.stores.values() for each in store.items())
    seen = len(setting.behind.seen)
    setting.ask("999.test")
    assert len(setting.behind.seen) == seen, "the newest is there"
    setting.ask("first.test")
    assert len(setting.behind.seen) == seen + 1, "the oldest is not"


def test_denials_make_room_for_answers_where_they_take_more(setting):
    setting.start(lambda: None, max_bytes=1 << 20)
    soa = record(b"\4test\0", types.SOA, 300, bytes(2) + bytes(20))
    setting.behind.answer = lambda request: Response(types.NXDOMAIN, authority=soa, authorities=1)
    for number in range(2000):
        setting.ask(f"{number}.test")
    denials = len(setting.cache.stores["denial"])
    setting.behind.answer = lambda request: Response(0, record(request.asked, types.A, 300, bytes(4)), 1)
    for number in range(20):
        setting.ask(f"{number}.a.test")
    assert (len(setting.cache.stores["success"]), len(setting.cache.stores["denial"]) < denials) == (20, True)


@pytest.mark.parametrize(
    ("answer", "options", "shown"),
    [
        (POSITIVE, {}, {"success": 1, "denial": 0}),
        (POSITIVE, {"disable": (Disabled("denial"),)}, {"success": 1, "denial": 0}),
        (POSITIVE, {"disable": (Disabled("success"), Disabled("denial"))}, {"success": 0, "denial": 0}),
        (NO_NAME, {"disable": (Disabled("denial", (ZONE,)),)}, {"success": 0, "denial": 0}),
        (Response(types.REFUSED), {}, {}),
        (Response(types.REFUSED), {"disable": (Disabled("success"),)}, {}),
    ],
    ids=["kept", "others disabled", "all disabled", "disabled in the zone", "nothing to keep", "nothing to keep or disable"],
)
def test_how_many_are_kept_is_shown_from_the_first_answer_to_keep(setting, answer, options, shown):
    setting.begin(answer, **options).cache.count()
    assert {labels[1]: cell.value for labels, cell in Cache.entries.cells.items()} == shown


def test_a_server_that_only_gives_what_another_one_had_kept_shows_no_entries(setting):
    setting.begin(POSITIVE)
    request = request_for("a.test")
    request.listener.service = Service("dns://:54", [])
    setting.cache.handle(request)
    setting.cache.count()
    assert {labels[0] for labels in Cache.entries.cells} == {"dns://:53"}


def test_a_full_cache_drops_its_oldest(setting):
    setting.start(lambda: None, success=Limits(1024))
    setting.behind.answer = lambda request: Response(0, record(request.asked, types.A, 300, bytes(4)), 1)
    for number in range(1024):
        setting.ask(f"{number}.test")
    setting.now += 301
    setting.ask("0.test")
    setting.ask("x.test")
    setting.cache.count()
    left = len(setting.cache.stores["success"])
    assert 1000 < left <= 1024
    assert Cache.entries.cell("dns://:53", "success", ".", "").value == left
    assert any(key.startswith(b"\x010\4test\0") for key in setting.cache.stores["success"])
    assert Cache.evictions.cell("dns://:53", "success", ".", "").value == 1025 - left


# --- what the memo is told


def test_the_memo_may_give_what_the_cache_would(setting):
    setting.start(POSITIVE)
    setting.ask()
    assert setting.request.personal
    given = setting.ask()
    assert not setting.request.personal
    assert (given.memorable, given.counts_down, given.outlasts_changes) == (True, True, True)
    assert (given.born, given.until) == (1000.0, 1300.0)
    outcome = Outcome(setting.request, given, None)
    outcome.times = 7
    given.repeated(outcome)
    counted = setting.counted()
    assert (counted["hits"], counted["misses"], counted["requests"]) == ({"success": 8}, {"": 1}, {"": 9})


async def test_metrics_are_shown_while_it_runs(setting):
    setting.start(NO_NAME)
    async with setting.cache.running():
        assert setting.cache.count in metrics.before_scrape
    assert setting.cache.count not in metrics.before_scrape


def test_a_reload_keeps_what_is_left(setting):
    setting.start(POSITIVE)
    setting.ask("a.test")
    setting.ask("b.other")
    new = Cache(zones=(ZONE,), ttl=9)
    new.take_over(setting.cache)
    old, setting.cache = setting.cache, new
    new.block, new.next = old.block, old.next
    setting.now += 100
    assert setting.ttls("a.test") == [200]
    assert [len(store) for store in new.stores.values()] == [1, 0]
    assert setting.asked == 2


def test_what_a_reload_that_fails_has_taken_is_still_there(setting):
    setting.start(relayed("a.test. 90 IN A 192.0.2.1"), relayed("a.test. 90 IN A 192.0.2.2"))
    setting.ask()
    Cache().take_over(setting.cache)
    assert setting.ask().answer.endswith(bytes((192, 0, 2, 1)))
    assert setting.asked == 1
    setting.now += 91
    assert setting.ask().answer.endswith(bytes((192, 0, 2, 2)))
    assert setting.asked == 2


def test_only_names_of_its_zones_are_looked_at(setting):
    setting.start(POSITIVE, zones=(names.from_text("other"),))
    setting.ask()
    assert not setting.request.personal
    assert setting.counted()["requests"] == {}
