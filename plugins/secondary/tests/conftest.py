"""A secondary in a hurry."""

import logging

import pytest

from pycoredns.plugins.secondary import refresh


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No jitter, short pauses; the plugin's log is seen by caplog."""
    for name, value in [("REFRESH_JITTER", 0.0), ("RETRY_JITTER", 0.0), ("PAUSE", 0.01), ("FIRST_RETRY", 0.05)]:
        monkeypatch.setattr(refresh, name, value)
    for name in ("plugin/secondary", "plugin/file"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        caplog.set_level(logging.INFO, name)
