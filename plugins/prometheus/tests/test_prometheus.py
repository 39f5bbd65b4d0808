"""What is counted, under which labels, and how it is shown."""

import asyncio
import gzip
import socket
import ssl
import urllib.request
from contextlib import AsyncExitStack, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pycoredns import traffic
from pycoredns.assemble import assemble
from pycoredns.cli import main
from pycoredns.corefile.expand import parse
from pycoredns.corefile.kinds import ListenAddress
from pycoredns.errors import ConfigErrors, StartError
from pycoredns.http import HTTPReply, open_route
from pycoredns.plugin import Outcome
from pycoredns.plugins.prometheus import _takes_gzip, tls
from pycoredns.plugins.prometheus.tls import Certified, read_tls
from pycoredns.response import Response
from pycoredns.server import Server
from pycoredns.testing import eventually, exchange_udp, free_port, request_for, running


@pytest.fixture(autouse=True)
def counts_from_nothing():
    """Counts live as long as the process: those of other tests are forgotten."""
    traffic.fold_all()
    for metric in (traffic.requests, traffic.responses, traffic.do_requests):
        metric.cells.clear()
    for histogram in (traffic.durations, traffic.request_sizes, traffic.response_sizes):
        histogram.cells.clear()


async def scrape(port, query="", **headers):
    """Headers and body of /metrics."""

    def ask():
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics?{query}", headers=headers)
        with urllib.request.urlopen(request) as reply:
            return reply.headers, reply.read()

    return await asyncio.to_thread(ask)


async def samples(server, name):
    """The values of a metric by its labels other than server and view, which are checked."""
    _, body = await scrape(server.ports["http"])
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if sample.name == name:
                labels = dict(sample.labels)
                assert labels.pop("server") == f"dns://:{server.port}"
                assert labels.pop("view") == ""
                found[" ".join(labels[label] for label in sorted(labels))] = sample.value
    return found


COREFILE = """a.test:{port} b.a.test:{port} {
    prometheus 127.0.0.1:{http}
    errors
    log
    hosts {
        192.0.2.1 x.a.test x.b.a.test
        2001:db8::1 x.a.test
    }
}
c.test:{port} {
    prometheus 127.0.0.1:{http}
}
"""


async def test_requests_and_responses():
    async with running(COREFILE) as server:
        for _ in range(5):
            await server.query("X.a.test")
        await server.query("x.a.test", "CAA")
        await server.query("x.b.a.test", "A", do=True, size=1232)
        await server.query("x.a.test", "AAAA", tcp=True)
        await server.query("missing.a.test", "PTR")
        await server.query("c.test")
        await server.query("elsewhere")
        await server.query("elsewhere", do=True, size=1232)
        await server.query("x.a.test", "A", host="127.0.0.1")
        assert await samples(server, "coredns_dns_requests_total") == {
            "1 udp A a.test.": 6,
            "1 udp other a.test.": 1,
            "1 udp A b.a.test.": 1,
            "1 tcp AAAA a.test.": 1,
            "1 udp PTR a.test.": 1,
            "1 udp A c.test.": 1,
            "1 udp A dropped": 2,
        }
        assert await samples(server, "coredns_dns_responses_total") == {
            "errors NOERROR a.test.": 8,
            "errors NOERROR b.a.test.": 1,
            " SERVFAIL a.test.": 1,
            " SERVFAIL c.test.": 1,
            " REFUSED dropped": 2,
        }
        assert await samples(server, "coredns_dns_do_requests_total") == {"b.a.test.": 1, "dropped": 1}
        assert await samples(server, "coredns_dns_request_size_bytes_sum") == {
            "udp a.test.": 6 * 26 + 26 + 32,
            "udp b.a.test.": 39,
            "tcp a.test.": 26,
            "udp c.test.": 24,
            "udp dropped": 27 + 38,
        }
        assert await samples(server, "coredns_dns_response_size_bytes_sum") == {
            "udp a.test.": 6 * 50 + 26,
            "udp b.a.test.": 54,
            "tcp a.test.": 62,
            "udp c.test.": 0,
            "udp dropped": 27 + 38,
        }
        durations = await samples(server, "coredns_dns_request_duration_seconds_count")
        assert durations == {"a.test.": 9, "b.a.test.": 1, "c.test.": 1, "dropped": 2}


