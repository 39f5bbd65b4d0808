"""When a zone is signed again."""

import os
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from pycoredns.plugins.sign.options import read_signing_key
from pycoredns.plugins.sign.state import Signature, files_of, read_beginning, reason
from pycoredns.plugins.sign.tests.support import APEX, ZONE, key_file, work_in
from pycoredns.plugins.sign.worker import lifetime, perform, sign

NOW = 1_800_000_000.5
HOUR, DAY = 3600, 86400
BY_OTHERS = """\
date.test.\t300\tIN\tSOA\tns.date.test. host.date.test. 1700000000 3600 600 86400 60
date.test.\t300\tIN\tRRSIG\tSOA 13 2 300 {expiration:%Y%m%d%H%M%S} {inception:%Y%m%d%H%M%S} {tag} date.test. AAAA
"""


def tags(work):
    return {(key.algorithm, key.tag) for key in (read_signing_key(base, ZONE) for base in work.keys)}


def why(work, now=NOW):
    return reason(work, tags(work), now)


@pytest.fixture
def work(tmp_path):
    """A zone that has just been signed."""
    made = work_in(tmp_path)
    sign(made, NOW)
    assert why(made) is None
    return made


def test_a_missing_file_is_a_reason_in_coredns_words(tmp_path):
    work = work_in(tmp_path)
    assert why(work) == f"open {work.target}: no such file or directory"


@pytest.mark.parametrize(
    ("inception", "expiration", "expected"),
    [
        (-DAY, 20 * DAY, None),
        (-6 * DAY + 60, 20 * DAY, None),
        (-6 * DAY - 60, 20 * DAY, 'inception "2027-01-09T07:59:00.000Z" was more than: 144h0m0s ago from {now}: 144h1m0.5s'),
        (60, 20 * DAY, 'inception "2027-01-15T08:01:00.000Z" date is in the future: -59.5s'),
        (-DAY, 7 * DAY + 60, None),
        (-DAY, 7 * DAY - 60, 'expiration "2027-01-22T07:59:00.000Z" is less than: 168h0m0s away from {now}: 167h58m59.5s'),
        (-DAY, -60, 'expiration "2027-01-15T07:59:00.000Z" is less than: 168h0m0s away from {now}: -1m0.5s'),
    ],
)
def test_times_of_a_file_that_coredns_signed(tmp_path, inception, expiration, expected):
    work = work_in(tmp_path)
    ((_, tag),) = tags(work)
    at = datetime.fromtimestamp(int(NOW), UTC)
    beginning, end = at + timedelta(seconds=inception), at + timedelta(seconds=expiration)
    work.target.write_text(BY_OTHERS.format(inception=beginning, expiration=end, tag=tag))
    assert why(work) == (expected and expected.format(now="2027-01-15T08:00:00.500Z"))


def test_signatures_run_from_hours_ago_to_a_month_ahead_never_the_same():
    found = [lifetime(NOW) for _ in range(100)]
    assert all(NOW - 21 * HOUR - 1 <= each.inception <= NOW - 3 * HOUR for each in found)
    assert all(NOW + 32 * DAY - 1 <= each.expiration <= NOW + 37 * DAY for each in found)
    assert len(set(found)) > 90


def test_it_is_signed_again_in_time(work):
    first = next(day for day in range(40) if why(work, NOW + day * DAY) is not None)
    assert first == 6 or first == 5


