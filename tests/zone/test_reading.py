"""Master files: plain lines and all others, and what is said about mistakes."""

import os
import re
from pathlib import Path

import dns.name
import dns.zone
import pytest

from pycoredns.wire import names
from pycoredns.wire.message import Record
from pycoredns.zone import plain, reading
from pycoredns.zone.building import BadZoneError
from pycoredns.zone.files import ZoneFile
from pycoredns.zone.reading import Reading, read_serial, read_zone
from tests.judges.random_zones import random_zone

ORIGIN = names.from_text("example.org")
START = "$TTL 300\n@ SOA ns host 7 2 3 4 5\n"


def records(path: Path, text: str, origin: bytes = ORIGIN) -> list[Record]:
    """All records of a file, in their order."""
    found: list[Record] = []
    path.write_text(text)
    Reading(path, origin).read(lambda name, rtype, ttl, rdata: found.append(Record(name, rtype, 1, ttl, rdata)))
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


LINES = [
    "a A 192.0.2.1",
    "a 60 IN A 192.0.2.1",
    "a IN 60 A 192.0.2.1",
    "a 1h A 192.0.2.1",
    "a.b.c. AAAA 2001:db8::1",
    "A AaAa 2001:DB8::1",
    "ns NS ns.other.",
    "c CNAME @",
    "d DNAME d.e",
    "p PTR x.example.net.",
    "m MX 10 mail",
    "_s._tcp SRV 1 2 3 .",
    't TXT "one string"',
    't TXT "two" "strings"',
    't 60 TXT "a;b"',
    "t TXT bare words",
    r"esc\.aped\032name A 192.0.2.1",
    "paren MX ( 10\n  mail ; comment\n )",
    "com A 192.0.2.1 ; comment",
    "; only a comment",
    "   ; only a comment",
    "x A 192.0.2.1\n  A 192.0.2.2\n\tTXT \"same owner\"",
    "x 60 A 192.0.2.1\n  TXT t",
    "$ORIGIN sub\nx A 192.0.2.1\n$ORIGIN sub.example.org.\ny A 192.0.2.2",
    "$TTL 1d2h\nx A 192.0.2.1",
    "ds DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
    "ds DS 60485 5 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B83 83F6A1E4469DA50A",
    "x NSEC y A AAAA RRSIG NSEC TYPE1234",
    "x NSEC y A MX RRSIG NSEC CAA",
    "x RRSIG A 5 3 86400 20300322173103 20260220173103 2642 example.org. oJB1W6WNGv+ldvQ3WDG0 MQkg5IEhjRip8WTr",
    "x RRSIG A 5 3 86400 1900000000 1800000000 2642 example.org. oJB1W6WNGv+ldvQ3WDG0MQ==",
    "x TYPE65280 \\# 4 01020304",
    "x CAA 0 issue \"ca.example\"",
    "x HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1",
    "$GENERATE 1-3 h$ A 192.0.2.$",
    "$GENERATE 10-20/5 ${-10,3,d} CNAME x",
    "@ 60 A 192.0.2.1",
    "*.w A 192.0.2.1",
    "outside.example. A 192.0.2.1",
    "crlf A 192.0.2.1\r\n",
]  # fmt: skip


@pytest.mark.parametrize("lines", LINES)
def test_lines_mean_what_they_mean_to_dnspython(path: Path, lines: str) -> None:
    text = START + lines + "\n"
    found = {(record.name.lower(), record.rtype, record.ttl, record.rdata) for record in records(path, text)}
    expected = dns.zone.from_text(text.replace("\r", ""), "example.org", relativize=False, check_origin=False)
    known = {(name.to_wire().lower(), rdata.rdtype, ttl, rdata.to_wire()) for name, ttl, rdata in expected.iterate_rdatas()}
    assert {each for each in found if names.within(each[0], ORIGIN)} == known


