"""Does an answer answer, over its aliases?"""

from pycoredns.plugins.cache.aliases import answers_question
from pycoredns.testing import Watched, request_for
from pycoredns.wire.message import record
from pycoredns.wire.walk import walk


def test_names_at_the_end_of_a_chain_of_pointers_are_read_once():
    question = bytes(12) + b"\1a\4test\0\0\1\0\1"
    first = len(question) + 12
    chain = b"".join([(0xC000 | target).to_bytes(2, "big") for target in (14, *range(first, first + 198, 2))])
    last = (0xC000 | first + 198).to_bytes(2, "big")
    octets = question + record(b"\xc0\x0c", 16, 60, chain) + record(last, 1, 60, b"\xc0\0\2\1") * 3000
    found = walk(octets, len(question), 3001)
    watched = Watched(octets)
    assert not answers_question(request_for("a.test"), (watched, found))
    assert watched.looks < 3 * 3000
    assert answers_question(request_for("test"), (octets, found))
