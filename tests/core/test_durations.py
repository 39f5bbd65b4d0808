"""Lengths of time as Go prints them."""

import pytest

from pycoredns.durations import duration_text, seconds_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1e-9, "1ns"),
        (1.5e-6, "1.5µs"),
        (0.3, "300ms"),
        (0.0123, "12.3ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (90.25, "1m30.25s"),
        (3600, "1h0m0s"),
        (36061, "10h1m1s"),
        (-2, "-2s"),
    ],
)
def test_duration(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0"), (2_999_881, "0.002999881"), (100, "0.0000001"), (1_500_000_000, "1.5"), (2_000_000_000, "2")],
)
def test_seconds(nanoseconds, text):
    assert seconds_text(nanoseconds) == text
