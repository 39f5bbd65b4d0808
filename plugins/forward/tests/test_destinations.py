from pathlib import Path

import pytest

from pycoredns.corefile.model import Place, Token
from pycoredns.corefile.options import BadValueError, Context
from pycoredns.errors import ConfigErrors
from pycoredns.plugins.forward.destinations import Destination, Endpoint, HostName, without_repetitions
from pycoredns.plugins.forward.options import orders
from pycoredns.plugins.forward.tests.support import configured

HERE = Place("Corefile", 2)


def parse(text: str) -> tuple[Endpoint | HostName, ...]:
    return Destination.parse(Token(text, HERE), Context()).endpoints


@pytest.mark.parametrize(
    ("word", "endpoint"),
    [
        ("192.0.2.1", Endpoint("dns", "192.0.2.1", 53)),
        ("192.0.2.1:1053", Endpoint("dns", "192.0.2.1", 1053)),
        ("dns://192.0.2.1", Endpoint("dns", "192.0.2.1", 53)),
        ("2001:db8::1", Endpoint("dns", "2001:db8::1", 53)),
        ("[2001:db8::1]", Endpoint("dns", "2001:db8::1", 53)),
        ("[2001:db8::1]:1053", Endpoint("dns", "2001:db8::1", 1053)),
        ("tls://9.9.9.9", Endpoint("tls", "9.9.9.9", 853)),
        ("tls://9.9.9.9%dns.quad9.net", Endpoint("tls", "9.9.9.9", 853, "dns.quad9.net")),
        ("tls://9.9.9.9%dns.quad9.net:10853", Endpoint("tls", "9.9.9.9", 10853, "dns.quad9.net")),
        ("tls://[2620:fe::fe%dns.quad9.net]:853", Endpoint("tls", "2620:fe::fe", 853, "dns.quad9.net")),
        ("tls://9.9.9.9:10853%dns.quad9.net", Endpoint("tls", "9.9.9.9", 10853, "dns.quad9.net")),
        ("tls://[2620:fe::fe]:10853%dns.quad9.net", Endpoint("tls", "2620:fe::fe", 10853, "dns.quad9.net")),
        ("https://9.9.9.9", Endpoint("https", "9.9.9.9", 443)),
        ("dns.example.org", HostName("dns", "dns.example.org", 53, "", HERE)),
        ("tls://dns.example.org:8853", HostName("tls", "dns.example.org", 8853, "", HERE)),
    ],
)
def test_words_for_upstreams(word: str, endpoint: Endpoint | HostName) -> None:
    assert parse(word) == (endpoint,)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("quic://192.0.2.1", "not supported as a destination protocol"),
        ("unix:///run/dns", "not supported as a destination protocol"),
        ("https://192.0.2.1/dns-query", "has a path"),
        ("192.0.2.1:99999", "is not a port"),
        ("192.0.2.1:0", "is not a port"),
        ("tls://192.0.2.1%a..test", "is not a server name"),
        ("tls://192.0.2.1%.test", "is not a server name"),
        ("192..example", "no IP address, file or domain name"),
        ("/no/such/file", "no IP address, file or domain name"),
        ("*", "no IP address, file or domain name"),
        ("tls://<upstream>", "no IP address, file or domain name"),
        ("", "has no address"),
        ("tls://", "has no address"),
    ],
)
def test_words_that_are_refused(word: str, complaint: str) -> None:
    with pytest.raises(BadValueError, match=complaint):
        parse(word)


def test_a_file_names_servers_as_resolv_conf_does(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver here\nnameserver\n"
    )
    assert parse(str(file)) == (Endpoint("dns", "192.0.2.1", 53), Endpoint("dns", "fe80::1", 53))


def test_of_equal_addresses_the_first_counts() -> None:
    first, second = Endpoint("dns", "192.0.2.1", 53), Endpoint("dns", "192.0.2.2", 53)
    assert without_repetitions([first, second, Endpoint("tls", "192.0.2.1", 53)]) == (first, second)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("sequential", ["abc", "abc", "abc", "abc"]),
        ("round_robin", ["bac", "cab", "abc", "bac"]),
    ],
)
def test_orders_of_upstreams(policy: str, expected: list[str]) -> None:
    order = orders(policy, "abc")  # type: ignore[arg-type]  # a word of the table
    assert ["".join(order()) for _ in expected] == expected


