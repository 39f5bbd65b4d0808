"""Keys, their files, canonical forms and signatures, each against dnspython."""

import stat
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest

from pycoredns.dnssec.algorithms import MNEMONICS, new_signer
from pycoredns.dnssec.bitmaps import hashed_label, nsec3_hash, shifted, type_bitmap
from pycoredns.dnssec.canonical import lower_names
from pycoredns.dnssec.keyfiles import new_key, private_text, public_text, write_key
from pycoredns.dnssec.keys import SHA256, SHA384, BadKeyError, Key, Times, key_of, read_key
from pycoredns.dnssec.schedule import active, next_event, published, synchronized
from pycoredns.dnssec.signing import rrsig
from pycoredns.wire import names

ZONE = names.from_text("example.org")
EVERY_TIME = Times(1_000_000_000, 1_100_000_000, 1_200_000_000, 1_300_000_000, 1_400_000_000, 1_250_000_000, 1_260_000_000)


def theirs(key: Key) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(1, dns.rdatatype.DNSKEY, key.rdata, 0, len(key.rdata))


@pytest.mark.parametrize("algorithm", sorted(MNEMONICS))
def test_what_is_written_is_read(algorithm: int, tmp_path: Path) -> None:
    made = new_key(ZONE, algorithm, False, EVERY_TIME, ttl=60, rsa_bits=1024)
    base = write_key(made, tmp_path)
    read = read_key(base)
    assert (read.rdata, read.zone, read.flags, read.ttl, read.times) == (made.rdata, ZONE, 256, 60, EVERY_TIME)
    assert base.name == f"Kexample.org.+{algorithm:03d}+{made.tag:05d}"
    assert stat.S_IMODE((tmp_path / f"{base.name}.private").stat().st_mode) == 0o600


@pytest.mark.parametrize("algorithm", sorted(MNEMONICS))
def test_tag_ds_and_signature(algorithm: int) -> None:
    key = new_key(ZONE, algorithm, True, Times(), rsa_bits=1024)
    origin = dns.name.from_text("example.org")
    assert key.tag == dns.dnssec.key_id(theirs(key))  # type: ignore[arg-type]
    for digest in (SHA256, SHA384):
        assert key.ds(digest).rdata == dns.dnssec.make_ds(origin, theirs(key), digest).to_wire()  # type: ignore[arg-type]
    rrset = dns.rrset.from_text("*.Www.example.org.", 300, "IN", "MX", "10 MAIL.example.org.", "5 a.example.org.")
    made = rrsig(key, rrset.name.to_wire(), rrset.rdtype, 300, [rdata.to_wire() for rdata in rrset], 1_000, 2_000)
    signature = dns.rdata.from_wire(1, dns.rdatatype.RRSIG, made.rdata, 0, len(made.rdata))
    keys = {origin: dns.rrset.from_rdata(origin, 3600, theirs(key))}
    dns.dnssec.validate(rrset, dns.rrset.from_rdata(rrset.name, 300, signature), keys, now=1_500)  # type: ignore[arg-type]
    assert signature.labels == 3


RDATA = {
    "A": "192.0.2.1", "NS": "NS.Example.ORG.", "CNAME": "A.B.", "PTR": "A.B.", "DNAME": "A.B.", "MX": "10 MAIL.Example.",
    "AFSDB": "1 A.B.", "RT": "1 A.B.", "KX": "1 A.B.", "PX": "1 A.B. C.D.", "RP": "A.B. C.D.", "SRV": "1 2 3 Target.Example.",
    "SOA": "NS.Example. HOST.Example. 1094795585 2 3 4 5", "NAPTR": '1 2 "U" "E2U+SIP" "!^.*$!SIP:X@Y!" Replacement.Example.',
    "TXT": '"Text"', "HINFO": '"CPU" "OS"', "NSEC": "Next.Example. A", "SVCB": "1 Target.Example.", "LOC": "1 N 1 E 1m",
}  # fmt: skip