@pytest.mark.parametrize(
    ("header", "rcode"),
    [
        ("000101000001000000000000", "SERVFAIL"),
        ("000121000001000000000000", "SERVFAIL"),
        ("000101000001000100000001", "SERVFAIL"),
        ("000101000000000000000000", None),
        ("000129000001000000000000", None),
    ],
    ids=["query", "notification", "records announced", "no question announced", "update"],
)
async def test_a_mere_header_is_counted_as_dropped_where_it_announces_a_question(header, rcode):
    async with running(COREFILE) as server:
        reply = await exchange_udp(bytes.fromhex(header), ("127.0.0.1", server.port))
        assert reply[4:] == bytes(8)
        assert await samples(server, "coredns_dns_requests_total") == ({"1 udp other dropped": 1} if rcode else {})
        assert await samples(server, "coredns_dns_responses_total") == ({f" {rcode} dropped": 1} if rcode else {})
        for side in ("request", "response"):
            assert await samples(server, f"coredns_dns_{side}_size_bytes_sum") == ({"udp dropped": 12} if rcode else {})


QUESTION = "01610179000001"  # a.y A
UNKNOWN, COOKIE = "fde9000101", "000a00080011223344556677"


@pytest.mark.parametrize(
    ("counts", "behind", "size"),
    [
        ("000000000000", "0001", 21),
        ("000000000000", "", 21),
        ("000000010001", "", 21),
        ("000000000000", "0001ffff", 21),
        ("000000000001", "0001" + "00002904d0000000000005" + UNKNOWN, 21 + 11),
        ("000000000001", "0001" + "00002904d0000000000011" + UNKNOWN + COOKIE, 21 + 11 + 12),
        ("000000010000", "0001" + "c00c000100010000003c000401020304", 21 + 19),
        ("000000010001", "0001" + "c00c000100010000003c000401020304" + "00002904d0000000000005" + UNKNOWN, 21 + 19 + 11),
    ],
    ids=[
        "plain",
        "class missing",
        "class and records missing",
        "trailing octets",
        "unknown option",
        "two options",
        "a record",
        "a record and an option",
    ],
)
async def test_what_is_dropped_is_as_large_as_what_was_understood_of_it(counts, behind, size):
    async with running(COREFILE) as server:
        reply = await exchange_udp(bytes.fromhex(f"000101000001{counts}{QUESTION}{behind}"), ("127.0.0.1", server.port))
        assert reply[3] & 15 == 5
        assert await samples(server, "coredns_dns_request_size_bytes_sum") == {"udp dropped": size}


@pytest.fixture
def tally():
    made = traffic.Tally(plugin="errors")
    yield made
    made.close()


def test_durations_fall_into_buckets(tally):
    outcome = Outcome(request_for("x.a.test"), Response(), None)
    for duration, times in ((10, 3), (250_000, 1), (250_001, 1), (9_000_000_000, 2)):
        outcome.duration, outcome.times = duration, times
        tally.lane(outcome.request.listener, "durations.test.").count(outcome)
    traffic.fold_all()
    cell = traffic.durations.cell("dns://:53", "durations.test.", "")
    assert (cell.counts[0], cell.counts[1], cell.counts[-1], sum(cell.counts)) == (4, 1, 2, 7)
    assert cell.sum == pytest.approx(18.000500031)


def test_kinds_are_folded_before_they_are_too_many(monkeypatch, tally):
    monkeypatch.setattr(traffic, "_MOST_KINDS", 10)
    lane = tally.lane(request_for("a").listener, "kinds.test.")
    for number in range(100):
        outcome = Outcome(request_for("a" * (number % 60 + 1), f"TYPE{number + 1}"), Response(), None)
        outcome.duration = 1
        lane.count(outcome)
        assert len(lane._counted) <= 10
    traffic.fold_all()
    assert traffic.request_sizes.cell("dns://:53", "kinds.test.", "", "udp").sum == sum(19 + n % 60 for n in range(100))


