"""Names between text and wire form; what a hostile message may hold in the place of one."""

from random import Random

import pytest

from pycoredns.testing import Watched
from pycoredns.wire import names
from pycoredns.wire.names import BadNameError


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (".", b"\0"),
        ("org", b"\3org\0"),
        ("Example.ORG.", b"\7Example\3ORG\0"),
        (r"a\.b.c", b"\3a.b\1c\0"),
        (r"\000\255.c", b"\2\0\xff\1c\0"),
        ("*.x", b"\1*\1x\0"),
        (r"a\\.b", b"\2a\\\1b\0"),
        (r"a\\.", b"\2a\\\0"),
        (r"a\.", b"\2a.\0"),
        (r"\\.\..", b"\1\\\1.\0"),
        ("ü.x", b"\2\xc3\xbc\1x\0"),
        ("a" * 63, b"\x3f" + b"a" * 63 + b"\0"),
    ],
)
def test_from_text(text, wire):
    assert names.from_text(text) == wire
    assert names.from_text(names.to_text(wire)) == wire


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a" * 64, ".".join(["a" * 63] * 4), "a\\", r"\256.x", "\udcff", r"a\\.."])
def test_bad_text(text):
    with pytest.raises(BadNameError):
        names.from_text(text)


def test_a_text_that_cannot_be_a_name_is_not_told_in_full():
    assert len(names.from_text("\\065" * 63 + ("." + "\\065" * 62) * 3 + ".")) == 254
    with pytest.raises(BadNameError) as error:
        names.from_text("a." * 1_000_000)
    assert len(str(error.value)) < 100


@pytest.mark.parametrize(
    ("wire", "text"),
    [(b"\0", "."), (b"\3a.b\0", r"a\.b."), (b"\2\0 \0", r"\000\ ."), (b"\1@\0", r"\@."), (b"\3a_b\2*c\0", "a_b.*c.")],
)
def test_to_text(wire, text):
    assert names.to_text(wire) == text


@pytest.mark.parametrize(
    ("name", "zone", "inside"),
    [
        ("a.example.org", "example.org", True),
        ("example.org", "example.org", True),
        ("badexample.org", "example.org", False),
        ("org", "example.org", False),
        ("a.b", ".", True),
        (r"x\007example.org", "example.org", False),
    ],
)
def test_within(name, zone, inside):
    assert names.within(names.from_text(name), names.from_text(zone)) is inside


def test_within_does_not_take_a_length_octet_for_a_label():
    assert not names.within(b"\x0cxxxx\7example\3org\0"[:13] + b"\3org\0", b"\7example\3org\0")


@pytest.mark.parametrize(
    ("message", "place", "name", "behind"),
    [
        (b"\1a\0rest", 0, b"\1a\0", 3),
        (b"\1a\0\1b\xc0\0rest", 3, b"\1b\1a\0", 7),
        (b"\1a\0\xc0\0\xc0\3", 5, b"\1a\0", 7),
    ],
)
def test_read(message, place, name, behind):
    assert names.read(message, place) == (name, behind)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (b"\xc0\0", 0),  # points to itself
        (b"\xc0\2\xc0\0", 0),  # a circle
        (b"\xc0\2\1a\0", 0),  # forwards
        (b"\1a\xc0", 0),
        (b"\5ab", 0),
        (b"\x80a\0", 0),
        (b"", 0),
        (b"\x3f" + b"a" * 63 + b"\xc0\0", 0),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0", 0),
    ],
)
def test_read_refuses(message, place):
    with pytest.raises(BadNameError):
        names.read(message, place)


def test_a_chain_of_pointers_is_given_up():
    message = b"\0" + b"".join((0xC000 | max(place - 2, 0)).to_bytes(2, "big") for place in range(1, 2001, 2))
    with pytest.raises(BadNameError, match="too many"):
        names.read(message, len(message) - 2)
    labels = b"\1a\0" + b"".join(
        b"\1a" + (0xC000 | (4 * number - 1 if number else 0)).to_bytes(2, "big") for number in range(100)
    )
    assert len(names.read(labels, len(labels) - 4)[0]) == 2 * 101 + 1


def test_a_chain_of_pointers_is_followed_once():
    """It may stand where no name is read, in a TXT record say, and thousands of names may lead to its end."""
    chain = b"\1a\0" + b"".join([(0xC000 | target).to_bytes(2, "big") for target in (0, *range(3, 201, 2))])
    message, known = Watched(chain + (0xC000 | len(chain) - 2).to_bytes(2, "big") * 5000), {}
    for place in range(len(chain), len(message), 2):
        assert names.read(message, place, known) == (b"\1a\0", place + 2)
    assert message.looks < 3 * 5000


def names_of_all_sorts(random):
    """A message of names that lead to one another: whole labels, pointers to where names begin, into their middle, anywhere."""
    octets, begins = bytearray(b"\3www\7example\4test\0"), [0, 4, 12]
    for _ in range(40):
        begins.append(len(octets))
        for _ in range(random.randrange(4)):
            octets += names.join([random.choice([b"a", b"bc", b"d" * 63])])[:-1]
            begins.append(len(octets))
        target = random.choice([*begins, *begins, *begins, random.randrange(len(octets) + 20)])
        octets += random.choice(
            [b"\0", b"\0", (0xC000 | target).to_bytes(2, "big"), (0xC000 | target).to_bytes(2, "big"), b"\x40"]
        )
    return bytes(octets), begins


def test_what_is_known_makes_no_difference() -> None:
    random = Random(4)
    read = refused = 0
    for _ in range(300):
        octets, begins = names_of_all_sorts(random)
        known: dict[int, bytes] = {}
        for place in begins:
            try:
                plain = names.read(octets, place)
            except names.BadNameError:
                refused += 1
                with pytest.raises(names.BadNameError):
                    names.read(octets, place, known)
            else:
                read += 1
                assert names.read(octets, place, known) == plain
                assert known[place] == plain[0]
    assert min(read, refused) > 1000