@pytest.mark.parametrize("rtype", RDATA)
def test_canonical_rdata(rtype: str) -> None:
    rdata = dns.rdata.from_text("IN", rtype, RDATA[rtype])
    assert lower_names(rdata.rdtype, rdata.to_wire()) == rdata.to_digestable()


def test_naptr_that_is_cut_stays_as_it_is() -> None:
    assert lower_names(35, b"\0\1\0\2\5U") == b"\0\1\0\2\5U"


GOOD = new_key(ZONE, 13, True, Times())
PUBLIC, PRIVATE = public_text(GOOD), private_text(GOOD)
RSA = new_key(ZONE, 8, True, Times(), rsa_bits=1024)


@pytest.mark.parametrize(
    "public",
    [
        PUBLIC.replace(" 3600 IN", "").replace("DNSKEY", "\tdnskey"),
        PUBLIC.replace(" IN DNSKEY", " DNSKEY").replace(" 13 ", " ECDSAP256SHA256 ( ") + ") ; tag",
        "example.org\tIN\tDNSKEY\t257 3 13 "
        + PUBLIC.split()[-1][:40]
        + " "
        + PUBLIC.split()[-1][40:]
        + " ;{id = 1 (ksk), size = 256b}",
        PUBLIC.replace("example.org. 3600", "EXAMPLE.org. 3600"),
    ],
)
def test_other_ways_to_write_it(public: str) -> None:
    assert key_of(public, PRIVATE.replace("Algorithm: 13 (ECDSAP256SHA256)", "algorithm:13"), "", "").rdata == GOOD.rdata


