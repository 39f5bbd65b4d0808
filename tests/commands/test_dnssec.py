"""`pycoredns dnssec keygen`."""

import time
from pathlib import Path

import pytest

from pycoredns.cli import main
from pycoredns.dnssec.keys import read_key


def keygen(*words: str) -> int:
    return main(["dnssec", "keygen", *words])


@pytest.mark.parametrize(
    ("words", "algorithm", "flags"),
    [
        ((), 13, 257),
        (("--csk", "-a", "14"), 14, 257),
        (("--ksk", "--algorithm", "ed25519"), 15, 257),
        (("--zsk", "-a", "RSASHA256", "-b", "1024"), 8, 256),
    ],
)
def test_makes_a_key_and_shows_its_ds(
    words: tuple[str, ...], algorithm: int, flags: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keygen("Example.org", "--folder", str(tmp_path), *words) == 0
    (private,) = tmp_path.glob("*.private")
    key = read_key(private)
    assert (key.algorithm, key.flags) == (algorithm, flags)
    printed = capsys.readouterr().out
    assert f"; key file {private.with_suffix('')}\n" in printed
    records = [line for line in printed.splitlines() if not line.startswith(";")]
    digest = key.ds().rdata[4:].hex().upper()
    assert records == ([f"example.org. 3600 IN DS {key.tag} {algorithm} 2 {digest}"] if flags == 257 else [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {"publish": 0, "activate": 0}),
        (("--activate", "+30d"), {"publish": 0, "activate": 30 * 86400}),
        (("--publish", "+2w", "--delete", "+1y"), {"publish": 14 * 86400, "activate": 14 * 86400, "delete": 365 * 86400}),
        (("--publish", "none", "--activate", "none"), {}),
        (("--publish", "none", "--activate", "+90"), {"activate": 90}),
        (("--sync-publish", "now", "--sync-delete", "+1mi"), {"publish": 0, "activate": 0, "syncpublish": 0, "syncdelete": 60}),
    ],
)
def test_times(words: tuple[str, ...], expected: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.5)
    assert keygen("example.org", "-d", str(tmp_path), *words) == 0
    (private,) = tmp_path.glob("*.private")
    times = {name: value - 2_000_000_000 for name, value in vars(read_key(private).times).items() if value is not None}
    assert times == {"created": 0, **expected}


def test_a_time_in_digits(tmp_path: Path) -> None:
    assert keygen("example.org", "-d", str(tmp_path), "--publish", "20200102030405") == 0
    (private,) = tmp_path.glob("*.private")
    assert read_key(private).times.publish == 1577934245


def test_the_root_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keygen(".", "-d", str(tmp_path)) == 0
    (private,) = tmp_path.glob("K.+013+*.private")
    assert read_key(private).zone == b"\0"
    assert "\n. 3600 IN DS " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a..b",), "argument ZONE: 'a..b': a label needs 1 to 63 octets"),
        (("a.b", "-a", "5"), "'5' cannot sign; choose one of RSASHA256 (8), RSASHA512 (10), ECDSAP256SHA256 (13)"),
        (("a.b", "--publish", "soon"), "'soon' is no time; write it as now, +30d, 20260131235959 or none"),
        (("a.b", "--inactive", "+999999999y"), "'+999999999y' is not between the years 1970 and 9999; write never as none"),
        (("a.b", "--publish=-99y"), "'-99y' is not between"),
        (("a.b", "--publish", "09990101000000"), "'09990101000000' is not between"),
        (("a.b", "--ksk", "--zsk"), "not allowed with argument"),
        ((), "the following arguments are required: ZONE"),
    ],
)
def test_words_that_make_no_sense(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        keygen(*words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-b", "512"), "--bits 512: an RSA key has 1024 to 4096"),
        (("--ttl", "-1"), "--ttl -1: it must be 0 to 2147483647"),
        (("--inactive", "+1d", "--activate", "+2d"), "--inactive is before --activate"),
        (("--zsk", "--sync-publish", "now"), "are for a KSK or CSK"),
    ],
)
def test_contradictions(words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keygen("a.b", "-d", str(tmp_path), *words) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keygen("a.b", "-d", str(tmp_path / "none")) == 1
    assert capsys.readouterr().err == f"cannot write a key to {tmp_path}/none: No such file or directory\n"
