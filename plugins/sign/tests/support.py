"""A zone, keys and works for the tests of sign."""

from pathlib import Path

from pycoredns.dnssec.keyfiles import new_key, write_key
from pycoredns.dnssec.keys import Times
from pycoredns.plugins.sign.work import Work
from pycoredns.wire import names

ZONE = names.from_text("date.test")
APEX = "$ORIGIN date.test.\n$TTL 300\n@ IN SOA ns host 7 3600 600 86400 60\n@ IN NS ns\nns A 192.0.2.1\n"
RICH = (
    APEX
    + r"""
www A 192.0.2.2
www 60 A 192.0.2.22
www A 192.0.2.2
Upper CNAME Target.Example.ORG.
b.a TXT "deep"
kid NS ns.kid
kid A 192.0.2.99
kid DS 1 13 2 4e5389e6553bd336d39f5c0466d726369465c5ffacfd59c452ad1182fe2cb7f2
ns.kid A 192.0.2.3
far.off NS ns.far.off
ns.far.off AAAA 2001:db8::1
*.w A 192.0.2.4
turn DNAME Other.Test.
below.turn A 192.0.2.5
mx MX 10 MAIL.date.test.
srv SRV 1 2 3 www.DATE.test.
srv SRV 1 2 3 Www.date.test.
naptr NAPTR 100 50 "s" "http+N2L" "" WWW.date.test.
caa CAA 0 issue "ca.example.net"
unknown TYPE65280 \# 3 010203
web HTTPS 1 . alpn=h2
\000.escaped TXT "a;b\"c\\d" "" "e"
"""
)
STALE = """
www NSEC kid.date.test. A RRSIG NSEC
www RRSIG A 13 3 300 20300101000000 20200101000000 1 date.test. AAAA
@ DNSKEY 257 3 13 AAAA
@ CDS 1 13 2 4e5389e6553bd336d39f5c0466d726369465c5ffacfd59c452ad1182fe2cb7f2
@ CDNSKEY 257 3 13 AAAA
@ NSEC3PARAM 1 0 0 -
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A
"""
"""Records that an earlier signer left in the zone file."""


def key_file(folder: Path, algorithm: int = 13, zone: bytes = ZONE, secure_entry_point: bool = True) -> Path:
    """The path of a new key, without the ending of its files."""
    return write_key(new_key(zone, algorithm, secure_entry_point, Times()), folder)


def work_in(folder: Path, text: str = APEX, algorithms: tuple[int, ...] = (13,)) -> Work:
    """A zone file with keys, to be signed into the same folder."""
    source = folder / "date.db"
    source.write_text(text)
    keys = tuple(key_file(folder, algorithm) for algorithm in algorithms)
    return Work(ZONE, source, keys, folder / "db.date.test.signed")
