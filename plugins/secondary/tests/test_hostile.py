"""Whatever a primary sends, it is taken or refused in words: nothing else happens."""

from random import Random

import pytest

from pycoredns.plugins.secondary.asking import Conversation
from pycoredns.plugins.secondary.incoming import Incoming, NothingNewer, TransferError
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("a.test")
QUESTION = b"\0\7\0\0\0\1\0\0\0\0\0\0" + ORIGIN + types.AXFR.to_bytes(2, "big") + b"\0\1"


def soa(serial: int) -> Record:
    return Record(ORIGIN, types.SOA, types.IN, 300, bytes(2) + serial.to_bytes(4, "big") + bytes(16))


def records() -> list[Record]:
    others = [
        (types.A, b"\1\2\3\4"),
        (types.MX, b"\0\1" + ORIGIN),
        (types.TXT, b"\2ab"),
        (64, b"\0\1\0"),
    ]
    ns = Record(ORIGIN, types.NS, types.IN, 300, b"\2ns" + ORIGIN)
    return [soa(1), ns, *(Record(b"\1x" + ORIGIN, rtype, types.IN, 60, rdata) for rtype, rdata in others), soa(2)]


def message(answers: list[Record]) -> bytes:
    header = b"\0\7\x84\0\0\1" + len(answers).to_bytes(2, "big") + bytes(4)
    return header + QUESTION[12:] + b"".join(each.wire() for each in answers)


def spoilt(random: Random, wire: bytes) -> bytes:
    """A message with some octets changed, cut out or put in."""
    octets = bytearray(wire)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(octets))
        octets[place : place + random.choice([0, 1, 1, 1, 7])] = random.choice(
            [b"", b"\xc0\x0c", random.randbytes(1), random.randbytes(1)]
        )
    return bytes(octets) or b"\0"


@pytest.mark.parametrize("seed", range(20))
def test_spoilt_messages(seed: int):
    random = Random(seed)
    for _ in range(300):
        conversation = Conversation(None, ORIGIN, QUESTION, None)  # type: ignore[arg-type]  # nothing is read from it
        incoming = Incoming(ORIGIN, None, 100)
        try:
            incoming.feed(conversation._read(spoilt(random, message([*records()[:-1], soa(1)]))))
            if incoming.complete:
                zone, _ = incoming.zone()
                assert list(zone.records())
        except (TransferError, NothingNewer, BadZoneError):
            continue


@pytest.mark.parametrize("seed", range(20))
def test_records_in_any_order(seed: int):
    random = Random(seed)
    ours = Zone.of(ORIGIN, records()[:-1])
    for _ in range(300):
        incoming = Incoming(ORIGIN, ours if random.random() < 0.7 else None, 100)
        try:
            incoming.feed([soa(random.randint(1, 3)), *random.choices([*records(), soa(3)], k=random.randint(0, 9))])
            if incoming.complete:
                assert incoming.zone()[0].serial == incoming.serial
        except (TransferError, NothingNewer, BadZoneError):
            continue
