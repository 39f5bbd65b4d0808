"""The plugin in a server: options, a real etcd that comes and goes, reloads, names elsewhere."""

import asyncio
import json
from pathlib import Path

import pytest
from dnslib import QTYPE, RR, DNSRecord

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.etcd_server import EtcdServer
from pycoredns.metrics import families
from pycoredns.plugins.etcd.mirror import Mirror, State
from pycoredns.plugins.etcd.settings import Settings
from pycoredns.plugins.etcd.source import Source
from pycoredns.plugins.etcd.tests.certificates import Authority
from pycoredns.plugins.etcd.tests.support import Writer
from pycoredns.server import Server
from pycoredns.testing import Upstream, eventually, running

COREFILE = """
lab.internal:{port} {
    etcd {
        endpoint {endpoint}
    }
}
"""


def plugin_of(*options):
    """The plugin that a block of options makes."""
    return assemble(parse(".:1053 {\netcd {\n" + "\n".join(options) + "\n}\n}", "Corefile")).blocks[0].plugins[0]


async def put(etcd, key, value):
    """Writes a record below lab.internal."""
    async with Writer(Settings((etcd.endpoint,))) as client:
        await client.put(b"/skydns/internal/lab/" + key.encode(), json.dumps(value).encode())


def test_defaults():
    plugin = plugin_of()
    assert (plugin.path, plugin.endpoint, plugin.min_lease_ttl, plugin.max_lease_ttl) == (
        "/skydns", ("http://localhost:2379",), 30, 86400,
    )  # fmt: skip


def test_all_options(tmp_path: Path):
    made = Authority(tmp_path).issue("client")
    files = cert, key, authorities = made.certificate, made.key, made.authorities
    plugin = plugin_of(
        "path /dns", "endpoint http://a:1 https://b", "credentials u p", f"tls {cert} {key} {authorities}", "fallthrough",
        "min-lease-ttl 1m", "max-lease-ttl 7200", "stubzones", "upstream 192.0.2.1 x", "debug", "skydns local.test",
    )  # fmt: skip
    settings = plugin._identity.settings
    assert (settings.endpoints, settings.username, settings.password) == (("http://a:1", "https://b"), "u", "p")
    assert (settings.tls.certificate, settings.tls.key, settings.tls.authorities) == files
    assert (plugin.min_lease_ttl, plugin.max_lease_ttl, plugin.through.zones) == (60, 7200, (b"\0",))
    assert plugin_of(f"tls {authorities}").tls.authorities == authorities
    assert (plugin_of("tls").tls.authorities, plugin_of("").tls) == (None, None)


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        ("credentials dns", "credentials requires 2 arguments"),
        ("credentials", "credentials requires 2 arguments"),
        ("tls /nowhere/ca.pem", '"/nowhere/ca.pem" cannot be read (no such file or directory)'),
        ("tls /dev/null /dev/null", '"/dev/null" and "/dev/null" are not a certificate and its key'),
        ('tls ""', "the path is empty"),
        ("tls a b c d", "at most three files"),
        ("path", "PATH is missing"),
        ("path a b", 'unexpected "b"'),
        ("endpoint", "ENDPOINT is missing"),
        ("min-lease-ttl shortly", '"shortly" is not a TTL'),
        ("max-lease-ttl -5s", "out of range"),
        ("stubzones a", 'unexpected "a"'),
        ("skydns a b", 'unexpected "b"'),
        ("skydns a..b", '"a..b" is not a domain name: a label needs'),
        ("timeout 5s", 'unknown option "timeout"'),
    ],
)
def test_mistakes(option, cause):
    with pytest.raises(ConfigErrors) as errors:
        plugin_of(option)
    assert str(errors.value).startswith("Corefile:3: ")
    assert cause in str(errors.value)


@pytest.mark.parametrize("endpoints", ["http://[::1:2379", "http://a:1 http://[b]:2379", "[::1:2379"])
def test_endpoints_that_cannot_be_read(endpoints):
    with pytest.raises(ConfigErrors, match=r"^Corefile:3: etcd: bad endpoint: .*; write it as http://HOST:2379"):
        plugin_of(f"endpoint {endpoints}")


