"""`pycoredns dev`: a real etcd, sample records and the server beside it, to try things; Ctrl-C ends all of it."""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import json
import os
import shutil
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pycoredns
from pycoredns import output, serve
from pycoredns.commands.arguments import port, telling
from pycoredns.etcd_server import EtcdServer, EtcdServerError, find_program, is_free
from pycoredns.plugins.prometheus import Prometheus
from pycoredns.server import Server
from pycoredns.sources import Source

LOOPBACK = "127.0.0.1"
PORT = 1053
ETCD_TIMEOUT = 3.0  # seconds for one sample record
ETCD_PORT = 2379  # IANA: etcd-client; another one is taken where it is in use
EXAMPLE = "Corefile.example"
ENDPOINT_VARIABLE = "ETCD_ENDPOINT"
SAMPLES = {
    "/skydns/local/skydns/web/1": '{"host": "10.1.0.1", "port": 8080, "ttl": 60}',
    "/skydns/local/skydns/web/2": '{"host": "10.1.0.2", "port": 8080, "ttl": 60}',
    "/skydns/local/skydns/www": '{"host": "web.skydns.local"}',
    "/skydns/local/skydns/hello": '{"text": "kept in etcd, answered from memory"}',
}
NEW_KEY, NEW_VALUE = "/skydns/local/skydns/web/3", '{"host": "10.1.0.3", "port": 8080, "ttl": 60}'


class CannotStart(Exception):
    """Something is in the way; the text is one line with cause and remedy."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("dev", help="run a server with an etcd and sample records of its own, to try things")
    parser.add_argument("file", metavar="FILE", nargs="?", help=f"Corefile (default: {EXAMPLE})")
    parser.add_argument("--etcd", metavar="URL", help="use this etcd, which runs already, instead of one of its own")
    parser.add_argument("--port", type=telling(port), default=PORT, help="port of blocks without one (default: %(default)s)")
    parser.add_argument(
        "--data", type=Path, default=Path(".pycoredns"), metavar="DIR", help="folder of etcd's data (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until Ctrl-C; then nothing is left but etcd's data."""
    try:
        require_free(arguments.port)
        source = Source(str(find_corefile(arguments.file)), arguments.port)
        with running_etcd(arguments.etcd, arguments.data) as endpoint:
            os.environ[ENDPOINT_VARIABLE] = endpoint
            offer_samples(endpoint)
            return serve.run(source, started=lambda server: introduce(server, endpoint))
    except (CannotStart, EtcdServerError) as error:
        print(f"pycoredns dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def require_free(number: int) -> None:
    """Says what to do where the port is taken, before anything is started."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, number))
            except OSError as error:
                raise CannotStart(
                    f"port {number} of {LOOPBACK} cannot be had ({error.strerror}), perhaps because this command runs already: "
                    "stop what holds it, or choose another port with --port"
                ) from error


def find_corefile(name: str | None) -> Path:
    """The file named, else Corefile.example here or in the package."""
    places = [Path(name)] if name else [Path(EXAMPLE), Path(pycoredns.__file__).parent / EXAMPLE]
    for place in places:
        if place.is_file():
            return place
    raise CannotStart(f"there is no {places[0]}; name a Corefile: pycoredns dev FILE")


@contextmanager
def running_etcd(url: str | None, data: Path) -> Iterator[str]:
    """The endpoint of the etcd that is used, started here unless its URL was given."""
    if url:
        print(f"using the etcd at {url}", flush=True)
        yield etcd_at(url)
        return
    server = EtcdServer(data / "etcd", client_port=ETCD_PORT if is_free(ETCD_PORT) else 0)
    print(f"starting etcd, with its data in {server.folder}", flush=True)
    try:
        server.launch()
        asyncio.run(server.healthy())
        yield server.endpoint
    finally:
        asyncio.run(server.stop())


def etcd_at(url: str) -> str:
    """The URL of an etcd as given, http:// if nothing else is said."""
    url = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
    if not url.startswith(("http://", "https://")):
        raise CannotStart(f"{url} is no address of an etcd; write --etcd http://HOST:PORT")
    return url


def offer_samples(endpoint: str) -> None:
    """Puts the sample records if etcd takes them; the server follows it even so."""
    try:
        put_samples(endpoint)
    except (OSError, http.client.HTTPException) as error:
        print(f"the etcd at {endpoint} does not take the sample records: {error}", file=sys.stderr)


def put_samples(endpoint: str) -> None:
    """Writes the sample records that are not there, through etcd's JSON gateway; what has been changed since stays."""
    for key, value in SAMPLES.items():
        name = encoded(key)
        absent = {"key": name, "target": "CREATE", "createRevision": "0"}
        put = {"requestPut": {"key": name, "value": encoded(value)}}
        body = json.dumps({"compare": [absent], "success": [put]}).encode()
        request = urllib.request.Request(f"{endpoint}/v3/kv/txn", body)  # noqa: S310  http or https, see etcd_at
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ETCD_TIMEOUT):
            pass


def encoded(text: str) -> str:
    """Text as the gateway wants octets."""
    return base64.b64encode(text.encode()).decode()


def introduce(server: Server, endpoint: str) -> None:
    """Tells what to try, once the server answers."""
    for line in lines_to_try(server, endpoint):
        output.say(line)


def lines_to_try(server: Server, endpoint: str) -> Iterator[str]:
    """Commands that show something, as they work in this folder."""
    ask = asking(server)
    yield ""
    yield "Try, in another terminal:"
    yield ""
    for question, shown in (("web.skydns.local A", "two addresses"), ("web.skydns.local SRV", "with port and weight")):
        yield f"    {ask} {question:22} # {shown}"
    yield f"    {ask} {'hello.skydns.local TXT':22} # a text"
    yield ""
    yield "Add an address, and ask for the first again:"
    yield ""
    yield f"    {program('etcdctl')} --endpoints={endpoint} put {NEW_KEY} '{NEW_VALUE}'"
    yield ""
    for address in metrics_addresses(server):
        yield f"Metrics: http://{address}/metrics"
    yield "Ctrl-C ends everything; the records stay in etcd."
    yield ""


def asking(server: Server) -> str:
    """The command that asks this server, without the question: dig's, or our own where there is no dig."""
    address = next(iter(server.services))
    client = "dig" if shutil.which("dig") else f"{program('pycoredns')} query"
    return f"{client} @{address.host or LOOPBACK} -p {address.port}"


def program(name: str) -> str:
    """How to call a program here: by name where PATH has it, else by its path."""
    if shutil.which(name):
        return name
    beside = Path(sys.executable).with_name(name)
    path = beside if beside.exists() else find_program(name) or Path(name)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def metrics_addresses(server: Server) -> list[str]:
    """Where /metrics is served, each address once."""
    found = (plugin.address for block in server.blocks for plugin in block.plugins if isinstance(plugin, Prometheus))
    return list(dict.fromkeys(map(str, found)))
