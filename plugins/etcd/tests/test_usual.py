"""What is read without JSON is read to the same record."""

import random

import pytest

from pycoredns.plugins.etcd import packed as packing
from pycoredns.plugins.etcd.skydns import BadValue, read
from pycoredns.plugins.etcd.usual import MOST_KNOWN, Usual

KEY = b"/skydns/test/a"

USUAL = [
    '{"host": "10.0.0.1"}', '{"host":"10.0.0.1","ttl":60}', '{"host": "192.0.2.255", "ttl": 999999999 }',
    '{"host":"10.0.0.1","ttl":0}',
    '{"host": "10.0.0.1", "port": 8080, "ttl": 300}',
    '{"host":"10.0.0.1","port":0,"priority":0,"weight":0,"targetstrip":0,"ttl":0}',
    '{"host":"10.0.0.1","port":80,"priority":5,"weight":50,"text":"some text","ttl":60,"targetstrip":1,"group":"g1"}',
    '{"host":"2001:db8::1","ttl":60,"port":443}', '{"host":"10.0.0.1","ttl":60,"ttl":61}', '{"host":"10.0.0.1","weight":7}',
    r'{"host":"10.0.0.1","text":"\"heritage=external-dns,external-dns/owner=me\"","ttl":60}',
    '{"host":"10.0.0.1","group":""}',
    '{"host":"10.0.0.1","port":70000}', '{"host":"10.0.0.1","targetstrip":256,"group":"g"}',
    '{"host":"10.0.0.1","weight":999999999}',
]  # fmt: skip
LEFT_TO_JSON = [
    "", '"host"', '""""', '{"host": "10.0.0.01"}', '{"host": "10.0.0"}', '{"host": "10.0.0.256"}', '{"host": "a.b"}',
    '{"host": ""}',
    '{"host": "10.0.0.1", "ttl": 4294967296}', '{"host": "10.0.0.1"} ', ' {"host": "10.0.0.1"}', '{"host" :"10.0.0.1"}',
    '{"host": "10.0.0.1"',
    '{"host": "::ffff:10.0.0.1"}', '{"host": "2001:DB8::1"}', '{"host": "2001:db8:0::1"}',
    '{"host": "10.0.0.1", "host": "10.0.0.2"}',
    '{"host":"10.0.0.1","port":-1}', '{"host":"10.0.0.1","port":08}', '{"host":"10.0.0.1","port":1.0}',
    '{"host":"10.0.0.1","port":1e2}',
    '{"host":"10.0.0.1","port":"80"}', '{"host":"10.0.0.1","port":null}', '{"host":"10.0.0.1","PORT":80}',
    '{"host":"10.0.0.1","mail":true}',
    '{"host":"10.0.0.1","x":1}', '{"host":"10.0.0.1","group":"\u00e4"}', r'{"host":"10.0.0.1","group":"\u0041"}',
    r'{"host":"10.0.0.1","text":"\x"}',
    r'{"host":"10.0.0.1","text":"\"}', '{"host":"10.0.0.1","text":"\t"}', '{"host":"10.0.0.1",}',
    '{"host":"10.0.0.1",,"ttl":1}', '["host":"10.0.0.1"]',
    r'{"host":"10.0.0.1","text":"a\\"text":"b"}', '{"host":"10.0.0.1","text":"a""text":"b"}',
    '{"host":"10.0.0.1","text":"a","text"}', r'{"host":"10.0.0.1","group":"\"text\":\"a\""}',
    '{"host":"10.0.0.1"]', '{"host":"10.0.0.1" "ttl":1}', '{"host":"10.0.0.1","ttl":1}{', '{"port":80,"host":"10.0.0.1"}',
    '{"host":"10.0.0.1\0"}',
    '{"hosT":"10.0.0.1"}', '{"host":"10.0.0.1","ttl":٣}',
]  # fmt: skip


def read_in_full(value: bytes) -> bytes:
    """The packed record by way of JSON; nothing where there is none."""
    try:
        return packing.pack(read(value, KEY, 0, 300), plain=True)
    except BadValue:
        return b""


@pytest.mark.parametrize("value", USUAL)
def test_a_usual_value_is_read_without_json_to_the_same_record(value):
    usual = Usual(300)
    assert usual.pack(value.encode()) == read_in_full(value.encode()) != b""
    assert usual.pack(value.encode()) == read_in_full(value.encode()), "what follows the address is known now"


