"""Which values are records, and what they come to."""

import json
import random

import pytest

from pycoredns.plugins.etcd import packed as packing
from pycoredns.plugins.etcd.skydns import BadValue, Service, read
from pycoredns.wire import names, types

KEY = b"/skydns/test/a"
A = {"rtype": types.A, "host": bytes((10, 0, 0, 1))}
NOTHING = {"rtype": types.CNAME, "host": b""}

GOOD = {
    '{"host": "10.0.0.1"}': A,
    ' \n\t{"host":"10.0.0.1"}\r\n': A,
    '{"HOST": "10.0.0.1"}': A,
    '{"ho\u017ft": "10.0.0.1"}': A,
    '{"host": "1.1.1.1", "Host": "10.0.0.1"}': A,
    '{"host": "10.0.0.1", "host": null}': A,
    '{"host": "10.0.0.1", "unknown": {"deep": [1, 2.5, {}]}, "key": "/x", "owner": "me"}': A,
    '{"host": "::ffff:10.0.0.1"}': A | {"spelling": b"::ffff:10.0.0.1"},
    '{"host": "2001:db8::1"}': {"rtype": types.AAAA, "host": bytes.fromhex("20010db8") + bytes(11) + b"\1"},
    '{"host": "www.Example.org"}': {"rtype": types.CNAME, "host": names.from_text("www.Example.org")},
    '{"host": "."}': {"rtype": types.CNAME, "host": b"\0"},
    '{"host": "10.0.0.1."}': {"rtype": types.CNAME, "host": names.from_text("10.0.0.1")},
    '{"host": "10 5 5060 a1.example.org."}': {"rtype": types.CNAME, "host": b"\x0c10 5 5060 a1\7example\3org\0"},
    '{"text": "a\\u0000\\tb\\ud800"}': {"rtype": types.TXT, "host": b"", "text": "a\0\tb\ufffd".encode()},
    '{"text": "t", "host": "a..b"}': {"rtype": types.TXT, "host": b"", "text": b"t"},
    "null": NOTHING,
    "{}": NOTHING,
    '{"host": null, "mail": null, "ttl": null}': NOTHING,
    '{"port": 9223372036854775807, "weight": -9223372036854775808}': NOTHING | {"port": (1 << 63) - 1, "weight": -(1 << 63)},
    '{"host": "10.0.0.1", "ttl": 4294967295, "priority": 0}': A | {"ttl": 4294967295, "priority": 10},
    '{"host": "10.0.0.1", "mail": true, "group": "g", "targetstrip": -1}': A | {"mail": True, "group": b"g", "targetstrip": -1},
}


@pytest.mark.parametrize(("value", "fields"), GOOD.items(), ids=GOOD)
def test_records(value, fields):
    expected = Service(key=KEY, **{"ttl": 300, **fields})
    assert read(value.encode(), KEY, 0, 300) == expected
    assert packing.unpack(packing.pack(expected, plain=True), KEY) == expected
    assert packing.unpack(packing.pack(expected, plain=False), KEY) == expected


BAD = [
    "", " ", "{", '{"host": "10.0.0.1",}', '{"host": "10.0.0.1"} x', "\ufeff{}", "[]", '"10.0.0.1"', "0", "true", "NaN",
    '{"x": NaN}', '{"x": Infinity}', '{"host": 1}', '{"host": ["10.0.0.1"]}', '{"host": {}}', '{"port": "80"}', '{"port": 80.0}',
    '{"port": 1e2}', '{"port": true}', '{"port": 08}', '{"port": +8}', '{"port": 9223372036854775808}',
    f'{{"port": {"9" * 5000}}}',
    '{"ttl": -1}', '{"ttl": 4294967296}', '{"ttl": "5"}', '{"mail": "yes"}', '{"mail": 1}', '{"text": "a\tb"}', '{"text": 5}',
    '{"host": "a..b"}', '{"host": ".a"}', f'{{"host": "{"x" * 64}.test"}}', f'{{"host": "{"x." * 200}"}}', "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
def test_what_is_no_record(value):
    with pytest.raises(BadValue) as error:
        read(value.encode(), KEY, 0, 300)
    assert len(str(error.value)) < 300


def test_random_values_never_do_more_harm_than_being_bad():
    chance = random.Random(4)
    whole = json.dumps({"host": "10.0.0.1", "port": 8080, "text": "some \\ text", "mail": True, "ttl": 5}).encode()
    for _ in range(5000):
        value = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            value[chance.randrange(len(value))] = chance.randrange(256)
        try:
            service = read(bytes(value), KEY, 0, 300)
        except BadValue:
            continue
        assert packing.unpack(packing.pack(service, plain=True), KEY) == service