@pytest.mark.parametrize("seed", range(20))
def test_plain_lines_mean_what_the_full_reader_says(path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    zone = random_zone(seed)
    fast = records(path, zone.text, names.from_text(zone.origin))
    monkeypatch.setattr(reading, "SPECIAL", re.compile(""))
    monkeypatch.setattr(reading, "TEXT", re.compile("(?!)"))
    monkeypatch.setattr(reading, "DEFAULT_TTL", re.compile("(?!)"))
    assert records(path, zone.text, names.from_text(zone.origin)) == fast


def test_most_lines_are_plain(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading._MasterFile, "_read_entry", None)
    text = START + 'a A 192.0.2.1\n 60 IN AAAA ::1\nb.c CNAME @\nt TXT "text"\nm MX 5 a\n\n'
    assert len(records(path, text)) == 6


@pytest.mark.parametrize(
    ("line", "rtype", "rdata"),
    [
        ("MB host.", 7, "04686f737400"),
        ("HINFO PC", 13, "02504300"),
        ("HINFO PC Linux 2", 13, "025043074c696e75782032"),
        ('HINFO "PC  Linux"', 13, "025043054c696e7578"),
        ('HINFO "PC" ; comment', 13, "02504300"),
        ("MINFO a. b.", 14, "016100016200"),
        ("EID ab cd", 31, "abcd"),
        ("DS 1 13 2 abcd", 43, "00010d02abcd"),
        ("DS ( 1 13 2 ; (\n ab\tcd ) ; digest", 43, "00010d02abcd"),
        (r"DS \# 6 00010d02 abcd", 43, "00010d02abcd"),
        ("SSHFP 1 2 abcd", 44, "0102abcd"),
        ("TLSA 3 1 1 abcd", 52, "030101abcd"),
        ("ZONEMD 1 1 1 abcd", 63, "000000010101abcd"),
        ("TA 1 13 2 abcd", 32768, "00010d02abcd"),
    ],
)
def test_what_dnspython_does_not_take_is_read_as_it_stands(path: Path, line: str, rtype: int, rdata: str) -> None:
    assert records(path, f"{START}x 60 {line}\n  A 192.0.2.1\n")[1:] == [
        Record(b"\1x" + ORIGIN, rtype, 1, 60, bytes.fromhex(rdata)),
        Record(b"\1x" + ORIGIN, 1, 1, 300, bytes((192, 0, 2, 1))),
    ]


WRONG = [
    ("bad DS 1 13 2 abc", 3, "bad DS 1 13 2 abc"),
    ("bad MB ; nobody", 3, "bad MB"),
    ("bad A 192.0.2.300", 3, "192.0.2.300"),
    ("bad A", 3, "bad A"),
    ("bad AAAA 192.0.2.1", 3, "bad AAAA"),
    ("bad MX x mail", 3, "bad MX x mail"),
    ("bad NOSUCHTYPE x", 3, "NOSUCHTYPE"),
    ("bad CH A 192.0.2.1", 3, "CH"),
    ("ok A 192.0.2.1\nbad TXT" + 300 * (' "' + 250 * "x" + '"'), 4, "a TXT record of 75300 octets fits no message"),
    ("bad RRSIG A 5 3 60 20300322173103 20260220173103 2642 x. " + 100_000 * "AAAA", 3, "a RRSIG record of 300021 octets"),
    ("x" * 64 + " A 192.0.2.1", 3, "label"),
    ("a..b A 192.0.2.1", 3, "a..b"),
    ("ok A 192.0.2.1\nbad A 1\nok A 192.0.2.2", 4, "bad A 1"),
    ("p MX ( 10\n mail", 4, "p MX ( 10 mail"),
    ("p MX ( 10\n nope nope )\nok A 192.0.2.2", 4, "nope nope"),
    ("$INCLUDE nothere", 3, "nothere cannot be read: No such file or directory"),
    ("$INCLUDE", 3, "$INCLUDE needs the name of a file"),
    ("$INCLUDE db", 3, "more than 7 files include each other"),
    ("$GENERATE 0-4000000000 h$ A 192.0.2.1", 3, "more than 65536 records"),
    ("$GENERATE 1-999999999999 h A 192.0.2.1", 3, "needs a range"),
    ("$GENERATE 3-1 h$ A 192.0.2.1", 3, "$GENERATE 3-1"),
    ("$GENERATE 1-3/0 h$ A 192.0.2.1", 3, "1-3/0 makes nothing"),
    ("$GENERATE 1-3 h${0,0,b} A 192.0.2.1", 3, "bases"),
    ("$GENERATE 1-3 h${-2} A 192.0.2.1", 3, "makes -1"),
    ("$GENERATE 1-3 h$ A 192.0.2.$$", 3, "192.0.2.$"),
    ("$GENERATE 1-2 $$INCLUDE db", 3, "makes records, not directives"),
    ("$NOSUCH x", 3, "$NOSUCH"),
    ("bad TXT \"open", 3, "open"),
    ("bad RRSIG A 5 3 86400 20301322173103 20260220173103 2642 example.org. oJB1", 3, "20301322173103"),
    ('bad TXT "\udcff"', 3, "bad TXT"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "number", "told"), WRONG, ids=lambda value: str(value)[:20])
def test_mistakes_are_told_with_file_and_line(path: Path, lines: str, number: int, told: str) -> None:
    path.write_text(START + lines + "\n", errors="surrogateescape")
    with pytest.raises(BadZoneError) as caught:
        read_zone(path, ORIGIN)
    assert re.match(rf"{re.escape(str(path))}:{number}\b", caught.value.place) or told.startswith("more than 7")
    assert told in caught.value.cause
    assert "\n" not in str(caught.value)


def test_a_zone_needs_a_soa(path: Path) -> None:
    path.write_text("$TTL 60\n@ NS ns\n")
    with pytest.raises(BadZoneError, match=r"db: no SOA record for example.org"):
        read_zone(path, ORIGIN)


@pytest.mark.parametrize(
    ("lines", "serial"),
    [
        ("x SOA a b 7 2 3 4 5", 7),
        ("x SOA a b 7 2 3 4 5\n@ SOA a b 8 2 3 4 5", 8),
        ("@ SOA a b 8 2 3 4 5\nx SOA a b 7 2 3 4 5", 8),
    ],
)
def test_a_soa_below_the_zones_name_stands_for_one_that_is_missing(path: Path, lines: str, serial: int) -> None:
    path.write_text(f"$TTL 60\n@ NS ns\n{lines}\n")
    soa = read_zone(path, ORIGIN).soa()
    assert (soa.name, int.from_bytes(soa.rdata[-20:-16], "big")) == (ORIGIN, serial)


@pytest.mark.parametrize("soa", ["@ SOA ns host 7 2 3 4 5", "@ SOA ns host (7 2 3 4\n 5 )"])
@pytest.mark.parametrize(
    ("before", "after", "ttls"),
    [
        ("", "@ 70 NS ns\nns A 192.0.2.1", [0, 70, 70]),
        ("", "$TTL 80\n@ NS ns\n@ 90 NS ns2\nns A 192.0.2.1", [0, 80, 90, 80]),
        ("a 60 A 192.0.2.1\n", "@ NS ns", [60, 60, 60]),
        ("$TTL 50\n", "@ NS ns", [50, 50]),
    ],
)
def test_a_minimum_is_no_ttl(path: Path, before: str, after: str, ttls: list[int], soa: str) -> None:
    assert [each.ttl for each in records(path, f"{before}{soa}\n{after}\n")] == ttls


@pytest.mark.parametrize(
    ("text", "ttls"),
    [
        ("@ IN SOA ns host 7 2 3 4 5\n@ IN NS ns\n NS ns2\nns in (\n A 192.0.2.1)\n", [0, 0, 0, 0]),
        ("@ IN SOA ns host (\n 7 2 3 4 5 )\n@ IN NS ns ; c\n@ 60 IN NS ns2\nns IN A 192.0.2.1\n", [0, 0, 60, 60]),
        ("@ SOA ns host 7 2 3 4 5\n IN 50 NS ns\nns A 192.0.2.1\n", [0, 50, 50]),
        ("@ SOA ns host 7 2 3 4 5\n 0 NS ns\nns A 192.0.2.1\n", [0, 0, 0]),
    ],
)
def test_a_record_that_says_its_class_has_the_ttl_0_up_to_the_first_one_that_is_said(
    path: Path, text: str, ttls: list[int]
) -> None:
    assert [each.ttl for each in records(path, text)] == ttls


@pytest.mark.parametrize("before", ["", "x IN A 192.0.2.1\n", " A 192.0.2.1\n"])
def test_a_record_with_neither_ttl_nor_class_is_a_mistake_while_there_is_no_ttl(path: Path, before: str) -> None:
    with pytest.raises(BadZoneError, match=f"db:{2 + len(before.splitlines())}: Missing default TTL"):
        records(path, f"@ SOA ns host 7 2 3 4 5\n{before}@ NS ns\n")


def test_an_include_has_its_own_origin_and_leaves_ours_alone(tmp_path: Path, path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "inc").write_text(
        "$TTL 9\na A 192.0.2.1\n$ORIGIN deep\nb A 192.0.2.2\n$INCLUDE inc2 else.example.org.\n"
    )
    (tmp_path / "more" / "inc2").write_text("c A 192.0.2.3\n")
    found = records(path, START + "x A 192.0.2.9\n$INCLUDE more/inc sub ; comment\n A 192.0.2.10\ny A 192.0.2.11\n")
    assert [(names.to_text(record.name), record.ttl) for record in found[1:]] == [
        ("x.example.org.", 300),
        ("a.sub.example.org.", 9),
        ("b.deep.sub.example.org.", 9),
        ("c.else.example.org.", 9),
        ("x.example.org.", 300),
        ("y.example.org.", 300),
    ]


def test_letters_beyond_ascii_are_octets(path: Path) -> None:
    found = records(path, START + 'bücher A 192.0.2.1\nt TXT "größe"\nbücher TXT "plain"\n')
    assert found[1].name == found[3].name == b"\x07b\xc3\xbccher" + ORIGIN
    assert found[2].rdata == b"\x07gr\xc3\xb6\xc3\x9fe"


@pytest.mark.parametrize(
    ("text", "serial"), [(START, 7), ("; nothing\n", None), ("@ 60 NS ns\nbad line\n", None), (START + "bad bad bad\n", 7)]
)
def test_the_serial_is_read_alone(path: Path, text: str, serial: int | None) -> None:
    path.write_text(text)
    assert read_serial(path, ORIGIN) == serial


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ('"' + 255 * "x" + '"', [255 * b"x"]),
        ('"' + 256 * "x" + '"', [255 * b"x", b"x"]),
        (300 * "x", [255 * b"x", 45 * b"x"]),
        ('"short" "' + 100 * "\\120" + '"', [b"short", 100 * b"x"]),
        ('"' + 511 * r"\"" + '" ; comment', [255 * b'"', 255 * b'"', b'"']),
    ],
)  # fmt: skip
def test_a_long_text_becomes_several_strings(path: Path, text: str, strings: list[bytes]) -> None:
    rdata = b"".join(bytes([len(string)]) + string for string in strings)
    assert records(path, START + f"t TXT {text}\n")[-1].rdata == rdata


