"""Other name servers in the foreground, on a port of 127.0.0.1, each with a folder and a key of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pycoredns.testing import eventually, exchange_tcp, free_port, query_wire
from tests.judges.programs import program

ZONE = "judged.test"
KEY, SECRET = "judge.test", "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
MANY = 3000


def zone_text(serial: int, *lines: str) -> str:
    """A master file that begins with the usual records."""
    always = ["@ NS ns", "ns A 192.0.2.1", "kid NS ns.kid", "ns.kid A 192.0.2.3", "*.w TXT wild", "mx MX 10 ns", "al CNAME ns"]
    many = [f"h{number} A 192.0.2.{number % 250}" for number in range(MANY)]  # more than one message, whoever packs them
    soa = f"@ SOA ns host {serial} 3600 600 86400 60"
    return "\n".join([f"$ORIGIN {ZONE}.", "$TTL 300", soa, *always, *many, *lines, ""])


@dataclass
class Judge:
    """A name server that has the zone from ours, or gives it to ours; ``ours`` is our port."""

    folder: Path
    ours: int
    port: int = field(default_factory=free_port)
    output: list[str] = field(default_factory=list)
    name: ClassVar[str]

    @property
    def zone_file(self) -> Path:
        """The zone's master file."""
        return self.folder / "judged.zone"

    def secondary(self) -> str:
        """What it is configured with to have the zone from ours."""
        raise NotImplementedError

    def primary(self) -> str:
        """What it is configured with to give the zone to ours."""
        raise NotImplementedError

    def command(self, configuration: Path) -> list[str]:
        """How it is started in the foreground."""
        raise NotImplementedError

    async def change(self, serial: int, *lines: str) -> None:
        """As a primary: puts another version in the place of the zone."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, configuration: str) -> AsyncIterator[Judge]:
        """Starts it; it answers when the block is entered."""
        file = self.folder / "server.conf"
        file.write_text(configuration)
        process = await asyncio.create_subprocess_exec(
            *self.command(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=self.folder
        )
        reading = asyncio.create_task(self._read(process))
        try:
            await eventually(self._answers, 10)
            yield self
        except TimeoutError:
            raise TimeoutError("".join(self.output)) from None
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            self.output.append(line.decode(errors="replace"))

    async def _answers(self) -> bool:
        try:
            await exchange_tcp(query_wire(ZONE, "SOA"), ("127.0.0.1", self.port))
        except (OSError, asyncio.IncompleteReadError):
            return False
        return True

    async def run(self, *command: str, given: str = "") -> None:
        """Runs a program beside it; raises AssertionError with what it said if it fails."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
        said, _ = await process.communicate(given.encode())
        assert process.returncode == 0, f"{' '.join(command)}: {said.decode(errors='replace')}"


class Bind(Judge):
    """BIND; as a primary its zone is changed by nsupdate."""

    name = "bind"

    def command(self, configuration: Path) -> list[str]:
        return [str(program("named")), "-g", "-n", "1", "-c", str(configuration)]

    def _common(self) -> str:
        return f"""
            options {{
                directory "{self.folder}"; pid-file "{self.folder}/pid"; session-keyfile "{self.folder}/session.key";
                listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
                recursion no; dnssec-validation no; notify explicit; notify-delay 0; allow-transfer {{ any; }};
            }};
            controls {{ }};
            key "{KEY}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
            """

    def secondary(self) -> str:
        return f"""{self._common()}
            zone "{ZONE}" {{
                type secondary; file "{self.zone_file}"; masterfile-format text;
                primaries port {self.ours} {{ 127.0.0.1 key {KEY}; }};
            }};"""

    def primary(self) -> str:
        self.zone_file.write_text(zone_text(1))
        return f"""{self._common()}
            zone "{ZONE}" {{
                type primary; file "{self.zone_file}"; allow-update {{ 127.0.0.1; }};
                also-notify port {self.ours} {{ 127.0.0.1; }}; allow-transfer {{ key {KEY}; }};
            }};"""

    async def change(self, serial: int, *lines: str) -> None:
        text = f"server 127.0.0.1 {self.port}\nzone {ZONE}\nupdate add {ZONE}. 300 SOA ns host {serial} 3600 600 86400 60\n"
        added = "".join(f"update add {line.split()[0]}.{ZONE}. 300 {' '.join(line.split()[1:])}\n" for line in lines)
        await self.run(str(program("nsupdate")), given=f"{text}{added}send\n")