@pytest.mark.parametrize(
    ("public", "private", "said"),
    [
        ("", PRIVATE, "K.key: it holds no DNSKEY record"),
        ("example.org. IN A 192.0.2.1", PRIVATE, "K.key: it holds no DNSKEY record"),
        (PUBLIC.replace(" 257 3 ", " 257 2 "), PRIVATE, "K.key: flags 257 and protocol 2 are not those of a zone's key"),
        (PUBLIC.replace(" 257 ", " 1 "), PRIVATE, "K.key: flags 1 say that it signs no zone"),
        (PUBLIC.replace("==", "="), PRIVATE, "K.key: its key is not base64"),
        (
            PUBLIC.replace("example.org. 3600", "example..org. 3600"),
            PRIVATE,
            "K.key: 'example..org.': a label needs 1 to 63 octets",
        ),
        (PUBLIC, "", 'K.private: "Algorithm:" is missing, its public key has 13'),
        (PUBLIC, private_text(RSA), 'K.private: "Algorithm:" is 8, its public key has 13'),
        (
            PUBLIC.replace(" 13 ", " 5 "),
            PRIVATE.replace(": 13", ": 5"),
            "K.private: algorithm 5 cannot sign here; those that can: 8",
        ),
        (PUBLIC, PRIVATE.replace("PrivateKey", "Public"), 'K.private: the line "PrivateKey:" is missing'),
        (PUBLIC, PRIVATE.replace("PrivateKey: ", "PrivateKey: !"), 'K.private: "PrivateKey:" is not base64'),
        (PUBLIC, "Algorithm: 13\nPrivateKey: AA==", "K.private: it holds no private key"),
        (PUBLIC, private_text(new_key(ZONE, 13, True, Times())), "K.private: it is not the private key of K.key"),
        (PUBLIC, PRIVATE + "Activate: soon", 'K.private: "Activate:" is soon, not a time like 20260131235959'),
    ],
)
def test_what_is_wrong_is_told(public: str, private: str, said: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        key_of(public, private, "K.key", "K.private")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("algorithm", [8, 13, 14, 15])
def test_broken_numbers_are_told(algorithm: int) -> None:
    made = new_key(ZONE, algorithm, True, Times(), rsa_bits=1024)
    lines = private_text(made).splitlines()
    broken = "\n".join(
        f"{line.partition(':')[0]}: AAAA" if line.startswith(("PrivateKey:", "Prime1:")) else line for line in lines
    )
    with pytest.raises(BadKeyError):
        key_of(public_text(made), broken, "K.key", "K.private")


def test_short_rsa_keys_are_refused() -> None:
    text = private_text(RSA)
    modulus = next(line for line in text.splitlines() if line.startswith("Modulus"))
    with pytest.raises(BadKeyError, match="an RSA key of 24 bits is too short"):
        key_of(public_text(RSA), text.replace(modulus, "Modulus: ////"), "K.key", "K.private")


def test_a_file_is_not_written_over(tmp_path: Path) -> None:
    base = write_key(GOOD, tmp_path)
    with pytest.raises(FileExistsError):
        write_key(GOOD, tmp_path)
    (tmp_path / f"{base.name}.private").unlink()
    with pytest.raises(FileExistsError):
        write_key(GOOD, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".key"]


# --- times


def with_times(**times: int) -> Key:
    return Key(ZONE, 257, 13, GOOD.signer, times=Times(**times))


@pytest.mark.parametrize(
    ("times", "is_published", "is_active"),
    [
        ({}, True, True),
        ({"publish": 99}, True, False),
        ({"publish": 101}, False, False),
        ({"activate": 99}, True, True),
        ({"activate": 101}, False, False),
        ({"publish": 99, "activate": 101}, True, False),
        ({"publish": 99, "activate": 100}, True, True),
        ({"inactive": 100}, True, False),
        ({"activate": 99, "inactive": 101}, True, True),
        ({"activate": 99, "delete": 100}, False, False),
    ],
)
def test_times(times: dict[str, int], is_published: bool, is_active: bool) -> None:
    key = with_times(**times)
    assert (published(key, 100), active(key, 100)) == (is_published, is_active)


def test_only_entry_points_are_named_to_the_parent() -> None:
    assert synchronized(with_times(syncpublish=100), 100)
    assert not synchronized(with_times(syncpublish=100), 99)
    assert not synchronized(with_times(syncpublish=100, syncdelete=110), 110)
    assert not synchronized(Key(ZONE, 256, 13, GOOD.signer, times=Times(syncpublish=1)), 100)


def test_next_event() -> None:
    keys = [with_times(activate=50, inactive=150), with_times(delete=120)]
    assert [next_event(keys, now) for now in (0, 50, 120, 150)] == [50, 120, 150, None]


# --- bitmaps and hashes


@pytest.mark.parametrize("types", ["A", "A NS SOA MX TXT AAAA RRSIG NSEC DNSKEY CAA", "TYPE65280 A TYPE1234", "NSEC TYPE128"])
def test_type_bitmap(types: str) -> None:
    rdata = dns.rdata.from_text("IN", "NSEC", f". {types}")
    assert type_bitmap(dns.rdatatype.from_text(each) for each in types.split()) == rdata.to_wire()[1:]


@pytest.mark.parametrize(("salt", "iterations"), [(b"", 0), (b"\xaa\xbb\xcc\xdd", 12)])
def test_nsec3_hash(salt: bytes, iterations: int) -> None:
    label = hashed_label(nsec3_hash(names.from_text("a.b.example"), salt, iterations))
    expected = dns.dnssec.nsec3_hash("a.b.example", salt.hex() or None, iterations, dns.dnssectypes.NSEC3Hash.SHA1)
    assert (label[0], label[1:].decode().upper()) == (32, expected)


def test_hashes_form_a_circle() -> None:
    assert shifted(b"\xff" * 20, 1) == bytes(20)
    assert shifted(bytes(20), -1) == b"\xff" * 20


def test_signers_are_made_by_chance() -> None:
    assert new_signer(13).public != new_signer(13).public