GENERATED = [
    ("1-3/2 r$ A 192.0.2.$", ["r1 A 192.0.2.1", "r3 A 192.0.2.3"]),
    ("1-2 r$ MX 10 m$", ["r1 MX 10 m1", "r2 MX 10 m2"]),
    ("1-2 r$ 60 IN SRV 1 $ 5060 h$", ["r1 60 SRV 1 1 5060 h1", "r2 60 SRV 1 2 5060 h2"]),
    ('9-10 r${0,2,x} TXT "$ ${6,3,X} $$"', ['r09 TXT "9 00F $"', 'r0a TXT "10 010 $"']),
    ("8-9 r${-8,2} CAA 0 issue ca${0,0,o}.test ; comment", ["r00 CAA 0 issue ca10.test", "r01 CAA 0 issue ca11.test"]),
    ("1-1 r\\$ TXT \\$", ["r$ TXT $"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "meant"), GENERATED)
def test_generate_stands_for_many_lines(path: Path, line: str, meant: list[str]) -> None:
    assert records(path, START + f"$GENERATE {line}\n") == records(path, START + "\n".join(meant) + "\n")


def test_a_generated_record_has_the_ttl_of_the_file(path: Path) -> None:
    assert {record.ttl for record in records(path, START + "$GENERATE 1-2 g$ A 192.0.2.$\n")} == {300}


def test_generated_records_without_any_ttl_are_kept_an_hour_as_in_coredns(path: Path) -> None:
    text = "@ IN SOA ns host 1 2 3 4 5\n$GENERATE 1-2 g$ A 192.0.2.$\n$GENERATE 3-3 g$ 60 TXT x\n$GENERATE 4-4 g$ TXT x\n"
    assert [record.ttl for record in records(path, text + "b IN A 192.0.2.1\n")[1:]] == [3600, 3600, 60, 3600, 0]


def test_files_are_named_once_they_are_opened(tmp_path: Path, path: Path) -> None:
    (tmp_path / "inc").write_text("a A 192.0.2.1\n")
    path.write_text(START + "$INCLUDE inc\n")
    found = Reading(path, ORIGIN)
    found.zone()
    assert list(found.files) == [path, tmp_path / "inc"]


def test_a_file_written_again_within_a_tick_of_the_clock_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(START)
    now, waited = path.stat().st_mtime_ns + 1_000_000, list[float]()
    monkeypatch.setattr(reading, "time_ns", lambda: now)

    def sleep(seconds: float) -> None:
        """Somebody writes the file in place meanwhile, and leaves it as long as it was."""
        waited.append(seconds)
        path.write_text(START.replace("7", "8"))
        os.utime(path, ns=(now, now))

    monkeypatch.setattr(reading, "sleep", sleep)
    file = ZoneFile(path, ORIGIN)
    file.load()
    assert waited == [0.02]
    assert file.zone is not None
    assert file.zone.serial == 8
    assert not file.has_changed()


def test_a_file_that_has_been_left_alone_is_read_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(START)
    monkeypatch.setattr(reading, "time_ns", lambda: path.stat().st_mtime_ns + 20_000_000)
    monkeypatch.setattr(reading, "sleep", lambda seconds: pytest.fail("waited"))
    ZoneFile(path, ORIGIN).load()


def test_words_that_only_look_plain_are_for_the_full_reader() -> None:
    lines = plain.PlainLines(ORIGIN)
    for words in (
        ["4294967296", "A", "192.0.2.1"],
        ["A", "192.0.2"],
        ["A", "192.0.2.01"],
        ["MX", "65536", "x"],
        ["DS", "1", "1", "2", "abc"],
        ["DS", "1", "1"],
        ["DS", r"\#", "5", "00010101"],
        ["MINFO", "a"],
    ):
        with pytest.raises(plain.NotPlain):
            lines.record(words)


@pytest.mark.parametrize(
    "line", ["x A 192.0.2.1" + " " * 100, "\0" * 10_000, 'x TXT "' + "a" * 10_000, "x TXT (\n" + "a" * 10_000]
)
def test_of_a_line_without_an_end_only_a_part_is_looked_at(path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    seen, left_open = [0], reading._left_open
    monkeypatch.setattr(reading, "LONGEST_ENTRY", 100)
    monkeypatch.setattr(reading, "_left_open", lambda text: seen.append(len(text)) or left_open(text))
    with pytest.raises(BadZoneError, match=r"db:3: a record is too long"):
        records(path, f"{START}{line}\n")
    assert max(seen) <= 102


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ('a TXT "one\ntwo (" "x"', [b"one\ntwo (", b"x"]),
        ('a TXT ( "one\r\ntwo ;"\r\n x ) ; "c\r', [b"one\r\ntwo ;", b"x"]),
        ('a TXT "p=\n\nq\n" ; (', [b"p=\n\nq\n"]),
        ('a TXT "one\\\ntwo\\\\" "\\"\n"', [b"one\ntwo\\", b'"\n']),
        ('a TXT b"c\nd"e', [b"b", b"c\nd", b"e"]),
    ],
)
def test_quotes_may_hold_line_breaks(path: Path, lines: str, texts: list[bytes]) -> None:
    _, found, behind = records(path, f"{START}{lines}\nb TXT x\n")
    assert found.rdata == b"".join(b"%c%b" % (len(text), text) for text in texts)
    assert behind.rdata == b"\1x"


