"""Records out of messages and into them, compared with dnspython as an independent judge."""

import dns.message
import dns.rrset
import pytest

from pycoredns.wire import message, names
from pycoredns.wire.message import BadMessageError
from pycoredns.wire.walk import walk, with_ttl

RECORDS = [
    ("www.example.org.", "A", "192.0.2.1"),
    ("www.example.org.", "AAAA", "2001:db8::1"),
    ("www.example.org.", "MX", "10 mail.example.org."),
    ("example.org.", "NS", "ns.example.org."),
    ("www.example.org.", "CNAME", "a.b.c.example.net."),
    ("example.org.", "SOA", "ns.example.org. hostmaster.example.org. 1 7200 1800 86400 30"),
    ("_sip._udp.example.org.", "SRV", "1 2 5060 sip.example.org."),
    ("1.2.0.192.in-addr.arpa.", "PTR", "www.example.org."),
    ("www.example.org.", "TXT", '"one" "two"'),
    ("www.example.org.", "NAPTR", '100 10 "u" "sip+E2U" "!^.*$!sip:a@example.org!" .'),
    ("www.example.org.", "RP", "a.example.org. b.example.org."),
    ("www.example.org.", "CAA", '0 issue "ca.example.net"'),
    ("www.example.org.", "DNAME", "example.net."),
]


def reply(records):
    query = dns.message.make_query("www.example.org", "ANY")
    made = dns.message.make_response(query)
    for owner, rtype, data in records:
        made.answer.append(dns.rrset.from_text(owner, 300, "IN", rtype, data))
    return made


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record[1])
def test_a_record_survives(record):
    made = reply([record])
    wire = made.to_wire()
    sections = message.read_sections(wire)
    beginning = wire[: wire.index(b"\0", 12) + 5]
    fitted, counts = message.fit(beginning, wire[12 : len(beginning) - 4], sections, 65535)
    assert counts == (1, 0, 0)
    assert dns.message.from_wire(fitted).answer == made.answer


def test_compression_is_as_good_as_dnspythons():
    made = reply(RECORDS)
    wire = made.to_wire()
    beginning = wire[: wire.index(b"\0", 12) + 5]
    fitted, _ = message.fit(beginning, wire[12 : len(beginning) - 4], message.read_sections(wire), 65535)
    assert len(fitted) <= len(wire)
    assert dns.message.from_wire(fitted) == made


def test_cut_to_size():
    made = reply([("www.example.org.", "A", f"192.0.2.{number}") for number in range(40)])
    wire = made.to_wire()
    sections = message.read_sections(wire)
    beginning = wire[: wire.index(b"\0", 12) + 5]
    fitted, counts = message.fit(beginning, wire[12 : len(beginning) - 4], sections, 512)
    assert len(fitted) <= 512
    assert counts == ((512 - len(beginning)) // 16, 0, 0)


@pytest.mark.parametrize("cut", range(1, 40))
def test_cut_off_messages_are_refused(cut):
    wire = reply(
        [("www.example.org.", "MX", "10 mail.example.org."), ("x.example.org.", "SRV", "1 2 3 a.example.org.")]
    ).to_wire()
    with pytest.raises(BadMessageError):
        message.read_sections(wire[:-cut])
    question = wire.index(b"\0", 12) + 5
    with pytest.raises(BadMessageError):
        walk(wire[:-cut], question, 2)


def test_rdata_shorter_than_its_names():
    bad = b"\1a\0" + message.RECORD.pack(15, 1, 0, 3) + b"\0\1\5more"
    with pytest.raises(BadMessageError):
        message.read_record(bad, 0)


def test_with_ttl_changes_all_but_opt():
    name = names.from_text("a.b")
    octets = message.record(name, 1, 300, b"\1\2\3\4") + message.record(b"\0", 41, 0x8000, b"", 1232)
    changed = with_ttl(octets, walk(octets, 0, 2), 7)
    assert [each.ttl for each in walk(changed, 0, 2)] == [7, 0x8000]
