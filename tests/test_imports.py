"""What a Corefile does not use is not imported: that is most of a quick start."""

import subprocess
import sys

import pytest

STARTED = """
import asyncio, sys
from pycoredns import cli, memory, serve, server
from pycoredns.assemble import assemble
from pycoredns.corefile.expand import parse

async def main():
    running = server.Server(assemble(parse(sys.argv[1])))
    await running.start()
    print(*sys.modules)
    await running.stop()

import uvloop
uvloop.run(main())
"""
NEVER = {
    "pyparsing", "argparse", "difflib", "dnslib", "dns", "cryptography", "h11", "email", "http", "prometheus_client", "aetcd",
    "yaml", "importlib.metadata", "encodings.idna", "unittest", "hashlib", "pydoc", "multiprocessing", "decimal",
}  # fmt: skip
FOR_ETCD = {"aetcd", "hashlib", "email", "http", "decimal"}
"""Its own, and what a thread has begun to import beside the server."""
OURS = ["bind", "cache", "errors", "etcd", "file", "forward", "hosts", "log", "prometheus", "whoami"]


def loaded(*directives):
    """The modules there are once a server of these directives answers."""
    corefile = ".:0 {\n bind 127.0.0.1\n" + "\n".join(directives) + "\n}\n"
    finished = subprocess.run([sys.executable, "-c", STARTED, corefile], capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())


@pytest.mark.parametrize(
    "directives",
    [
        ("whoami",),
        ("errors", "log", "cache", "prometheus 127.0.0.1:0", "forward . 127.0.0.1:1"),
        ("errors", "hosts {\n 192.0.2.1 a.test\n}"),
        ("etcd a.test {\n endpoint http://127.0.0.1:1\n}", "cache"),
    ],
    ids=["whoami", "forward", "hosts", "etcd"],
)
def test_what_is_not_used_is_not_imported(directives):
    modules = loaded(*directives)
    assert not (NEVER - FOR_ETCD if "etcd" in directives[0] else NEVER) & modules
    wanted = {directive.split()[0] for directive in directives} | {"bind"}
    assert {name for name in OURS if f"pycoredns.plugins.{name}" in modules} == wanted