async def test_buckets_and_help():
    async with running(COREFILE) as server:
        await server.query("x.a.test")
        headers, body = await scrape(server.ports["http"])
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        text = body.decode()
        sizes = [sample.labels["le"] for sample in find(text, "coredns_dns_request_size_bytes_bucket")]
        assert " ".join(sizes) == "0 100 200 300 400 511 1023 2047 4095 8291 16000 32000 48000 64000 +Inf"
        times = [sample.labels["le"] for sample in find(text, "coredns_dns_request_duration_seconds_bucket")]
        assert times[:4] == ["0.00025", "0.0005", "0.001", "0.002"]
        assert times[-2:] == ["8.192", "+Inf"]
        for line in (
            "# TYPE coredns_dns_requests_total counter",
            "# TYPE coredns_panics_total counter",
            "# TYPE coredns_build_info gauge",
        ):
            assert line in text
        for name in ("cpu_seconds_total", "open_fds", "max_fds", "resident_memory_bytes", "start_time_seconds"):
            assert find(text, f"process_{name}")
        assert find(text, "process_virtual_memory_max_bytes")
        assert not find(text, "python_threads")


def find(text, name):
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples if sample.name == name]


async def test_plugins_that_are_enabled():
    corefile = """a.test:{port} b.test:{port} {
        prometheus 127.0.0.1:{http}
        errors
        whoami
        health 127.0.0.1:{http2}
    }
    c.test:{port} {
        whoami
    }"""
    async with running(corefile) as server:
        for _ in range(2):
            found = await samples(server, "coredns_plugin_enabled")
            assert found == dict.fromkeys(("prometheus a.test.", "errors a.test.", "whoami a.test."), 1)


async def test_runtime_metrics():
    async with running(".:{port} {\n prometheus 127.0.0.1:{http} {\n runtime_metrics\n }\n}") as server:
        _, body = await scrape(server.ports["http"])
        for name in ("python_gc_collections_total", "python_threads", "python_asyncio_tasks"):
            assert find(body.decode(), name)


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [("", False), ("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.000", False), ("br", False)],
)
async def test_gzip(accepted, taken):
    assert _takes_gzip(accepted) is taken
    async with running(".:{port} {\n prometheus 127.0.0.1:{http}\n}") as server:
        headers, body = await scrape(server.ports["http"], **{"Accept-Encoding": accepted})
        assert (headers["Content-Encoding"] == "gzip") is taken
        assert b"coredns_build_info{" in (gzip.decompress(body) if taken else body)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("name[]=coredns_build_info", ["coredns_build_info"]),
        ("name%5B%5D=coredns_panics_total&name[]=coredns_build_info", ["coredns_build_info", "coredns_panics_total"]),
        ("name[]=process_cpu_seconds_total", ["process_cpu_seconds_total"]),
        ("name[]=coredns_dns_request_size_bytes", ["coredns_dns_request_size_bytes"]),
        ("name[]=coredns_dns_request_size_bytes_sum", []),
        ("name[]=coredns_panics", []),
        ("name[]=", []),
    ],
)
async def test_metrics_are_shown_by_name_as_by_promhttp(query, shown):
    async with running(COREFILE) as server:
        await server.query("x.a.test")
        _, body = await scrape(server.ports["http"], query)
    assert [line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")] == shown


async def test_an_address_in_use_ends_the_start_and_leaves_nothing_behind():
    before = len(traffic._tallies)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"listen tcp 127\.0\.0\.1:{port}: bind: address already in use"):
            async with running(f".:{{port}} {{\n prometheus 127.0.0.1:{port}\n}}"):
                pass
    assert len(traffic._tallies) == before


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("prometheus 9153", "not an address with a port"),
        ("prometheus :1 :2", "unexpected"),
        ("prometheus {\n other\n}", "other"),
        ("prometheus {\n runtime_metrics yes\n}", "yes"),
        ("prometheus {\n tls\n}", "missing"),
        ("prometheus\n prometheus", "once"),
    ],
)
async def test_mistakes(block, complaint):
    with pytest.raises(ConfigErrors, match=rf"Corefile:[123]: .*{complaint}"):
        async with running(f".:0 {{\n{block}\n}}"):
            pass


# --- TLS