@pytest.mark.parametrize(
    ("line", "same"),
    [
        (r'a TXT "x\1y" \12z "\1234" "q\\1"', r'a TXT "x1y" 12z "{4" "q\0921"'),
        (r'a NAPTR 1 2 "u" "s" "!^.*$!sip:\1@x!" .', 'a NAPTR 1 2 "u" "s" "!^.*$!sip:1@x!" .'),
        (r"o\1p A 192.0.2.1", "o1p A 192.0.2.1"),
    ],
)
def test_a_digit_after_a_backslash_is_itself_where_there_are_no_three(path: Path, line: str, same: str) -> None:
    assert records(path, f"{START}{line}\n") == records(path, f"{START}{same}\n")


@pytest.mark.parametrize("line", ['a TXT "one', 'a TXT "one\nb TXT "y"', 'a TXT ( "one ; )'])
def test_a_quote_that_is_not_closed_is_a_mistake_where_the_record_begins(path: Path, line: str) -> None:
    with pytest.raises(BadZoneError, match=r"db:3: a quote is not closed: a TXT"):
        records(path, f"{START}{line}\nc TXT y\n")


def test_a_file_that_is_written_as_it_is_read_counts_at_the_next_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled, file = reading._settled, ZoneFile(path, ORIGIN)

    def loaded(text: str, later: str = "") -> list[str] | None:
        """The names that are read where so much stands in the file, and more is written before its end is reached."""
        path.write_text(text)

        def settled_then_written(descriptor: int) -> reading.Version:
            version = settled(descriptor)
            with path.open("a") as writer:
                writer.write(later)
            return version

        with monkeypatch.context() as patched:
            patched.setattr(reading, "_settled", settled_then_written)
            found = file.load()
        return sorted(map(names.to_text, found.zone.nodes)) if found else None

    def of(*labels: str) -> list[str]:
        return sorted(f"{label}example.org." for label in ("", *labels))

    second = START.replace(" 7 ", " 8 ")
    assert loaded(START + "a A 192.0.2.1\n") == of("a.")
    with pytest.raises(BadZoneError, match="db: it is being written just now"):
        loaded(second + "a A 192.0.2.1\n", "b A 192.0.2.1\n")
    assert file.has_changed()
    assert loaded(second + "a A 192.0.2.1\n", "c A 192.0.2.1\n") == of("a.", "c.")  # one that is always written is not waited for
    assert file.has_changed()
    assert loaded(second + "d A 192.0.2.1\n") == of("d.")
    assert loaded(second + "e A 192.0.2.1\n") is None