@pytest.mark.parametrize("value", LEFT_TO_JSON)
def test_what_is_not_quite_usual_is_left_to_json(value):
    assert Usual(300).pack(value.encode()) == b""


PIECES = [
    "{", "}", "[", "]", ",", ", ", ":", ": ", '"', "'", " ", "\n", "\0", "\\", "\\u0068", "null", "true", "-1", "0",
    "00", "7", "1e3", "1.5", "\ufeff",
    "4294967296", "65536", "999999999", "9999999999", "10.0.0.1", "10.0.0.2", "010.0.0.1", "::1", "::0:1",
    "::ffff:10.0.0.1", "2001:DB8::", "a.b", "ä",
    '"host"', '"Host"', '"ho\u017ft"', '"port"', '"priority"', '"weight"', '"text"', '"ttl"', '"targetstrip"', '"group"',
    '"mail"', '"key"',
]  # fmt: skip
MEMBERS = [
    '"port":{}', '"priority": {}', '"weight":{}', '"ttl":{}', '"ttl": {}', '"targetstrip":{}', '"text":"t{}"',
    '"group":"g{}"', '"group": ""',
    '"text":"\\"quoted\\" {}"', '"text":"\\u0041{}"', '"mail":true', '"other":{}', '"HOST":"10.9.9.9"',
    '"host":"10.9.9.{}"', '"\\u0068ost":"10.9.9.9"',
]  # fmt: skip
ADDRESSES = ["10.0.0.{}", "10.{}.0.1", "2001:db8::{}", "::ffff:10.0.0.{}", "2001:0db8::{}", "www{}.example.org", ""]
NUMBERS = (0, 1, 5, 33, 100, 255, 256, 8080, 65535, 65536, 999_999_999, 1_000_000_000, 1 << 32, -1, "08", 1.0, "null")


def a_value(chance: random.Random) -> bytes:
    """One that is usual, nearly so, or hostile."""
    address = chance.choice(ADDRESSES[: chance.choice((3, len(ADDRESSES)))]).format(chance.randrange(300))
    members = [f'"host":{chance.choice(("", " "))}"{address}"']
    for _ in range(chance.randrange(6)):
        number = chance.choice(NUMBERS[: chance.choice((11, 11, 11, len(NUMBERS)))])
        members.append(chance.choice(MEMBERS[: chance.choice((10, 10, len(MEMBERS)))]).format(number))
    if chance.random() < 0.1:
        chance.shuffle(members)
    value = "{" + chance.choice((",", ", ")).join(members) + "}"
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        place = chance.randrange(len(value))
        value = value[:place] + chance.choice(PIECES) + value[place + chance.randrange(3) :]
    return value.encode()


def test_both_ways_of_reading_agree_on_random_and_hostile_values():
    chance, usual, quickly = random.Random(5), Usual(300), 0
    for _ in range(40_000):
        value = a_value(chance)
        packed = usual.pack(value)
        quickly += packed != b""
        assert not packed or packed == read_in_full(value), value
    assert quickly > 5000, "most must not be left to JSON, else nothing is shown"


def test_endings_that_all_differ_do_not_fill_the_memory():
    usual = Usual(300)
    for ttl in range(1, 3 * MOST_KNOWN):
        value = b'{"host":"10.0.0.1","ttl":%d}' % ttl
        assert usual.pack(value) == read_in_full(value)
    assert len(usual._around) <= MOST_KNOWN


def test_the_usual_records_are_small():
    sizes = {
        '{"host": "10.0.0.1", "ttl": 300}': 15,
        '{"host": "10.0.0.1", "port": 8080, "ttl": 300, "text": "not answered with"}': 24,
        '{"host": "10.0.0.1", "port": 8080, "group": "g"}': 22,
        '{"host": "www.example.org", "ttl": 60}': 34,
    }
    assert {value: len(read_in_full(value.encode())) for value in sizes} == sizes


def test_texts_do_not_make_endings_differ() -> None:
    usual = Usual(300)
    for number in range(5):
        assert usual.pack(b'{"host":"10.0.0.1","ttl":60,"text":"\\"of %d\\"","targetstrip":1}' % number)
    assert len(usual._around) == 1
