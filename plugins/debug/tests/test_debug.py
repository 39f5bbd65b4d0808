"""Lines of level DEBUG are shown where the plugin stands in some block, and no longer once it does not."""

import logging

import pytest

from pycoredns.errors import ConfigErrors
from pycoredns.testing import running


@pytest.mark.parametrize(
    ("corefile", "shown"), [(".:{port} {\n debug\n}\n test:{port} {\n}", True), (".:{port} {\n whoami\n}", False)]
)
async def test_level(corefile, shown):
    before = logging.getLogger().level
    try:
        async with running(corefile):
            assert logging.getLogger("plugin/any").isEnabledFor(logging.DEBUG) is shown
    finally:
        logging.getLogger().setLevel(before)


async def test_it_takes_no_words():
    with pytest.raises(ConfigErrors, match="Corefile:1: debug: "):
        async with running(". { debug all\n}"):
            pass