def certify(folder):
    """Makes a self-signed certificate for localhost, as cert.pem and key.pem."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))


@pytest.fixture
def certificate(tmp_path):
    """A folder with a certificate, and a web configuration with it."""
    certify(tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  min_version: TLS13\n")
    return tmp_path


async def scrape_by_tls(port, trusted):
    """The body of /metrics; raises ssl.SSLError unless the server has a certificate of this text."""
    context = ssl.create_default_context(cadata=trusted)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    body = await reader.read()
    writer.close()
    return body


PLAIN = ".:{port} {\n prometheus 127.0.0.1:{http}\n}"
BY_TLS = ".:{port} {\n prometheus 127.0.0.1:{http} {\n tls {web}\n }\n}"


async def test_metrics_over_tls(certificate):
    async with running(BY_TLS, web=certificate / "web.yml") as server:
        body = await scrape_by_tls(server.ports["http"], (certificate / "cert.pem").read_text())
    assert b"coredns_build_info" in body


async def test_a_renewed_certificate_is_served(certificate, monkeypatch):
    monkeypatch.setattr(tls, "INTERVAL", 0.01)
    async with running(BY_TLS, web=certificate / "web.yml") as server:
        certify(certificate)
        after = (certificate / "cert.pem").read_text()

        async def renewed():
            with suppress(ssl.SSLError):
                return bool(await scrape_by_tls(server.ports["http"], after))

        await eventually(renewed)


async def test_a_certificate_that_cannot_be_used_is_told_once_and_the_one_before_is_served(certificate, caplog):
    address = ListenAddress("127.0.0.1", free_port())
    certified = Certified(certificate / "web.yml")
    route = await open_route(address, "/metrics", lambda request: HTTPReply(200, b"metrics"), certified.context)
    before = (certificate / "cert.pem").read_text()
    (certificate / "cert.pem").write_text("half of it")
    for _ in range(3):
        await certified.look(route)
        assert await scrape_by_tls(address.port, before)
    certify(certificate)
    await certified.look(route)
    assert await scrape_by_tls(address.port, (certificate / "cert.pem").read_text())
    with pytest.raises(ssl.SSLError):
        await scrape_by_tls(address.port, before)
    await route.close()
    assert [line.partition("; ")[2] for line in caplog.messages] == ["what was read before is used"]


async def test_a_reload_changes_between_plaintext_and_tls(certificate):
    trusted, web = (certificate / "cert.pem").read_text(), str(certificate / "web.yml")
    async with running(PLAIN) as server, AsyncExitStack() as stack:
        port = server.ports["http"]
        old = server.server
        for corefile in (BY_TLS, PLAIN):
            text = corefile.replace("{port}", str(server.port)).replace("{http}", str(port)).replace("{web}", web)
            new = Server(assemble(parse(text)))
            await new.start(old)
            stack.push_async_callback(new.stop)
            await old.stop(final=False)
            assert await (scrape_by_tls(port, trusted) if corefile is BY_TLS else scrape(port))
            old = new


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tls_server_config: {}", "needs cert_file"),
        (
            "tls_server_config: {cert_file: none.pem, key_file: key.pem}",
            r"/none\.pem and \S+key\.pem cannot be used: No such",
        ),
        ("tls_server_config: {cert_file: key.pem, key_file: key.pem}", r"/key\.pem and \S+/key\.pem cannot be used: "),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, curve_preferences: [X]}",
            "curve_preferences is not offered",
        ),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS9}",
            '"TLS9" is not offered; there are TLS12, TLS13',
        ),
        ("tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_auth_type: Ask}", "are NoClientCert, "),
        ("basic_auth_users: {a: b}", "basic_auth_users is not offered"),
        ("- a list", "no web configuration"),
        ("{", "web.yml"),
    ],
)
def test_tls_settings_that_cannot_be_used(certificate, text, complaint):
    (certificate / "web.yml").write_text(text)
    with pytest.raises(StartError, match=complaint):
        read_tls(certificate / "web.yml")


def test_tls_settings_that_cannot_be_used_are_told_with_their_place(tmp_path, capsys):
    (tmp_path / "Corefile").write_text(f". {{\n prometheus {{\n  tls {tmp_path}/none.yml\n }}\n}}\n")
    assert main(["check", str(tmp_path / "Corefile")]) == 1
    said = f"Corefile:3: prometheus: tls: open {tmp_path}/none.yml: no such file or directory"
    assert said in capsys.readouterr().out


def test_tls_settings_without_tls(certificate):
    (certificate / "web.yml").write_text("")
    assert read_tls(certificate / "web.yml") is None
    with pytest.raises(StartError, match=r"^open \S+/none\.yml: no such file or directory$"):
        read_tls(certificate / "none.yml")
