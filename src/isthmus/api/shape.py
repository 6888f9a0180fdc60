"""A value as people write it against a type of ours: all that does not fit at once, each with its path and the mend.

msgspec stops at the first thing; this goes on, and leaves out what does not fit, so that the rest can be looked
at as well. A field that is null is one that is not there.
"""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from typing import Generic, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from isthmus.api.errors import Problem
from isthmus.api.words import LEAST_S

T = TypeVar("T")


class Shaped(NamedTuple, Generic[T]):
    """What came of a value."""

    rest: T | None  # without what does not fit; None where nothing is left to go on with
    wrong: tuple[Problem, ...] = ()
    unread: tuple[Problem, ...] = ()  # fields that nobody knows, of parts that let them pass

    def all_wrong(self, problems: Callable[[T], Iterable[Problem]]) -> tuple[Problem, ...]:
        """What is wrong, with what `problems` finds in the rest.

        What they say of the parts around a wrong one, or within it, follows from that.
        """
        if self.rest is None:
            return self.wrong
        known = [path for path, _ in self.wrong]
        others = (each for each in problems(self.rest) if not any(_is_about(each[0], path) for path in known))
        return (*self.wrong, *dict.fromkeys(others))


def shaped(value: object, type_: type[T], called: str = "", *, as_protobuf: bool = False) -> Shaped[T]:
    """`value` as one of `type_`, which people call `called`.

    `as_protobuf`: field names may also be written as in protobuf's text, `cluster_local` for `clusterLocal`.
    """
    fitting = _Fitting(type_, called or type_.__name__, as_protobuf=as_protobuf)
    found = fitting.fit(_info(cast(Hashable, type_)), value, "$")
    rest = None if found is _GONE else msgspec.convert(found, type_)
    return Shaped(rest, tuple(fitting.wrong), tuple(fitting.unread))


def _is_about(path: str, known: str) -> bool:
    """Whether one of the two is the other, or a part of it."""
    shorter, longer = sorted((path, known), key=len)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in {"", ".", "["}


_GONE = object()
"""In place of a part that does not fit as a whole."""


class _Fitting:
    def __init__(self, type_: type, called: str, *, as_protobuf: bool) -> None:
        self._type, self._called, self._as_protobuf = type_, called, as_protobuf
        self.wrong: list[Problem] = []
        self.unread: list[Problem] = []

    def fit(self, info: inspect.Type, value: object, at: str) -> object:
        """`value` as far as it fits; what does not is noted."""
        match info:
            case inspect.Metadata(extra=dict(extra)) if LEAST_S in extra and not isinstance(value, str):
                return self._refused(at, f"is {_shown(value)} (hint: a duration with its unit, like 5s)")
            case inspect.Metadata():
                return self.fit(info.type, value, at)
            case inspect.UnionType():
                return self._choice(info, value, at)
            case inspect.StructType():
                return self._struct(info, value, at)
            case inspect.VarTupleType():
                return self._list(info, value, at)
            case inspect.DictType():
                return self._map(info, value, at)
            case _ if _is_any(info):
                return value
            case inspect.LiteralType():
                problem = _word_problem(value, [str(each) for each in info.values])
            case _:
                problem = _plain_problem((info,), value)
                if problem and (near := _nearest_number(info, value)) is not None:
                    self.wrong.append((at, problem))
                    return near  # so that what stands beside it is looked at as well
        return self._refused(at, problem) if problem else value

    def _refused(self, at: str, problem: str) -> object:
        self.wrong.append((at, problem))
        return _GONE

    def _choice(self, info: inspect.UnionType, value: object, at: str) -> object:
        inner = [each for each in info.types if not isinstance(each, inspect.NoneType)]
        if len(inner) == 1:
            return self.fit(inner[0], value, at)
        problem = _plain_problem(inner, value)
        return self._refused(at, problem) if problem else value

    def _struct(self, info: inspect.StructType, value: object, at: str) -> object:
        if not isinstance(value, Mapping):
            return self._refused(at, f"is {_shown(value)} (hint: fields of its own, not a list or a value)")
        fields = {field.encode_name: field for field in info.fields}
        made: dict[str, object] = {}
        for key, each in value.items():
            name = _camel(str(key)) if self._as_protobuf and key not in fields else str(key)
            if name not in fields:
                self._note_unknown(info, at, str(key))
            elif each is not None:
                made[name] = self.fit(fields[name].type, each, f"{at}.{name}")
        for name, field in fields.items():
            if field.required and name not in made:
                self.wrong.append((f"{at}.{name}", "is missing"))
                made[name] = _GONE
        # A part without what it must have is none, nor is an object without its spec.
        needed = {name for name, field in fields.items() if field.required} | (
            {"spec"} if at == "$" else set()
        )
        if any(found is _GONE and name in needed for name, found in made.items()):
            return _GONE
        return {name: found for name, found in made.items() if found is not _GONE}

    def _note_unknown(self, info: inspect.StructType, at: str, name: str) -> None:
        hint = _hint(self._type, info, at, name)
        if info.forbid_unknown_fields:
            self.wrong.append((f"{at}.{name}", f"is no field of {self._called}{hint}"))
        else:
            self.unread.append((f"{at}.{name}", f"has no effect: this mesh does not read it{hint}"))

    def _list(self, info: inspect.VarTupleType, value: object, at: str) -> object:
        if not isinstance(value, list | tuple):
            return self._refused(at, f"is {_shown(value)} (hint: a list: start each entry with `-`)")
        found = [self.fit(info.item_type, each, f"{at}[{index}]") for index, each in enumerate(value)]
        # An entry stays at its number, or the paths of what is said of the others would lead elsewhere.
        return _GONE if any(each is _GONE for each in found) else found

    def _map(self, info: inspect.DictType, value: object, at: str) -> object:
        if not isinstance(value, Mapping):
            return self._refused(at, f"is {_shown(value)} (hint: pairs, a name and a value each)")
        found = {
            str(key): self.fit(info.value_type, each, f"{at}.{key}")
            for key, each in value.items()
            if each is not None or _is_any(info.value_type)
        }
        return {key: each for key, each in found.items() if each is not _GONE}