def test_random_order_begins_with_each_and_leaves_none_out() -> None:
    order = orders("random", "abc")
    seen = ["".join(order()) for _ in range(500)]
    assert {text[0] for text in seen} == set("abc")
    assert {"".join(sorted(text)) for text in seen} == {"abc"}


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("forward .", "TO is missing"),
        ("forward", "FROM is missing"),
        ('forward "" 127.0.0.1', "FROM: the zone is empty"),
        ("forward . " + " ".join(f"192.0.2.{n}" for n in range(16)), "more than 15 TOs configured: 16"),
        ("forward . 192.0.2.1 {\n policy fastest\n}", 'unknown policy "fastest"'),
        ("forward . 192.0.2.1 {\n expire -1s\n}", "is negative"),
        ("forward . 192.0.2.1 {\n read_timeout 0s\n}", "read_timeout must be positive"),
        ("forward . 192.0.2.1 {\n max_age 1s\n}", r"max_age \(1s\) must not be less than expire \(10s\)"),
        ("forward . 192.0.2.1 {\n max_fails -1\n}", "too small"),
        ("forward . 192.0.2.1 {\n max_fails 4294967296\n}", "too large"),
        ("forward . 192.0.2.1 {\n max_concurrent many\n}", "not a whole number"),
        ("forward . 192.0.2.1 {\n health_check\n}", "DURATION is missing"),
        ("forward . 192.0.2.1 {\n health_check 1s fast\n}", 'unknown option "fast"'),
        ("forward . 192.0.2.1 {\n health_check 1s domain\n}", "name behind domain is missing"),
        ("forward . 192.0.2.1 {\n failover NOERROR\n}", "NOERROR cannot be used"),
        ("forward . 192.0.2.1 {\n failover MAYBE\n}", "not a valid rcode"),
        ("forward . 192.0.2.1 {\n next\n}", "RCODE is missing"),
        ("forward . 192.0.2.1 {\n doh_method PUT\n}", 'unknown doh_method "PUT"'),
        ("forward . 192.0.2.1 {\n source_address here\n}", "not an IP address"),
        ("forward . 192.0.2.1 {\n resolver somewhere\n}", "not an IP address"),
        ("forward . 192.0.2.1 {\n resolver [2001:db8::1\n}", "not an IP address"),
        ("forward . 192.0.2.1 {\n tls a b c d\n}", "three files at most"),
        ("forward . 192.0.2.1 {\n tls /no/such/file\n}", "cannot be read"),
        ("forward . 192.0.2.1 {\n tls /dev/null\n}", '"/dev/null" holds no certificate'),
        ("forward . 192.0.2.1 {\n force_tcp yes\n}", 'unexpected "yes"'),
        ("forward . tls://192.0.2.1%one.test {\n tls_servername two.test\n}", "server name is given both"),
        ("forward . tls://192.0.2.1 {\n tls_servername a..test\n}", "is not a server name"),
        ("forward . 192.0.2.1 {\n colour blue\n}", 'unknown option "colour"'),
    ],
)
def test_mistakes_in_a_corefile(lines: str, complaint: str) -> None:
    with pytest.raises(ConfigErrors, match=complaint):
        configured(lines)


def test_all_options_are_read(tmp_path: Path) -> None:
    options = [
        "except a.test b.test", "force_tcp", "prefer_udp", "expire 20s", "max_age 1m", "max_idle_conns 3", "read_timeout 4s",
        "max_fails 5", "max_connect_attempts 6", "doh_method GET", "tls", "tls_servername dns.test", "policy sequential",
        "health_check 2s no_rec domain example.org", "max_concurrent 7", "next NXDOMAIN refused NOTIMPL", "next_on_nodata",
        "failfast_all_unhealthy_upstreams", "failover SERVFAIL", "source_address 127.0.0.1",
        "resolver 192.0.2.5 192.0.2.6:54 [2001:db8::5]",
    ]  # fmt: skip
    plugin = configured("forward example.org 192.0.2.1 192.0.2.2 {\n" + "\n".join(options) + "\n}")[0]
    assert plugin.zone == b"\7example\3org\0"
    assert plugin.ignored == (b"\1a\4test\0", b"\1b\4test\0")
    assert plugin.next_codes == (3, 5, 4)
    assert plugin.failover == (2,)
    assert (plugin.health_check.interval, plugin.health_check.recursion) == (2.0, False)
    assert [(each.host, each.port) for each in plugin.resolver] == [("192.0.2.5", 53), ("192.0.2.6", 54), ("2001:db8::5", 53)]
    assert (plugin.max_connect_attempts, plugin.max_concurrent, plugin.max_fails) == (6, 7, 5)


def test_of_a_network_of_several_zones_the_first_is_relayed() -> None:
    assert configured("forward 10.9.3.0/18 192.0.2.1")[0].zone == b"\x010\x019\x0210\x07in-addr\x04arpa\x00"
