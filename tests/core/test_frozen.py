"""A frozen class behaves as a frozen dataclass does."""

import dataclasses
import pickle

import pytest

from pycoredns.frozen import changeable, frozen


@frozen
class Place:
    file: str
    line: int = 1
    words: list[str] = dataclasses.field(default_factory=list, repr=False)


@frozen
class Named(Place):
    name: str = ""

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise ValueError(self.name)

    def __hash__(self) -> int:
        return 7


def test_values_come_by_place_or_name_or_from_defaults():
    place = Place("a", words=["x"])
    assert (place.file, place.line, place.words) == ("a", 1, ["x"])
    assert Place("a").words is not Place("a").words
    assert Named("a", 2, [], "n").name == "n"
    with pytest.raises(ValueError, match="bad"):
        Named("a", name="bad")


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {}, "Place: file is missing"),
        (("a", 1, [], 4), {}, "takes 3 values, not 4"),
        (("a",), {"file": "b"}, "takes no file, or not twice"),
        (("a",), {"colour": "b"}, "takes no colour"),
    ],
)
def test_what_does_not_fit_is_refused(values, named, message):
    with pytest.raises(TypeError, match=message):
        Place(*values, **named)


def test_nothing_changes():
    place = Place("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        place.file = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del place.file


def test_equality_is_that_of_the_values():
    assert Place("a", 2) == Place("a", 2) != Place("a", 3)
    assert Named("a") != Place("a")
    assert Place("a") != "a"
    assert hash(Named("a")) == 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(Place("a"))  # as its list is


def test_it_is_a_dataclass_to_others():
    place = Place("a", 2)
    assert [each.name for each in dataclasses.fields(Named)] == ["file", "line", "words", "name"]
    assert dataclasses.replace(place, line=3) == Place("a", 3)
    assert pickle.loads(pickle.dumps(place)) == place
    assert repr(place) == "Place(file='a', line=2)"


@changeable
class Counted:
    name: str
    count: int = 0
    seen: list[str] = dataclasses.field(default_factory=list)


def test_what_may_change_is_equal_to_itself_alone():
    counted = Counted("a")
    counted.count += 1
    assert (counted.count, counted.seen) == (1, [])
    assert counted != Counted("a", 1)
    assert {counted: 1}[counted] == 1
    assert repr(counted) == "Counted(name='a', count=1, seen=[])"