async def test_answers_go_on_while_etcd_is_away(etcd: EtcdServer):
    await put(etcd, "web", {"host": "10.0.0.1"})
    async with running(COREFILE, endpoint=etcd.endpoint) as server:
        assert await server.answers("web.lab.internal") == ["A 10.0.0.1"]
        await put(etcd, "new", {"host": "10.0.0.2"})
        await eventually(lambda: has(server, "new.lab.internal"))
        await etcd.stop()
        assert await server.answers("web.lab.internal", timeout=0.5) == ["A 10.0.0.1"]
        assert await server.rcode("no.lab.internal", timeout=0.5) == "NXDOMAIN"


async def test_a_mirror_that_dies_is_told_of_and_stops_cleanly(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    async def die(mirror):
        raise RuntimeError("died")

    monkeypatch.setattr(Mirror, "run", die)
    source = Source(plugin_of("endpoint http://127.0.0.1:1")._identity)
    source.begin()
    await eventually(lambda: "followed no more: RuntimeError('died')" in caplog.text)
    await source.end()


async def has(server, name):
    """Is there an address?"""
    return bool(await server.answers(name))


async def test_etcd_may_come_later(etcd: EtcdServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pycoredns.plugins.etcd.plugin.FIRST_SYNC_WITHIN", 0.0)
    await put(etcd, "web", {"host": "10.0.0.1"})
    await etcd.stop()
    async with running(COREFILE, endpoint=etcd.endpoint) as server:
        assert await server.rcode("web.lab.internal") == "SERVFAIL"
        await etcd.start()
        await eventually(lambda: has(server, "web.lab.internal"))


async def test_a_reload_and_other_blocks_share_what_has_been_read(etcd: EtcdServer):
    await put(etcd, "web", {"host": "10.0.0.1"})
    text = (COREFILE + COREFILE.replace("lab.internal", "internal")).replace("{port}", "0").replace("{endpoint}", etcd.endpoint)
    servers = [Server(assemble(parse(text, "Corefile"))) for _ in range(2)]
    await servers[0].start()
    plugins = [block.plugins[0] for server in servers for block in server.blocks]
    await plugins[0]._source.mirror.synced_event.wait()
    await servers[1].start(servers[0])
    await servers[0].stop(final=False)
    assert len({id(plugin._source) for plugin in plugins}) == 1
    assert all(plugin.ready() for plugin in plugins)
    assert [metric.name for metric in families() if metric.name.startswith("coredns_etcd_")] != []
    await servers[1].stop()
    assert [metric.name for metric in families() if metric.name.startswith("coredns_etcd_")] == []
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "etcd mirror"]


@pytest.mark.parametrize("state", [State.STALE, State.INIT, State.SYNCING])
@pytest.mark.parametrize("number", [0, 1])
async def test_blocks_that_read_one_etcd_in_two_ways_are_shown_together(etcd: EtcdServer, monkeypatch, state, number):
    for name in ("a", "b", "c"):
        await put(etcd, name, {"host": "10.0.0.1"})
    corefile = COREFILE.replace("endpoint {", "skydns\nendpoint {") + COREFILE.replace("lab.internal", "internal")
    async with running(corefile, endpoint=etcd.endpoint) as server:
        mirrors = [block.plugins[0]._source.mirror for block in server.server.blocks]
        for mirror in mirrors:
            await mirror.synced_event.wait()
        monkeypatch.setattr(mirrors[number], "state", state)
        monkeypatch.setattr(mirrors[number], "lag", 7)
        for _ in range(2):  # each time anew
            shown = {metric.name: metric.cells for metric in families() if metric.name.startswith("coredns_etcd_")}
            found = [
                shown[f"coredns_etcd_{name}"][etcd.endpoint, "/skydns"].value for name in ("keys", "mirror_state", "revision_lag")
            ]
            assert found == [6, state, 7]


async def test_names_elsewhere_are_looked_up_through_the_server(etcd: EtcdServer):
    def reply(query: DNSRecord) -> DNSRecord:
        answer = query.reply(aa=0)
        records = {"A": "198.51.100.1", "AAAA": "2001:db8::1", "TXT": '"far"'}
        answer.add_answer(*RR.fromZone(f"{query.q.qname} 60 {(qtype := _type(query))} {records[qtype]}"))
        return answer

    await put(etcd, "alias", {"host": "www.ext.test"})
    await put(etcd, "many/a", {"host": "a.ext.test", "port": 1})
    await put(etcd, "many/b", {"host": "b.ext.test", "port": 1})
    await put(etcd, "many/c", {"host": "10.0.0.1", "port": 1})
    forward = ".:{port} {\nforward . {upstream}\n}\n"
    async with (
        Upstream(reply) as upstream,
        running(COREFILE + forward, endpoint=etcd.endpoint, upstream=upstream.address) as server,
    ):
        assert await server.answers("alias.lab.internal") == ["CNAME www.ext.test.", "A 198.51.100.1"]
        assert await server.answers("alias.lab.internal", "TXT") == ["CNAME www.ext.test.", 'TXT "far"']
        services = await server.query("many.lab.internal", "SRV")
        assert [str(rr.rname) for rr in services.ar] == [
            "a.ext.test.",
            "a.ext.test.",
            "b.ext.test.",
            "b.ext.test.",
            "c.many.lab.internal.",
        ]
        await upstream.__aexit__()
        assert await server.answers("many.lab.internal", "CNAME") == []


async def test_an_alias_is_followed_through_twenty_zones(etcd: EtcdServer):
    zone = """z{number}.test:{{port}} {{
        bind 127.0.0.1
        metadata
        log
        errors
        cache
        loadbalance
        minimal
        etcd {{
            endpoint {{endpoint}}
        }}
    }}
    """
    async with Writer(Settings((etcd.endpoint,))) as client:
        for number in range(21):
            target = f"x.z{number + 1}.test" if number < 20 else "192.0.2.1"
            await client.put(b"/skydns/test/z%d/x" % number, json.dumps({"host": target}).encode())
    async with running("".join(zone.format(number=number) for number in range(21)), endpoint=etcd.endpoint) as server:
        for _ in range(2):
            assert (await server.answers("x.z0.test"))[20:] == ["A 192.0.2.1"]


async def test_aliases_elsewhere_stand_beside_a_target_once_whatever_their_ttl(etcd: EtcdServer):
    def reply(query: DNSRecord) -> DNSRecord:
        answer, of_a = query.reply(aa=0), _type(query) == "A"
        ttl, address = (60, "A 198.51.100.1") if of_a else (59, "AAAA 2001:db8::1")
        if of_a and query.q.qname == "six.ext.test":
            return answer
        answer.add_answer(*RR.fromZone(f"{query.q.qname} {ttl} CNAME host.ext.test.\nhost.ext.test. {ttl} {address}"))
        return answer

    for key, host in {"srv/a": "both.ext.test", "srv/b": "six.ext.test"}.items():
        await put(etcd, key, {"host": host, "port": 1, "mail": True})
    forward = ".:{port} {\nforward . {upstream}\n}\n"
    async with (
        Upstream(reply) as upstream,
        running(COREFILE + forward, endpoint=etcd.endpoint, upstream=upstream.address) as server,
    ):
        for qtype in ("SRV", "MX"):
            additional = (await server.query("srv.lab.internal", qtype)).ar
            assert [(str(rr.rname), rr.ttl, QTYPE[rr.rtype]) for rr in additional] == [
                ("both.ext.test.", 60, "CNAME"),
                ("host.ext.test.", 60, "A"),
                ("host.ext.test.", 59, "AAAA"),
                ("host.ext.test.", 59, "AAAA"),
            ]


def _type(query: DNSRecord) -> str:
    return {1: "A", 28: "AAAA", 16: "TXT"}[query.q.qtype]
