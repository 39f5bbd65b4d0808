"""Every Corefile in every README is free of mistakes, and a server starts from it; what READMEs point to is there."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pycoredns.cli import main, parser
from pycoredns.dnssec.keyfiles import new_key, write_key
from pycoredns.dnssec.keys import Times
from pycoredns.testing import free_port
from pycoredns.wire import names

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("plugins/*/README.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("examples/*/*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
MANIFEST = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()))
FENCED = re.compile(r"^```corefile\n(.*?)^```", re.MULTILINE | re.DOTALL)
KEYS = re.compile(r"^(?![#\s(}])[^{#\n]*", re.MULTILINE)  # the zones before a block's brace
PORT = re.compile(r":(\d+)$")
SERVED = re.compile(r"^([ \t]+)(health|ready|prometheus)\b(?:[ \t]+([^\s{#]+))?", re.MULTILINE)
KEYS_OF_ZONES = re.compile(r"^([ \t]+key (file|directory) )(\S+)", re.MULTILINE)
METRIC = re.compile(r"\b(coredns_[a-z_]+[a-z])\b(\{[^}=]*\})?")
NO_METRICS = {"coredns_dns", "coredns_pycoredns", "coredns_cache_drops_total"}  # beginnings, and one that is not there
ALL_METRICS = """
import importlib, json, pkgutil
import pycoredns
from pycoredns import registry
from pycoredns.metrics import Metric

for name in registry.available():
    registry.load(name)
for module in pkgutil.walk_packages(pycoredns.__path__, "pycoredns."):
    if ".tests" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps({metric.name: metric.labels for metric in Metric.declared}))
"""
PATIENCE = 20.0  # seconds for start and end, which may wait for a lame duck
LAST_START_LINE = "linux/"


def corefiles() -> list[object]:
    found = [pytest.param((ROOT / "Corefile.example").read_text(), id="Corefile.example")]
    found.append(pytest.param(MANIFEST[0]["data"]["Corefile"], id="deploy/kubernetes.yaml"))
    for page in sorted(PAGES):
        text = page.read_text()
        for block in FENCED.finditer(text):
            line = text.count("\n", 0, block.start()) + 2
            found.append(pytest.param(block[1], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def with_free_ports(text: str) -> str:
    """The same Corefile on the loopback interface and free ports; ports that were equal stay so."""
    ports: dict[str, int] = {}

    def free(port: str) -> int:
        return ports.setdefault(port, free_port())

    text = KEYS.sub(lambda keys: " ".join(_key(key, free) for key in re.split(r"[\s,]+", keys[0]) if key) + " ", text)
    text = SERVED.sub(lambda line: f"{line[1]}{line[2]} 127.0.0.1:{free(line[3] or line[2])}", text)
    return (
        text
        if re.search(r"^\s+bind ", text, re.MULTILINE)
        else re.sub(r"^([^(\s][^{\n]*\{)", r"\1\n    bind 127.0.0.1", text, flags=re.M)
    )


def _key(key: str, free: Callable[[str], int]) -> str:
    port = PORT.search(key)
    return f"{PORT.sub('', key)}:{free(port[1] if port else '53')}"


def with_keys(text: str, folder: Path) -> str:
    """The same Corefile with a new key of example.org wherever it names a file or a folder of keys."""

    def new(line: re.Match[str]) -> str:
        base = write_key(new_key(names.from_text("example.org"), 13, True, Times()), folder)
        return f"{line[1]}{base if line[2] == 'file' else folder}"

    return KEYS_OF_ZONES.sub(new, text)


@pytest.mark.parametrize("text", corefiles())
def test_starts(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = with_keys(text, tmp_path)
    (tmp_path / "Corefile").write_text(text)
    assert main(["check", str(tmp_path / "Corefile")]) == 0, capsys.readouterr().out
    (tmp_path / "Corefile").write_text(with_free_ports(text))
    status, output = started_and_stopped(tmp_path)
    assert status == 0, output
    assert "Traceback" not in output


def started_and_stopped(folder: Path) -> tuple[int, str]:
    """Exit status and output of a server that is told to stop once it has started."""
    command, output = [sys.executable, "-m", "pycoredns"], ""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout
        watchdog = threading.Timer(PATIENCE, server.kill)
        watchdog.start()
        for line in server.stdout:
            output += line
            if line.startswith(LAST_START_LINE):
                server.send_signal(signal.SIGTERM)
        watchdog.cancel()
    return server.returncode, output


def test_ports_are_replaced() -> None:
    text = (
        "a.org:1053 b.org {\n    health\n    prometheus 0.0.0.0:9153 {\n    }\n    forward . 192.0.2.1:53\n}\nc.org:1053 {\n}\n"
    )
    keys = re.findall(r"\S+:\d+", with_free_ports(text))
    assert [key.rpartition(":")[0] for key in keys] == ["a.org", "b.org", "127.0.0.1", "127.0.0.1", "192.0.2.1", "c.org"]
    assert keys[0].rpartition(":")[2] == keys[5].rpartition(":")[2] != "1053"
    assert keys[4] == "192.0.2.1:53"


def test_metrics_are_described_with_their_labels() -> None:
    """In a process of its own, as other tests declare metrics too."""
    printed = subprocess.run([sys.executable, "-c", ALL_METRICS], check=True, capture_output=True, text=True).stdout
    declared = json.loads(printed)
    described = [match for page in PAGES for match in METRIC.findall(page.read_text())]
    assert {name for name, _ in described} - NO_METRICS == set(declared)
    for name, labels in described:
        assert not labels or labels == f"{{{', '.join(declared[name])}}}", name


def test_the_list_of_plugins_is_complete() -> None:
    listed = re.findall(r"^\[(\w+)\]\(plugins/\1/README\.md\)[,.]$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(page.parent.name for page in ROOT.glob("plugins/*/README.md"))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "benchmarks/README.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for file, heading in LINK.findall(page.read_text()):
        target = page.parent / file if file else page
        assert target.exists(), file
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [each.lower().replace(" ", "-") for each in headings], f"{file}#{heading}"


def test_the_manifest_names_the_ports_of_its_corefile() -> None:
    corefile, deployment, service = MANIFEST[0]["data"]["Corefile"], MANIFEST[1]["spec"]["template"], MANIFEST[2]["spec"]
    (container,) = deployment["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert corefile.startswith(f".:{ports['dns']} {{")
    assert f"prometheus :{ports['metrics']}" in corefile
    assert deployment["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": 8080}  # the defaults of health and ready
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 8181}
    assert {port["targetPort"] for port in service["ports"]} <= set(ports)
    assert parser().parse_args(container["args"]).conf == "/etc/coredns/Corefile"


def test_the_unit_gives_flags_that_there_are() -> None:
    unit = (ROOT / "deploy/pycoredns.service").read_text()
    (words,) = re.findall(r"^ExecStart=\S+/pycoredns (.*)$", unit, re.MULTILINE)
    assert parser().parse_args(words.split()).conf == "/etc/coredns/Corefile"
    assert "\nExecReload=/bin/kill -USR1 $MAINPID\n" in unit
