"""What stands around a comparison: data, etcd, an upstream, and the servers, all started and ended here."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from . import programs
from .bench import Bench, Effort
from .data import Records, write_key
from .etcd import fill, running_etcd
from .outcome import Comparison
from .processes import LOAD_CORE, Process, free_port
from .servers import Contender, Server
from .workload import Upstream, Workload

TEMPORARY = "pycoredns-benchmark-"


@dataclass(frozen=True)
class Commands:
    """CoreDNS's program, how ours is started ({corefile} is replaced), and the generator of load."""

    coredns: str
    ours: str
    dnsperf: str = ""

    def contenders(self, workload: Workload) -> tuple[list[Contender], list[str]]:
        """CoreDNS first, then the peers, ours last; and the names of peers that are not installed."""
        found, missing = [Contender("CoreDNS", f"{self.coredns} -conf {{corefile}}", workload.corefile)], []
        for name, peer in workload.peers.items():
            if command := programs.peer_command(name):
                found.append(Contender(name, command, peer.config))
            else:
                missing.append(name)
        if workload.workers:
            found.append(Contender("one worker", self.ours, workload.corefile, 1 / workload.workers.count))
        several = f" -workers {workload.workers.count}" if workload.workers else ""
        return [*found, Contender("pycoredns", self.ours + several, workload.corefile)], missing


class Laboratory:
    """Runs comparisons; what it starts (etcd stays for the workloads that share its data) ends when it is left."""

    def __init__(self, commands: Commands, effort: Effort):
        """Compare these for so long."""
        self.commands, self.effort = commands, effort
        self._started = ExitStack()
        self._etcds: dict[Records, str] = {}

    def __enter__(self) -> Laboratory:
        """Nothing is started before it is needed."""
        return self

    def __exit__(self, *reason: object) -> None:
        """End every etcd."""
        self._started.close()

    def compare(self, workload: Workload) -> Comparison:
        """Measures a workload."""
        with ExitStack() as stack:
            bench = self._bench(workload, stack)
            return bench.measure_start() if workload.limits else bench.measure_load()

    def differences(self, workload: Workload) -> list[str]:
        """Only compares the answers to a sample, with CoreDNS's."""
        with ExitStack() as stack:
            bench = self._bench(replace(workload, peers={}), stack)
            bench.compare_answers(bench.started(), ttl_tolerance=2)
            return bench.outcome.problems

    def _bench(self, workload: Workload, stack: ExitStack) -> Bench:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=TEMPORARY)))
        places = self._prepare(workload, folder, stack)
        contenders, missing = self.commands.contenders(workload)

        def start(contender: Contender, cores: Collection[int]) -> Server:
            server = Server(contender, places, folder, cores, workload.piped)
            stack.callback(server.process.stop)
            return server

        bench = Bench(workload, contenders, start, self.commands.dnsperf, self.effort, folder, places.get("etcd", ""))
        bench.outcome.missing = missing
        return bench

    def _prepare(self, workload: Workload, folder: Path, stack: ExitStack) -> dict[str, str]:
        """Writes the files and starts what stands behind the servers; gives the placeholders' values."""
        for name, records in workload.files.items():
            records.write(folder / name)
        places = {}
        if "{{upstream}}" in workload.corefile:
            places["upstream_port"] = str(_start_upstream(workload.upstream, folder, stack))
            places["upstream"] = f"127.0.0.1:{places['upstream_port']}"
        if workload.key:
            places["key"] = write_key(folder, workload.key)
        if workload.etcd:
            places["etcd"] = self._etcd_with(workload.etcd)
        return places

    def _etcd_with(self, records: Records) -> str:
        """URL of an etcd that holds these records."""
        if records not in self._etcds:
            folder = Path(self._started.enter_context(tempfile.TemporaryDirectory(prefix=TEMPORARY)))
            self._etcds[records] = self._started.enter_context(running_etcd(folder))
            fill(self._etcds[records], records.items())
        return self._etcds[records]


def _start_upstream(upstream: Upstream, folder: Path, stack: ExitStack) -> int:
    """Starts the stub name server; its port."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("stub_upstream.py")), str(port)]
    if upstream != Upstream():
        command += [str(upstream.delay_ms), str(upstream.loss)]
    stack.callback(Process(command, {LOAD_CORE}, folder, folder / "upstream.log").stop)
    return port
