"""What the tests of the cache share."""

import pytest

from pycoredns.plugins.cache import Cache
from pycoredns.testing import Last, request_for


class Setting:
    """A cache before a plugin that gives answers, and a clock."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        for module in ("plugins.cache.cache", "plugins.cache.refresh"):
            monkeypatch.setattr(f"pycoredns.{module}.monotonic", lambda: self.now)

    def start(self, *answers, **options):
        """``answers`` are given in turn, the last one for ever."""
        self.answers = list(answers)
        self.behind = Last(self.answer)
        self.cache = Cache(**options)
        self.request = request_for("a.test", plugins=[self.cache, self.behind])
        return self

    def answer(self, request):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, name="a.test", qtype="A", **options):
        self.request = request_for(name, qtype, **options)
        self.request.listener.service = self.service
        return self.cache.handle(self.request)

    def begin(self, *answers, **options):
        """The same with the first question asked."""
        self.start(*answers, **options).ask()
        return self

    def later(self, seconds):
        """The clock goes on."""
        self.now += seconds
        return self

    @property
    def tally(self):
        return self.cache.tally(self.request)

    @property
    def service(self):
        return self.cache.block.services[0]

    @property
    def asked(self):
        return len(self.behind.seen)

    def ttls(self, *args, **options):
        """The TTLs of an answer."""
        return [found.ttl for _, section in self.ask(*args, **options).walk() for found in section]

    def counted(self):
        """What the metrics say, without labels but the sort."""
        before = {name: self._values(name) for name in COUNTED}
        self.cache.count()
        return {name: {sort: value - before[name].get(sort, 0) for sort, value in self._values(name).items()} for name in COUNTED}

    def _values(self, name):
        cells = getattr(Cache, name).cells
        return {labels[1] if len(labels) == 4 else "": cell.value for labels, cell in cells.items()}


COUNTED = ("hits", "misses", "requests", "prefetches", "served_stale", "evictions")


@pytest.fixture
def setting(monkeypatch):
    for name in (*COUNTED, "entries"):
        monkeypatch.setattr(getattr(Cache, name), "cells", {})
    return Setting(monkeypatch)