def test_a_changed_zone_file_is_a_reason(work):
    before = work.source.stat()
    work.source.write_text(APEX.replace("192.0.2.1", "192.0.2.9"))
    os.utime(work.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert why(work) == f"{work.source} has changed"
    sign(work, NOW)
    assert why(work) is None


def test_a_changed_included_file_is_a_reason(tmp_path):
    (tmp_path / "more").mkdir()
    work = work_in(tmp_path, APEX + '$INCLUDE more/hosts ; these\n$include "more/hosts"\n')
    (tmp_path / "more" / "hosts").write_text("a A 192.0.2.7\n$INCLUDE deeper\n")
    (tmp_path / "more" / "deeper").write_text("b A 192.0.2.8\n")
    assert files_of(work.source) == [work.source, tmp_path / "more" / "hosts", tmp_path / "more" / "deeper"]
    sign(work, NOW)
    assert "b.date.test.\t" in work.target.read_text()
    (tmp_path / "more" / "deeper").write_text("b A 192.0.2.9\n")
    assert why(work) == f"{work.source} has changed"


def test_files_that_include_each_other_are_counted_once(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).write_text(f"$INCLUDE {other}\n")
    assert files_of(tmp_path / "a") == [tmp_path / "a", tmp_path / "b"]


def test_a_long_line_is_read_in_parts_and_names_nothing_behind_its_beginning(tmp_path):
    zone = tmp_path / "zone"
    with zone.open("wb") as file:
        for number in range(64):
            file.write(b"$INCLUDE hidden ".ljust(1 << 16, b";") if number else b";" * (1 << 16))
        file.write(b"\n$INCLUDE seen\n")
    (tmp_path / "seen").write_text("")
    tracemalloc.start()
    try:
        assert files_of(zone) == [zone, tmp_path / "seen"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_of_another_signer_is_made_anew_where_the_zone_file_is_newer(tmp_path):
    work = work_in(tmp_path)
    ((_, tag),) = tags(work)
    at = datetime.fromtimestamp(NOW, UTC)
    work.target.write_text(BY_OTHERS.format(inception=at - timedelta(days=1), expiration=at + timedelta(days=30), tag=tag))
    os.utime(work.source, (NOW, NOW))
    os.utime(work.target, (NOW, NOW))
    assert why(work) is None
    os.utime(work.source, (NOW, NOW + 1))
    assert why(work) == f"{work.source} has changed"


def test_other_keys_are_a_reason(work, tmp_path):
    second = key_file(tmp_path, 15)
    both = work.__class__(work.zone, work.source, (*work.keys, second), work.target)
    assert why(both) == "its keys have changed"
    assert perform(both)["serial"]
    other = work.__class__(work.zone, work.source, (second,), work.target)
    assert reason(other, tags(other), read_beginning(work.target).signatures[0].inception + DAY) == "its keys have changed"


def test_a_missing_zone_file_is_no_reason_to_touch_what_is_signed(work):
    work.source.unlink()
    assert why(work) is None


@pytest.mark.parametrize(
    "text", ["", "nonsense\n", "\0\0\0", "a b c RRSIG SOA\n", "a 1 IN RRSIG SOA x y z 1 2 3 4 5\n", "x" * 300_000]
)
def test_a_file_without_a_signature_is_made_anew(work, text):
    work.target.write_text(text)
    assert why(work) == "no SOA RRSIG found in first 100 records"


def test_the_beginning_says_who_signed_and_when(work):
    found = read_beginning(work.target)
    assert found.serial == int(NOW)
    ((algorithm, tag),) = tags(work)
    (signature,) = found.signatures
    assert signature == Signature(algorithm, tag, signature.inception, signature.expiration)
    assert signature.inception < NOW < signature.expiration


# --- what can go wrong: a line each


def ending(path, text):
    return path.with_name(path.name + text)


FAULTS = {
    "missing": (lambda work: work.source.unlink(), "error", "open {source}: no such file or directory"),
    "syntax": (lambda work: work.source.write_text(APEX + "x A nonsense\n"), "error", "{source}:6: "),
    "no-soa": (lambda work: work.source.write_text("ns 300 A 192.0.2.1\n"), "error", "{source}: no SOA record for date.test."),
    "private": (lambda work: ending(work.keys[0], ".private").unlink(), "error", "cannot read {key}.private: no such file"),
    "public": (lambda work: ending(work.keys[0], ".key").write_text("x"), "error", "{key}.key: it holds no DNSKEY record"),
    "folder": (lambda work: work.target.parent.rmdir(), "unwritable", "open {folder}: no such file or directory"),
}


@pytest.mark.parametrize(("spoil", "stage", "expected"), FAULTS.values(), ids=FAULTS)
def test_faults_are_told_in_a_line(tmp_path, spoil, stage, expected):
    (tmp_path / "signed").mkdir()
    made = work_in(tmp_path)
    work = made.__class__(made.zone, made.source, made.keys, tmp_path / "signed" / "db.date.test.signed")
    spoil(work)
    outcome = perform(work)
    names = {"source": work.source, "key": work.keys[0], "folder": work.target.parent}
    assert expected.format(**names) in outcome[stage]
    assert "\n" not in outcome[stage]
    assert outcome.keys() == {stage, "seconds"}


def test_a_target_that_cannot_be_replaced_is_told(tmp_path):
    work = work_in(tmp_path)
    work.target.mkdir()
    (work.target / "file").touch()
    assert "is a directory" in perform(work)["unwritable"]
    assert not list(tmp_path.glob("signed-*"))
