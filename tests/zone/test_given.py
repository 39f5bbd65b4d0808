"""The records that a zone gives away: all of them, the SOA first and once, as records and as they stand in a transfer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pycoredns.stream import Form
from pycoredns.wire import names
from pycoredns.wire.message import Record
from pycoredns.zone.reading import read_zone
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("a.test")
SIGNATURE = "A 13 3 300 20400101000000 20200101000000 4711 a.test. abcd"
ALL = f"""\
ns A 192.0.2.1
@ SOA ns host 1 3600 600 86400 60
@ NS ns
@ NS ns.kid
www A 192.0.2.2
www A 192.0.2.3
www AAAA 2001:db8::1
signed A 192.0.2.4
signed RRSIG {SIGNATURE}
lonely RRSIG {SIGNATURE}
mail MX 10 ns
alias CNAME WWW
*.wild TXT wild
deep.empty TXT "below an empty non-terminal"
kid NS ns.kid
ns.kid A 192.0.2.5
moved DNAME other.test.
below.moved A 192.0.2.6
"""


MANY = "@ SOA . . 1 1 1 1 1\n" + "\n".join(f"n{number} A 192.0.2.7" for number in range(2000))


@pytest.fixture(params=[ALL, "@ SOA ns host 1 3600 600 86400 60", MANY])
def text(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def zone(tmp_path: Path, text: str) -> Zone:
    (tmp_path / "zone").write_text(f"$TTL 300\n{text}\n")
    return read_zone(tmp_path / "zone", ORIGIN)


def test_all_records_are_given_once_and_the_soa_first(zone: Zone, text: str) -> None:
    given = list(zone.records())
    assert len(given) == len(set(map(Record.wire, given))) == len(text.strip().splitlines())
    assert given[0] == zone.soa()


@pytest.mark.parametrize("asked", [ORIGIN, ORIGIN.upper()])
def test_in_a_transfer_they_are_the_same(zone: Zone, asked: bytes) -> None:
    whole = [each.replace(b"\xc0\x0c", ORIGIN, 1) for each in _transferred(zone, asked)]
    given = [each.wire() for each in zone.records()]
    assert whole[0] == given[0]
    assert sorted(whole) == sorted(given)


def _transferred(zone: Zone, asked: bytes) -> Iterator[bytes]:
    for some in zone.lists(Form(ORIGIN, asked)):
        yield from some
