"""What is answered for what stands in etcd, name by name."""

import pytest

from pycoredns.plugins.etcd.tests.without_etcd import HOST, OTHER, A, B, answer, etcd, message

TABLE = {
    "an address": ({"a": HOST}, "a", [A]),
    "whatever the case": ({"a": HOST}, "A", [A]),
    "no such name": ({"a": HOST}, "b", "NXDOMAIN"),
    "not this type": ({"a": HOST}, "a AAAA", []),
    "not this type at all": ({"a": HOST}, "a HTTPS", []),
    "no such name, whatever the type": ({"a": HOST}, "b HTTPS", "NXDOMAIN"),
    "a type whose number is a mark of ours": ({"a": {"text": "t"}}, "a TYPE0", []),
    "another one": ({"a": b"{"}, "a MAILA", "SERVFAIL"),
    "a key with capitals is not found": ({"A": HOST}, "a", "NXDOMAIN"),
    "a record below the name": ({"a/x": HOST}, "a", [A]),
    "below it, capitals do not matter": ({"a/X": HOST}, "a", [A]),
    "far below the name": ({"a/x/y/z": HOST}, "a", [A]),
    "children hide their parent": ({"a": OTHER, "a/x": HOST}, "a", [A]),
    "a-b is not below a": ({"a-b/x": HOST, "a": OTHER}, "a", [B]),
    "equal addresses once": ({"a/x": HOST, "a/y": HOST, "a/z": OTHER}, "a", [A, B]),
    "equal addresses written otherwise": ({"a/x": {"host": "::ffff:10.0.0.1"}, "a/y": HOST}, "a", [A, A]),
    "both families": ({"a/x": {"host": "2001:DB8::1"}, "a/y": HOST}, "a AAAA", ["AAAA 2001:db8::1"]),
    # aliases
    "no address": ({"a": {"host": "10.0.02.4"}}, "a CNAME", ["CNAME 10.0.02.4."]),
    "no address with a zone": ({"a": {"host": "fe80::1%eth0"}}, "a CNAME", ["CNAME fe80::1%eth0."]),
    "an address is no alias": ({"a": HOST}, "a CNAME", []),
    "aliases by exact key only": ({"a/x": {"host": "b.lab.internal"}}, "a CNAME", "NXDOMAIN"),
    "an alias": ({"a": {"host": "B.lab.internal"}, "b": HOST}, "a", ["CNAME B.lab.internal.", A]),
    "an alias to nothing": ({"a": {"host": "b.lab.internal"}}, "a", []),
    "an alias to a bad value": ({"a": {"host": "b.lab.internal"}, "b": b"{"}, "a", []),
    "a loop": ({"a": {"host": "b.lab.internal"}, "b": {"host": "a.lab.internal"}}, "a", []),
    "an alias to below itself": ({"a/x": {"host": "y.a.lab.internal"}, "a/y": HOST}, "a", [A]),
    "a pointer": ({"a": {"host": "b.test"}}, "a PTR", ["PTR b.test."]),
    "pointers by exact key only": ({"a/x": {"host": "b.test"}}, "a PTR", "NXDOMAIN"),
    # wildcards
    "a stored * is none": ({"*": HOST, "b": OTHER}, "c", "NXDOMAIN"),
    "a * that is asked for": ({"*": HOST, "b": OTHER}, "*", [A, B]),
    "any is one, too": ({"b/any": HOST, "b/c": OTHER, "d": HOST}, "ANY.b", [A, B]),
    "further up": ({"b/c": HOST, "d": OTHER}, "c.*", [A]),
    "one that matches nothing": ({"b/c": HOST}, "d.*", []),
    "one below nothing": ({}, "d.*", "NXDOMAIN"),
    "it has no key of its own": ({"b/c": HOST}, "* CNAME", "NXDOMAIN"),
    # unusual keys
    "a dot in a label has a backslash": ({"a.b": HOST}, r"a\.b", "NXDOMAIN"),
    "and so it is found": ({r"a\.b": HOST}, r"a\.b", [A]),
    "a slash divides": ({"q/r": HOST}, "q/r", [A]),
    "a slash at the end": ({"q/r": HOST}, "q/", [A]),
    "a slash above": ({"q/r/s": HOST}, "s.q/r", [A]),
    "an empty segment": ({"a/": HOST}, "a", [A]),
    "an empty segment within": ({"a//b": HOST}, "a", [A]),
    # texts
    "a text": ({"a": {"text": "t"}, "b": HOST}, "a TXT", ['TXT "t"']),
    "equal texts once": ({"a/x": {"text": "t"}, "a/y": {"text": "t"}}, "a TXT", ['TXT "t"']),
    "a text beside an address": ({"a": {"text": "t"} | HOST}, "a TXT", []),
    "a text beside a name": ({"a": {"text": "t", "host": "b.test"}}, "a TXT", ['TXT "t"']),
    "which then is no alias": ({"a": {"text": "t", "host": "b.test"}}, "a", []),
    "except for those who ask": ({"a": {"text": "t", "host": "b.test"}}, "a CNAME", ["CNAME b.test."]),
    "a text of 255 octets": ({"a": {"text": "x" * 255}}, "a TXT", [f'TXT "{"x" * 255}" ""']),
    "escapes": ({"a": {"text": r"\065\x" + "\\"}}, "a TXT", ['TXT "Ax"']),
    # the zone itself
    "no name server": ({}, "@ NS", "NXDOMAIN"),
    "a name server": ({"dns/ns": HOST}, "@ NS", ["NS ns.dns.lab.internal."]),
    "several": ({"dns/ns/a": HOST, "dns/ns/b": OTHER}, "@ NS", ["NS a.ns.dns.lab.internal.", "NS b.ns.dns.lab.internal."]),
    "which must have an address": ({"dns/ns": {"host": "a.test"}}, "@ NS", "SERVFAIL"),
    "name servers elsewhere": ({"dns/ns": HOST}, "ns.dns NS", []),
    "all of the zone": ({"a": HOST, "b": OTHER, "c": HOST}, "@", [A, B]),
    "only dns/apex": ({"a": HOST, "dns/apex/x": OTHER}, "@", [B]),
    "dns/apex is for addresses": ({"a": {"text": "t"}, "dns/apex/x": OTHER}, "@ TXT", ['TXT "t"']),
    # services
    "a service": ({"a": {"port": 80} | HOST}, "a SRV", ["SRV 10 100 80 a.lab.internal."]),
    "one below": ({"a/x": HOST}, "a SRV", ["SRV 10 100 0 x.a.lab.internal."]),
    "two below": ({"a/x/Y": HOST}, "a SRV", ["SRV 10 100 0 Y.x.a.lab.internal."]),
    "two below, one stripped": ({"a/x/y": {"targetstrip": 1} | HOST}, "a SRV", ["SRV 10 100 0 x.a.lab.internal."]),
    "one below, stripped": ({"a/x": {"targetstrip": 1} | HOST}, "a SRV", ["SRV 10 100 0 a.lab.internal."]),
    "stripped of all": ({"a": {"targetstrip": 3} | HOST}, "a SRV", ["SRV 10 100 0 a.lab.internal."]),
    "stripped of nearly all": ({"a": {"targetstrip": 2} | HOST}, "a SRV", ["SRV 10 100 0 internal."]),
    "a name, stripped": ({"a": {"host": "b.c.lab.internal", "targetstrip": 1}}, "a SRV", ["SRV 10 100 0 c.lab.internal."]),
    "a slash in the question": ({"q/r": HOST}, "q/r SRV", ["SRV 10 100 0 r.q.lab.internal."]),
    "port -1": ({"a": {"port": -1} | HOST}, "a SRV", []),
    "17 bits": ({"a": {"port": 65616, "priority": 70000} | HOST}, "a SRV", ["SRV 4464 100 80 a.lab.internal."]),
    "no name can be made": ({"a/" + "y" * 70: HOST}, "a SRV", []),
    "mail": ({"a/x": {"mail": True} | HOST, "a/y": HOST}, "a MX", ["MX 10 x.a.lab.internal."]),
    "no mail": ({"a": HOST}, "a MX", []),
    # values
    "null": ({"a": b"null"}, "a", []),
    "an empty object": ({"a": b"{}"}, "a", []),
    "a bad value among good ones": ({"a/x": b"{", "a/y": HOST}, "a", [A]),
    "nothing but bad values": ({"a/x": b"{", "a/y": b"[]"}, "a", "SERVFAIL"),
    "a host that is no name": ({"a": {"host": "a..b"}}, "a", "SERVFAIL"),
}


@pytest.mark.parametrize(("content", "question", "expected"), TABLE.values(), ids=TABLE)
def test_answers(content, question, expected):
    name, _, qtype = question.partition(" ")
    assert answer(etcd(content), f"{name}.lab.internal".removeprefix("@."), qtype or "A") == expected


def test_owners_are_written_as_they_were_asked_for_and_as_they_stand_in_etcd():
    reply = message(etcd({"a": {"host": "B.lab.internal"}, "b": {"host": "10.0.0.1"}}), "A.Lab.internal")
    assert [str(rrset.name) for rrset in reply.answer] == ["A.Lab.internal.", "B.lab.internal."]


def test_an_address_goes_with_the_target_that_is_made_up_for_it():
    reply = message(etcd({"a": {"host": "10.0.0.1", "ttl": 9}}), "A.lab.internal", "SRV")
    assert [rrset.to_text() for rrset in reply.additional] == ["a.lab.internal. 9 IN A 10.0.0.1"]