def _is_any(info: inspect.Type) -> bool:
    return isinstance(info, inspect.CustomType) and info.cls is builtins.object


def _word_problem(value: object, words: list[str]) -> str:
    if value in words:
        return ""
    near = _nearest(str(value).upper(), words, 0.7)
    hint = f"did you mean {near}?" if near else f"one of {', '.join(words)}"
    return f"is {_shown(value)} (hint: {hint})"


_PLAIN: Mapping[type[inspect.Type], tuple[tuple[type, ...], str]] = {
    inspect.StrType: ((str,), "text: put it in quotes"),
    inspect.BoolType: ((bool,), "true or false, without quotes"),
    inspect.IntType: ((int,), "a whole number, without quotes"),
    inspect.FloatType: ((int, float), "a number, without quotes"),
}


def _plain_problem(infos: Iterable[inspect.Type], value: object) -> str:
    """What is wrong with text, a number, or true or false, as one of `infos`; empty: nothing."""
    said = []
    for info in infos:
        types, name = _PLAIN[type(info)]
        is_one = isinstance(value, types) and (not isinstance(value, bool) or bool in types)
        if isinstance(info, inspect.IntType) and isinstance(value, float) and value.is_integer():
            is_one = True  # as msgspec has it
        limits = _limits(info, cast(float, value)) if is_one else name
        if not limits:
            return ""
        said.append(limits)
    return f"is {_shown(value)} (hint: {', or '.join(said)})"


def _nearest_number(info: inspect.Type, value: object) -> float | None:
    """The number next to `value` that is within the limits; None where it is none."""
    if not isinstance(info, inspect.IntType | inspect.FloatType) or isinstance(value, bool):
        return None
    if not isinstance(value, int if isinstance(info, inspect.IntType) else int | float):
        return None
    least, most = info.ge, info.le
    if least is not None and value < least:
        return least
    return most if most is not None and value > most else value


def _limits(info: inspect.Type, number: float) -> str:
    """Within which numbers it should be; empty: it is."""
    if not isinstance(info, inspect.IntType | inspect.FloatType):
        return ""
    if (info.ge is None or number >= info.ge) and (info.le is None or number <= info.le):
        return ""
    return f"{info.ge} or more" if info.le is None else f"{info.ge} to {info.le}"


def _hint(whole: type, part: inspect.StructType, at: str, name: str) -> str:
    """The field that was meant: one of the same part, else where one of that name stands, else any that is near."""
    of_part = [field.encode_name for field in part.fields]
    near = _nearest(name, of_part, 0.85)
    if not near:
        here, places = re.sub(r"\[\d+\]", "[]", at), _places(whole).get(name)
        if places:
            best = max(places, key=lambda place: (_in_common(place, here), -len(place)))
            return f" (hint: it stands at {f'{best}.{name}'.removeprefix('$.')})"
        near = _nearest(name, of_part, 0.6) or _nearest(name, _places(whole), 0.6)
    return f" (hint: did you mean {near}?)" if near else ""


def _in_common(one: str, other: str) -> int:
    """How many parts two paths have in common before they part."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _nearest(name: str, names: Iterable[str], alike: float) -> str:
    return next(iter(difflib.get_close_matches(name, sorted(names), 1, alike)), "")


@cache
def _info(type_: Hashable) -> inspect.Type:
    return inspect.type_info(type_)


@cache
def _places(whole: type) -> Mapping[str, tuple[str, ...]]:
    """By the name of each field that occurs anywhere in a type the paths of the parts that have it."""
    found: dict[str, tuple[str, ...]] = {}
    for path, name in _each_place(_info(whole), "$", frozenset()):
        found[name] = (*found.get(name, ()), path)
    return found


def _each_place(info: inspect.Type, path: str, above: frozenset[type]) -> Iterator[tuple[str, str]]:
    match info:
        case inspect.StructType() if info.cls not in above:
            for field in info.fields:
                yield path, field.encode_name
                yield from _each_place(field.type, f"{path}.{field.encode_name}", above | {info.cls})
        case inspect.Metadata():
            yield from _each_place(info.type, path, above)
        case inspect.UnionType():
            for each in info.types:
                yield from _each_place(each, path, above)
        case inspect.VarTupleType():
            yield from _each_place(info.item_type, f"{path}[]", above)
        case inspect.DictType():
            yield from _each_place(info.value_type, path, above)


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return repr(value)
        case None:
            return "nothing"
        case list() | tuple():
            return "a list"
    return "a part with fields"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
