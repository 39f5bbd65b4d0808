"""Dataclasses made in a sixth of the time: ``dataclass`` compiles up to seven methods for each class, half to one and a half
million instructions of every start; here all classes share theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Value]) -> type[Value]:
    """Like ``dataclass(frozen=True)``: fields from annotations, equality and hash by value; other methods of its own stay."""
    return _with_fields(cls, _CHANGEABLE | _FROZEN)


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def changeable(cls: type[Value]) -> type[Value]:
    """Like ``dataclass(eq=False)``: fields from annotations that may be set anew; each instance equals but itself."""
    return _with_fields(cls, _CHANGEABLE)


def _with_fields(cls: type[Value], methods: Mapping[str, object]) -> type[Value]:
    made: Any = dataclass(init=False, repr=False, eq=False, match_args=False)(cls)
    made._shared_fields = fields(made)
    for name, method in methods.items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return cls


def _init(self: Any, *values: object, **named: object) -> None:
    own: tuple[Field[Any], ...] = self._shared_fields
    if len(values) > len(own):
        raise TypeError(f"{type(self).__name__} takes {len(own)} values, not {len(values)}")
    attributes = dict(zip((each.name for each in own), values, strict=False))
    for each in own[len(values) :]:
        attributes[each.name] = named.pop(each.name) if each.name in named else _default(self, each)
    if named:
        raise TypeError(f"{type(self).__name__} takes no {', '.join(named)}, or not twice")
    self.__dict__.update(attributes)
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _default(self: object, missing: Field[Any]) -> object:
    if missing.default is not MISSING:
        return missing.default
    if missing.default_factory is not MISSING:
        return missing.default_factory()
    raise TypeError(f"{type(self).__name__}: {missing.name} is missing")


def _values(self: Any) -> tuple[object, ...]:
    return tuple([getattr(self, each.name) for each in self._shared_fields])


def _equal(self: object, other: object) -> bool:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


def _show(self: Any) -> str:
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in self._shared_fields if each.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: object, name: str, *value: object) -> NoReturn:
    raise FrozenInstanceError(f"{name} of {type(self).__name__} cannot be changed")


_CHANGEABLE: dict[str, object] = {"__init__": _init, "__repr__": _show}
_FROZEN: dict[str, object] = {"__eq__": _equal, "__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse}
