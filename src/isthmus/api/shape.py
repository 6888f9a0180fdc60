"""A value as people write it against a type of ours: all that does not fit at once, each by its path.

msgspec stops at the first thing; this goes on. Field names may also be written as in protobuf's text,
`cluster_local` for `clusterLocal`, and null is nothing, as in protobuf's JSON.
"""

from __future__ import annotations

import builtins
import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from isthmus.kit import duration

Problem = tuple[str, str]
"""The path, and what is wrong there with the mend."""
T = TypeVar("T")
DURATION = "duration"
"""By which a type of text says that it is one, and how long at least: `Meta(extra={DURATION: seconds})`."""


class Fitted(NamedTuple):
    """What came of fitting a value to a type."""

    value: object  # with the names of our fields, and without what nobody knows
    wrong: tuple[Problem, ...]
    unknown: tuple[Problem, ...]  # fields of the outermost part that it has not


def fitted(value: object, type_: type[T]) -> Fitted:
    """`value` made to fit `type_`, and all that does not."""
    fitting = _Fitting()
    found = fitting.fit(inspect.type_info(type_), value, "$")
    return Fitted(found, tuple(fitting.wrong), tuple(fitting.unknown))


def converted(found: Fitted, type_: type[T]) -> T:
    """The value as one of `type_`, where nothing is wrong with it."""
    return msgspec.convert(found.value, type_)


class _Fitting:
    def __init__(self) -> None:
        self.wrong: list[Problem] = []
        self.unknown: list[Problem] = []

    def fit(self, info: inspect.Type, value: object, at: str) -> object:
        """`value` as far as it fits; what does not is noted."""
        match info:
            case inspect.Metadata():
                return self._annotated(info, value, at)
            case inspect.UnionType():
                inner = [each for each in info.types if not isinstance(each, inspect.NoneType)]
                return self.fit(inner[0], value, at) if len(inner) == 1 else value
            case inspect.StructType():
                return self._struct(info, value, at)
            case inspect.VarTupleType():
                return self._tuple(info, value, at)
            case inspect.DictType():
                return self._dict(info, value, at)
            case inspect.LiteralType():
                if value not in info.values:
                    self._word(at, value, [str(each) for each in info.values])
            case inspect.AnyType() | inspect.CustomType(cls=builtins.object):
                pass
            case _:
                self._plain(info, value, at)
        return value

    def _annotated(self, info: inspect.Metadata, value: object, at: str) -> object:
        fit, before = self.fit(info.type, value, at), len(self.wrong)
        least_s = (info.extra or {}).get(DURATION)
        if least_s is not None and isinstance(value, str) and len(self.wrong) == before:
            problem = duration_problem(value, float(least_s))
            if problem:
                self.wrong.append((at, problem))
        return fit

    def _struct(self, info: inspect.StructType, value: object, at: str) -> object:
        if not isinstance(value, Mapping):
            self.wrong.append((at, f"is {_shown(value)} (hint: fields of its own, not a list or a value)"))
            return {}
        fields = {field.encode_name: field for field in info.fields}
        made: dict[str, object] = {}
        for key, each in value.items():
            name = str(key) if key in fields else _camel(str(key))
            if name not in fields:
                self._unknown(at, str(key), fields)
            elif each is not None:
                made[name] = self.fit(fields[name].type, each, f"{at}.{name}")
        for name, field in fields.items():
            if field.required and name not in made:
                self.wrong.append((f"{at}.{name}", "is missing"))
        return made

    def _unknown(self, at: str, name: str, fields: Iterable[str]) -> None:
        near = difflib.get_close_matches(name, fields, 1, 0.6)
        hint = f" (hint: did you mean {near[0]}?)" if near else ""
        if at == "$":
            self.unknown.append((f"{at}.{name}", f"has no effect: this mesh does not read it{hint}"))
        else:
            self.wrong.append((f"{at}.{name}", f"is no field of it{hint}"))

    def _tuple(self, info: inspect.VarTupleType, value: object, at: str) -> object:
        if not isinstance(value, list | tuple):
            self.wrong.append((at, f"is {_shown(value)} (hint: a list: start each entry with `-`)"))
            return []
        return [self.fit(info.item_type, each, f"{at}[{index}]") for index, each in enumerate(value)]

    def _dict(self, info: inspect.DictType, value: object, at: str) -> object:
        if not isinstance(value, Mapping):
            self.wrong.append((at, f"is {_shown(value)} (hint: pairs, a name and a value each)"))
            return {}
        return {str(key): self.fit(info.value_type, each, f"{at}.{key}") for key, each in value.items()}

    def _word(self, at: str, value: object, words: list[str]) -> None:
        near = difflib.get_close_matches(str(value).upper(), words, 1, 0.7)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
        self.wrong.append((at, f"is {_shown(value)} (hint: {hint})"))

    def _plain(self, info: inspect.Type, value: object, at: str) -> None:
        kind = type(info)
        if kind not in _PLAIN:
            raise TypeError(f"{at}: {kind.__name__} is no type for what people write")
        types, name = _PLAIN[kind]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            self.wrong.append((at, f"is {_shown(value)} (hint: {name})"))
        elif isinstance(info, inspect.IntType | inspect.FloatType):
            number = cast(float, value)
            if (info.ge is not None and number < info.ge) or (info.le is not None and number > info.le):
                most = "" if info.le is None else f" to {info.le}"
                self.wrong.append((at, f"is {value} (hint: {info.ge}{most or ' or more'})"))


_PLAIN: Mapping[type[inspect.Type], tuple[tuple[type, ...], str]] = {
    inspect.StrType: ((str,), "text: put it in quotes"),
    inspect.BoolType: ((bool,), "true or false, without quotes"),
    inspect.IntType: ((int,), "a whole number, without quotes"),
    inspect.FloatType: ((int, float), "a number, without quotes"),
}


def duration_problem(text: str, least_s: float = 0.0) -> str:
    """What is wrong with `text` as a duration of at least `least_s` seconds; empty: nothing."""
    try:
        seconds = duration.parse(text)
    except ValueError as error:
        return str(error)
    if seconds < 0:
        return f"{text} is negative"
    return f"is {text} (hint: {duration.show(least_s)} or more)" if seconds < least_s else ""


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
