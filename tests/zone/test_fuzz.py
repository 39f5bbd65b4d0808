"""Zones of nonsense: whatever records there are, each question ends, with an answer whose counts are right or with a DNSError."""

from random import Random

import pytest

from pycoredns.answer import Pending
from pycoredns.errors import DNSError
from pycoredns.response import Response
from pycoredns.testing import request_for
from pycoredns.wire import names, types
from pycoredns.wire.message import Record
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.holder import HoldsZones
from pycoredns.zone.zone import Zone

ORIGIN = names.from_text("t")
LABELS = [b"a", b"b", b"*", b"\0", b"\xff", b"Ns", b"x" * 63]
TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 50, 51, 64, 65, 255, 65280]
HASH = b"0123456789abcdefghijklmnopqrstuv"


def a_name(random: Random) -> bytes:
    labels = random.choices(LABELS, k=random.choice((0, 1, 1, 2, 2, 3)))
    return b"".join(bytes((len(label),)) + label for label in labels) + ORIGIN


def some_rdata(random: Random, rtype: int) -> bytes:
    """Of the form its type has, as the reader and transfers see to that."""
    name = a_name(random)
    forms = {
        6: name + name + bytes(20),
        15: b"\0\5" + name,
        33: bytes(6) + name,
        46: random.choice(TYPES).to_bytes(2, "big") + bytes(16) + name + b"signature",
        47: name + b"\0\1\x40",
        50: b"\1\0\0\1\0\x14" + bytes(20) + b"\0\1\x40",
        51: b"\1\0\0\1\0",
        64: b"\0\1" + name,
        65: b"\0\1" + name,
    }
    return name if rtype in (2, 5, 12, 39) else forms.get(rtype, bytes(random.choice((0, 1, 4, 16))))


def a_zone(random: Random) -> Zone:
    records = [Record(ORIGIN, 6, 1, 5, ORIGIN + ORIGIN + bytes(20))]
    for _ in range(random.randrange(25)):
        rtype = random.choice(TYPES)
        owner = b"\x20" + bytes(random.choices(HASH, k=32)) + ORIGIN if rtype == 50 else a_name(random)
        records.append(Record(owner, rtype, 1, random.randrange(99), some_rdata(random, rtype)))
    return Zone.of(ORIGIN, records)


@pytest.mark.parametrize("seed", range(100))
def test_every_question_ends(seed: int) -> None:
    random = Random(seed)
    try:
        zone = a_zone(random)
    except BadZoneError:
        return
    for _ in range(30):
        holder = HoldsZones()
        holder.__post_init__()
        qtype = types.type_text(random.choice(TYPES))
        request = request_for(names.to_text(a_name(random)), qtype, plugins=[holder], zone="t", do=random.random() < 0.5)
        holder.publish(zone)
        try:
            answer = holder.handle(request)
        except DNSError:
            continue
        response = answer.result() if isinstance(answer, Pending) else answer
        assert isinstance(response, Response)
        assert tuple(map(len, response.sections())) == (response.answers, response.authorities, response.additionals)
        assert response.reply(request)
