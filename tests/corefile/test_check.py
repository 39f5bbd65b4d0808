"""What `pycoredns check`, `help` and `plugins` say, and their exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pycoredns.check import check
from pycoredns.cli import main


def findings(text: str) -> list[str]:
    """What is found in a Corefile."""
    return [str(finding) for finding in check(text, "Corefile")]


NEVER = "no question ever reaches it, for"


UNKNOWN = [(2, "CACHE"), (3, "cahce"), (4, "CACHE")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (". {\n whoami\n}\n", []),
        ("a. b.:1053 {\n chaos\n hosts {\n  fallthrough\n }\n whoami\n}\n", []),
        (
            ". {\n cahce\n whoami x\n chaos { x\n }\n}\n:53 {\n import nope\n}\n",
            [
                'Corefile:2: unknown directive "cahce"; did you mean "cache"?',
                'Corefile:3: whoami: unexpected "x"',
                "Corefile:4: ",
                'Corefile:7: zone "" is not a domain name',
                'Corefile:8: import: there is no file and no snippet "nope"',
            ],
        ),
        (". {\n whoami\n", ['Corefile:2: "}" is missing behind "whoami"']),
        ("tls://. {\n whoami\n}", ["Corefile:1: tls://"]),
        (
            ". {\n view x\n}\n. {\n bind nowhere\n}\n. {\n nomad\n file /dev/null a.\n}\na. {\n}\nb. {\n}\na. {\n}\n",
            [
                "/dev/null:1: no SOA record for a.",
                'Corefile:2: unknown directive "view"; this plugin of CoreDNS is not part of this version',
                'Corefile:5: bind: ADDRESSES: "nowhere" is neither an IP address nor the name of an interface',
                'Corefile:8: unknown directive "nomad"; this plugin of CoreDNS is not part of this version',
                "Corefile:15: cannot serve dns://a.:53 - it is already defined; the other is at Corefile:11",
            ],
        ),
        ("a. {\n whoami\n}\na. {\n whoami\n}", ["Corefile:4: cannot serve dns://a.:53 - it is already defined"]),
        (". {\n erratic\n whoami\n}", [f"Corefile:3: warning: whoami: {NEVER} erratic answers all of them first"]),
        (". {\n hosts\n erratic\n}", [f"Corefile:3: warning: erratic: {NEVER} hosts answers all of them first; let it"]),
        ("a. {\n hosts /dev/null b.\n whoami\n}", ["Corefile:2: warning: hosts: zone b. lies outside this server block"]),
        ("a. {\n hosts /dev/null x.a.\n whoami\n}", []),
        (
            ". {\n bind 0.0.0.0\n whoami\n}\n. {\n bind 127.0.0.1\n chaos\n}",
            ["Corefile:5: warning: hides zone . of the block at Corefile:1 from questions to 127.0.0.1"],
        ),
        (". {\n forward . 127.0.0.1\n}", ["Corefile:2: warning: forward: 127.0.0.1:53 is this server itself"]),
        (". {\n forward . 127.0.0.1:5301\n}\n.:5301 {\n forward . 127.0.0.9\n}", []),  # as in the manual of CoreDNS's forward
        (". {\n bind 127.0.0.1\n forward . [::1] 127.0.0.2:53 127.0.0.1:54\n}", []),
        (". {\n forward a. 127.0.0.9\n forward . 127.0.0.8\n}", []),
        (". {\n forward . 127.0.0.9\n whoami\n}", [f"Corefile:3: warning: whoami: {NEVER} forward answers all of them first"]),
        (". {\n forward . 127.0.0.9 {\n  except a.\n }\n whoami\n}", []),
        ("# nothing", ["Corefile:1: warning: there is no server block; the default is served: whoami and log for all zones"]),
        (". {\n whoami\n}\n}\n", ['Corefile:4: warning: a stray "}" is taken for a zone; take it away']),
        ("a.{\nwhoami\n", ['Corefile:1: warning: the brace in "a.{" is taken for a part of the zone; put a space before it']),
        (
            ". {\n whoami\n}\n{\n cahce\n chaos x {\n  y\n }\n}\n",
            ["Corefile:4: warning: this block has no zone", 'Corefile:5: unknown directive "cahce"; did you mean "cache"?'],
        ),
        (". {\n CACHE\n cahce\n CACHE\n}", [f'Corefile:{n}: unknown directive "{w}"; did you mean "cache"?' for n, w in UNKNOWN]),
        (
            ". {\n log a..b\n log c\n log d..e\n}",
            ['Corefile:2: log: "a..b" is not a', 'Corefile:4: log: "d..e" is not a'],
        ),
        (". {\n bind 127.0.0\n bind 127.0.1\n}", ["Corefile:2: bind: ADDRESSES:", "Corefile:3: bind: ADDRESSES:"]),
        (
            "a. {\n transfer x..a\n transfer y..a\n}",
            ["Corefile:2: ", "Corefile:2: ", "Corefile:3: ", "Corefile:3: "],
        ),
        (
            "a. {\n secondary\n secondary\n}",
            ["Corefile:2: secondary: transfer is", "Corefile:3: secondary: transfer is"],
        ),
        ("a. {\n file\n file\n}", ["Corefile:2: file: DBFILE is missing", "Corefile:3: file: DBFILE is missing"]),
        (
            ". {\n hosts /dev/null fallthrough\n cache 30 keepttl\n}",
            [
                'Corefile:2: warning: hosts: "fallthrough" is an option, but on this line it is not taken for one; put',
                'Corefile:3: warning: cache: "keepttl" is an option, but',
            ],
        ),
        (". {\n import *.nothing\n whoami\n}", ["Corefile:2: warning: No files matching import glob pattern: *.nothing"]),
    ],
)
def test_findings(text: str, expected: list[str]) -> None:
    found = findings(text)
    assert len(found) == len(expected)
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("plugin", "option", "cause"),
    [
        ("cache", "serve_stale_policy prefer_positive", "serve_stale_policy requires serve_stale; add a line serve_stale"),
        ("forward . 127.0.0.9", "max_age 1s", "max_age (1s) must not be less than expire (10s); raise it, or lower expire"),
        ("forward . 127.0.0.9", "read_timeout 0s", "read_timeout must be positive; write it as 2s or 500ms"),
        ("forward . tls://127.0.0.9%a", "tls_servername b", "a server name is given both for all upstreams and for one; leave"),
        ("hosts", "fallthrough_unsupported", "fallthrough_unsupported needs fallthrough; add a line fallthrough"),
        ("loadbalance", "reload 1s", 'unknown property "reload"; only the file of weighted is reloaded'),
        ("etcd", "endpoint http://[::1", 'bad endpoint: "http://[::1" (Invalid IPv6 URL); write it as http://HOST:2379'),
        ("prometheus localhost:9153", "tls /dev/null/x", "tls: open /dev/null/x: not a directory"),
        ("forward . 127.0.0.9", "max_age 5us", "max_age (5µs) must not be less than expire (10s)"),
        ("sign /dev/null", "key file /dev/null/x", "key: cannot read /dev/null/x.key: not a directory"),
    ],
)
def test_options_that_do_not_suit_others_are_told_with_their_line(plugin: str, option: str, cause: str) -> None:
    for block in (f"{{\n  {option}\n }}", f"{{\n  # other\n\n  {option}\n }}"):
        (found,) = findings(f". {{\n {plugin} {block}\n}}\n")
        assert found.startswith(f"Corefile:{block.count(chr(10)) + 1}: {plugin.split()[0]}: {cause}")


def test_exit_status_and_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(". {\n erratic\n whoami\n}\n")
    bad.write_text(". {\n whoami x\n}\n")
    assert main(["check", str(good)]) == 0
    assert capsys.readouterr().out.endswith("good: 0 errors, 1 warning\n")
    assert main(["check", "--format", "json", str(bad)]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": str(bad),
            "line": 2,
            "severity": "error",
            "cause": 'whoami: unexpected "x"',
            "remedy": "usage: whoami",
            "plugin": "whoami",
        }
    ]
    assert main(["check", str(tmp_path / "none")]) == 1
    assert "none: cannot be read (No such file or directory)" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "cancel"]) == 0
    assert "\ncancel [TIMEOUT]\n" in capsys.readouterr().out
    assert main(["help", "health"]) == 0
    assert "    ADDRESS   where /health is served (default: :8080)" in capsys.readouterr().out
    assert main(["help", "cahce"]) == 1
    assert capsys.readouterr().err == 'there is no plugin "cahce"; did you mean "cache"?\n'


def test_plugins_are_listed_in_the_order_of_the_chain(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plugins"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = [row[0] for row in rows]
    assert names.index("chaos") < names.index("hosts") < names.index("whoami")
    assert ["whoami", "pycoredns", "(pycoredns.plugins.whoami:Whoami)"] in [[row[0], *row[2:]] for row in rows]