class Nsd(Judge):
    """NSD; as a primary it reads its zone file again when nsd-control says so."""

    name = "nsd"

    def command(self, configuration: Path) -> list[str]:
        return [str(program("nsd")), "-d", "-c", str(configuration)]

    def _common(self) -> str:
        return f"""
server:
    ip-address: 127.0.0.1@{self.port}
    zonesdir: "{self.folder}"
    database: ""
    username: ""
    pidfile: "{self.folder}/pid"
    zonelistfile: "{self.folder}/zonelist"
    xfrdfile: "{self.folder}/xfrd"
    xfrdir: "{self.folder}"
    cookie-secret-file: "{self.folder}/cookies"
    server-count: 1
    verbosity: 3
remote-control:
    control-enable: yes
    control-interface: "{self.folder}/control"
key:
    name: "{KEY}"
    algorithm: hmac-sha256
    secret: "{SECRET}"
zone:
    name: "{ZONE}"
    zonefile: "{self.zone_file}"
"""

    def secondary(self) -> str:
        return f"""{self._common()}
    request-xfr: 127.0.0.1@{self.ours} {KEY}
    allow-notify: 127.0.0.1 NOKEY
    provide-xfr: 127.0.0.1 {KEY}
"""

    def primary(self) -> str:
        self.zone_file.write_text(zone_text(1))
        return f"""{self._common()}
    notify: 127.0.0.1@{self.ours} NOKEY
    provide-xfr: 127.0.0.1 {KEY}
    store-ixfr: yes
    create-ixfr: yes
"""

    async def change(self, serial: int, *lines: str) -> None:
        self.zone_file.write_text(zone_text(serial, *lines))
        await self.run(str(program("nsd-control")), "-c", str(self.folder / "server.conf"), "reload", ZONE)


class Knot(Judge):
    """Knot DNS; as a primary it reads its zone file again when knotc says so."""

    name = "knot"

    def command(self, configuration: Path) -> list[str]:
        return [str(program("knotd")), "-c", str(configuration)]

    def _common(self) -> str:
        return f"""
server:
    listen: 127.0.0.1@{self.port}
    rundir: "{self.folder}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{self.folder}"
control:
    listen: "{self.folder}/control"
log:
  - target: stdout
    any: info
key:
  - id: {KEY}
    algorithm: hmac-sha256
    secret: "{SECRET}"
"""

    def secondary(self) -> str:
        return f"""{self._common()}
remote:
  - id: ours
    address: 127.0.0.1@{self.ours}
    key: {KEY}
acl:
  - id: told
    address: 127.0.0.1
    action: notify
  - id: judging
    address: 127.0.0.1
    key: {KEY}
    action: transfer
zone:
  - domain: {ZONE}
    storage: "{self.folder}"
    file: "{self.zone_file}"
    master: ours
    acl: [told, judging]
"""

    def primary(self) -> str:
        self.zone_file.write_text(zone_text(1))
        return f"""{self._common()}
remote:
  - id: ours
    address: 127.0.0.1@{self.ours}
acl:
  - id: given
    address: 127.0.0.1
    key: {KEY}
    action: transfer
zone:
  - domain: {ZONE}
    storage: "{self.folder}"
    file: "{self.zone_file}"
    notify: ours
    acl: given
    zonefile-load: difference
    journal-content: changes
"""

    async def change(self, serial: int, *lines: str) -> None:
        self.zone_file.write_text(zone_text(serial, *lines))
        await self.run(str(program("knotc")), "-s", str(self.folder / "control"), "zone-reload", ZONE)


JUDGES: tuple[type[Judge], ...] = (Bind, Nsd, Knot)
