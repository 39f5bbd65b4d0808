"""Zones that a catalog lists: fetched, kept, and forgotten with it (RFC 9432)."""

from collections.abc import Iterable
from pathlib import Path

import dns.message
import pytest

from pycoredns.plugins.secondary import Secondary
from pycoredns.plugins.secondary.tests.support import Primary, Records, notify, says, says_after_reload, zone
from pycoredns.testing import RunningServer, eventually, running
from pycoredns.wire import names

pytestmark = pytest.mark.usefixtures("quick")
CATALOG = "cat.test."


class CatalogPrimary(Primary):
    """A primary of the catalog cat.test and of zones it may list, by their names."""

    def __init__(self, zones: dict[str, Records]) -> None:
        super().__init__([])
        self.zones = zones
        self.answer = self._of_the_zone_asked_for
        self.lists(1, *zones)

    def lists(self, serial: int, *members: str) -> None:
        """The catalog has these members from now on."""
        listed = [f"n{place}.zones.{CATALOG} 0 PTR {member}" for place, member in enumerate(members)]
        soa = f"{CATALOG} 0 SOA . . {serial} 3600 600 86400 0"
        self.zones[CATALOG] = [soa, f"{CATALOG} 0 NS invalid.", f"version.{CATALOG} 0 TXT 2", *listed]

    def corefile(self, options: str = "") -> str:
        """One that follows the catalog."""
        return (
            f".:{{port}} {{\n bind 127.0.0.1\n secondary {CATALOG} {{\n"
            f" transfer from 127.0.0.1:{self.port}\n catalog\n {options}\n}}\n}}"
        )

    def _of_the_zone_asked_for(self, query: dns.message.Message) -> Iterable[Records | bytes]:
        self.zone = self.zones[str(query.question[0].name)]
        return self.usual(query)


async def test_a_reload_keeps_the_members_of_a_catalog():
    primary = CatalogPrimary({"a.test.": zone(1, "one")})
    assert await says_after_reload(primary, primary.corefile(), "one")


async def test_members_of_a_catalog_are_kept_on_disk_too(tmp_path: Path):
    primary = CatalogPrimary({"a.test.": zone(1, "one")})
    corefile = primary.corefile(f"persist {tmp_path}")
    async with primary.running(), running(corefile) as server:
        await eventually(lambda: says(server, "one"))
    async with running(corefile) as server:
        assert await says(server, "one")


async def test_members_of_a_catalog_are_served_and_forgotten():
    other = [each.replace("a.test.", "b.test.") for each in zone(1, "b")]
    primary = CatalogPrimary({"a.test.": zone(1, "one"), "b.test.": other})
    async with primary.running(), running(primary.corefile()) as server:
        await eventually(lambda: says(server, "one"))
        await eventually(lambda: says(server, "b", "v.b.test"))
        primary.lists(2, "b.test.")
        await notify(server, CATALOG)
        await eventually(lambda: refused(server))
        await eventually(lambda: says(server, "b", "v.b.test"))
        (secondary,) = server.server.blocks[0].find(Secondary)
        assert [names.to_text(name) for name in secondary._together._versions] == ["cat.test.", "b.test."]


async def test_a_catalog_does_not_bring_what_it_is_itself_in_nor_more_than_it_may(caplog):
    primary, outer = CatalogPrimary({"a.test.": zone(1, "one")}), (".", "test.", CATALOG)
    primary.lists(1, *outer, "a.test.")
    async with primary.running(), running(primary.corefile("max_members 4")) as server:
        await eventually(lambda: says(server, "one"))
        assert [await server.rcode(name) for name in ("x.example", "x.test", "cat.test")] == ["REFUSED", "REFUSED", "NOERROR"]
        for name in outer:
            assert f"Skipping catalog member zone {name} from cat.test.: the catalog is in it" in caplog.text
        primary.lists(2, *outer, "a.", "b.")
        await notify(server, CATALOG)
        await eventually(lambda: "catalog lists 5 zones, more than 4" in caplog.text)
        assert await says(server, "one")


async def refused(server: RunningServer) -> bool:
    return await server.rcode("v.a.test", "TXT") == "REFUSED"
