"""Which addresses a block listens on."""

from types import SimpleNamespace

import ifaddr
import pytest

from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse
from pycoredns.errors import ConfigErrors
from pycoredns.testing import running

ADAPTERS = {
    "eth7": ["192.0.2.7", ("2001:db8::7", 0, 0), ("fe80::7", 0, 7)],
    "lo": ["127.0.0.1", ("::1", 0, 0)],
}


@pytest.fixture
def adapters(monkeypatch):
    """A host with two interfaces."""
    found = [SimpleNamespace(name=name, ips=[SimpleNamespace(ip=ip) for ip in ips]) for name, ips in ADAPTERS.items()]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: found)


def listen(*lines):
    text = "\n".join(lines)
    return assemble(parse(f".:1053 {{\n{text}\nwhoami\n}}", "Corefile")).blocks[0].settings.listen


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["bind 127.0.0.1 ::1"], ["127.0.0.1", "::1"]),
        (["bind 127.0.0.1", "bind 0:0::1"], ["127.0.0.1", "::1"]),
        (["bind ::ffff:127.0.0.9"], ["127.0.0.9"]),
        (["bind lo"], ["127.0.0.1", "::1"]),
        (["bind eth7"], ["192.0.2.7", "2001:db8::7", "fe80::7%eth7"]),
        (["bind lo {", "except 127.0.0.1", "}"], ["::1"]),
        (["bind lo eth7 {", "except eth7 ::1", "}"], ["127.0.0.1"]),
        (["bind lo {", "except ::1", "}", "bind ::1"], ["127.0.0.1", "::1"]),
        (["bind lo {", "except lo", "}", "bind ::1"], ["::1"]),
        ([], []),
    ],
)
def test_addresses(adapters, lines, expected):
    assert listen(*lines) == expected


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["bind"], "ADDRESSES is missing"),
        (["bind eth9"], '"eth9" is neither an IP address nor the name of an interface; the interfaces are eth7, lo'),
        (["bind lo {", "except", "}"], "except: ADDRESS|INTERFACE is missing"),
        (["bind lo {", "only ::1", "}"], 'unknown option "only"'),
        (["bind lo {", "except lo", "}"], "no address is left to listen on"),
        (["bind 127.0.0.1 127.0.0.1"], "cannot serve dns://.:1053 on 127.0.0.1 - it is already defined"),
        (["bind lo", "bind 127.0.0.1"], "cannot serve dns://.:1053 on 127.0.0.1 - it is already defined"),
    ],
)
def test_what_is_refused(adapters, lines, cause):
    with pytest.raises(ConfigErrors) as caught:
        listen(*lines)
    assert cause in str(caught.value)


def test_without_a_list_of_interfaces_addresses_still_do(monkeypatch, caplog):
    def fail():
        raise OSError("not here")

    monkeypatch.setattr(ifaddr, "get_adapters", fail)
    assert listen("bind ::1") == ["::1"]
    with pytest.raises(ConfigErrors, match="lo"):
        listen("bind lo")
    assert "not here" in caplog.text


async def test_only_these_addresses_answer():
    async with running(".:{port} {\nbind 127.0.0.2 127.0.0.3\nwhoami\n}") as server:
        for host in ("127.0.0.2", "127.0.0.3"):
            assert await server.rcode("a.test", host=host) == "NOERROR"
            assert await server.rcode("a.test", host=host, tcp=True) == "NOERROR"
        with pytest.raises(OSError, match="refused"):
            await server.query("a.test", host="127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_all_addresses_of_one_family_are_those_of_both(host):
    async with running(f".:{{port}} {{\nbind {host}\nwhoami\n}}") as server:
        for asked in ("127.0.0.1", "::1"):
            assert await server.rcode("a.test", host=asked) == "NOERROR"
            assert await server.rcode("a.test", host=asked, tcp=True) == "NOERROR"
