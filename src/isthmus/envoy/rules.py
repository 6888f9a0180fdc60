"""Envoy's own rules (`validate.rules`) walked over a message: what Envoy would refuse, before it is sent.

A plan is made once for each type of message; only parts that carry rules somewhere below are walked. Scripts in Lua
are looked at as well, by `lua.py`.
Packed messages are opened where their type is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import NamedTuple, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import DecodeError, Message

from isthmus.envoy.descriptors import class_of_url, message_class, pool
from isthmus.envoy.leaf_rules import Check, Scalar, enum_checks, scalar_checks
from isthmus.envoy.lua import FAULTS
from isthmus.envoy.types import FieldRules

_ANY = "google.protobuf.Any"
_DURATION = "google.protobuf.Duration"
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


class Violation(NamedTuple):
    """Where a message breaks a rule, and the rule."""

    path: str  # `filter_chains[0].filters[1].name`
    rule: str


class _Size(NamedTuple):
    """How many entries a repeated field may have."""

    least: int
    most: int | None
    unique: bool


class _FieldPlan(NamedTuple):
    """What to look at in one field."""

    name: str
    repeated: bool
    is_map: bool
    presence: bool  # whether an unset field can be told from an empty one
    required: bool
    size: _Size | None
    checks: tuple[Check, ...]
    read: Callable[[Message], Scalar] | None  # of a wrapper or duration: its plain value
    nested: bool  # a message that is walked


class _Plan(NamedTuple):
    """What to look at in one type of message."""

    fields: tuple[_FieldPlan, ...]
    required_oneofs: tuple[str, ...]
    faults: Callable[[Message], Iterator[tuple[str, str]]] | None = None  # what no rule says


def violations(message: Message) -> list[Violation]:
    """Every place where `message` breaks one of Envoy's rules; empty when Envoy would take it."""
    return list(_walk(message, ""))


def _walk(message: Message, path: str) -> Iterator[Violation]:
    if message.DESCRIPTOR.full_name == _ANY:
        yield from _walk_packed(message, path)
        return
    plan = _plan(message.DESCRIPTOR)
    if plan.faults is not None:
        yield from (Violation(path + where, rule) for where, rule in plan.faults(message))
    for name in plan.required_oneofs:
        if message.WhichOneof(name) is None:
            yield Violation(path + name, "must be set")
    for field in plan.fields:
        value = getattr(message, field.name)
        if field.is_map:
            for key in value if field.nested else ():
                yield from _walk(value[key], f"{path}{field.name}[{key!r}].")
        elif field.repeated:
            yield from _walk_repeated(field, value, path + field.name)
        elif field.presence and not message.HasField(field.name):
            if field.required:
                yield Violation(path + field.name, "must be set")
        else:
            yield from _walk_value(field, value, path + field.name)


def _walk_repeated(field: _FieldPlan, values: list[Message | Scalar], path: str) -> Iterator[Violation]:
    if field.size:
        least, most, unique = field.size
        if len(values) < least:
            yield Violation(path, f"must have at least {least} entries")
        if most is not None and len(values) > most:
            yield Violation(path, f"must have at most {most} entries")
        if unique and len(set(map(str, values))) < len(values):
            yield Violation(path, "must have no entry twice")
    if field.checks or field.nested:
        for index, value in enumerate(values):
            yield from _walk_value(field, value, f"{path}[{index}]")


def _walk_value(field: _FieldPlan, value: Message | Scalar, path: str) -> Iterator[Violation]:
    if field.checks:
        plain = field.read(cast(Message, value)) if field.read else cast(Scalar, value)
        for check in field.checks:
            if rule := check(plain):
                yield Violation(path, rule)
    if field.nested:
        yield from _walk(cast(Message, value), path + ".")


def _walk_packed(message: Message, path: str) -> Iterator[Violation]:
    url = cast(str, getattr(message, "type_url"))  # noqa: B009 - a field of Any, which has no stub here
    if not url:
        return
    value = cast(bytes, getattr(message, "value"))  # noqa: B009 - nor has this one
    look = _looked_at if len(value) <= _SMALL else _look_at
    for found in look(url, value):
        yield Violation(path + found.path if found.path else path.rstrip("."), found.rule)


def _look_at(url: str, packed: bytes) -> tuple[Violation, ...]:
    try:
        message = class_of_url(url).FromString(packed)
    except KeyError:
        return (Violation("", f"Envoy does not know {url}"),)
    except DecodeError:
        return (Violation("", f"is no {url}"),)
    return tuple(_walk(message, ""))


_SMALL = 16 << 10
_looked_at = lru_cache(maxsize=1024)(_look_at)
"""The same filters, contexts of TLS and logs are in the listeners of all proxies. Holds 16 MB at the most."""


@cache
def _plan(descriptor: Descriptor) -> _Plan:
    options = descriptor.GetOptions()
    if any(_option("MessageOptions", options, name) for name in ("disabled", "ignored")):
        return _Plan((), ())
    plans = (_field_plan(field) for field in descriptor.fields)
    oneofs = tuple(oneof.name for oneof in descriptor.oneofs if _oneof_required(oneof))
    return _Plan(tuple(plan for plan in plans if plan is not None), oneofs, FAULTS.get(descriptor.full_name))


def _field_plan(field: FieldDescriptor) -> _FieldPlan | None:
    """What to look at in `field`; None where there is nothing."""
    rules = cast(FieldRules, _option("FieldOptions", field.GetOptions(), "rules"))
    size = None
    if rules.HasField("repeated"):
        many = rules.repeated
        size = _Size(many.min_items, many.max_items if many.HasField("max_items") else None, many.unique)
        rules = many.items
    kind = rules.WhichOneof("type")
    body = cast(Message, getattr(rules, kind)) if kind else None
    target = field.message_type
    is_map = target is not None and target.GetOptions().map_entry
    plan = _FieldPlan(
        name=field.name,
        repeated=field.is_repeated,
        is_map=is_map,
        presence=field.has_presence,
        required=field.containing_oneof is None and _is_required(rules),
        size=size,
        checks=() if is_map else _checks(field, kind, body),
        read=_reader(target),
        nested=_worth_walking(target, is_map) and not rules.message.skip,
    )
    return plan if plan.required or plan.size or plan.checks or plan.nested else None


def _is_required(rules: FieldRules) -> bool:
    """Of one choice of several (`oneof`) this would be asked only where it was made."""
    return rules.message.required or rules.any.required or rules.duration.required


def _checks(field: FieldDescriptor, kind: str | None, rules: Message | None) -> tuple[Check, ...]:
    if rules is None or kind in {"message", "map", "repeated", "any", "timestamp"}:
        return ()
    if kind == "enum" and field.enum_type:
        return enum_checks(rules, frozenset(field.enum_type.values_by_number))
    if kind == "duration":
        return scalar_checks(_in_seconds(rules))
    return scalar_checks(rules)


def _in_seconds(rules: Message) -> Message:
    """Rules for a duration as rules for a number of seconds."""
    plain = message_class("validate.DoubleRules")()
    for field, value in rules.ListFields():
        if field.name in {"const", "lt", "lte", "gt", "gte"}:
            setattr(plain, field.name, _seconds(value))
    return plain


def _seconds(duration: Message) -> float:
    return cast(float, duration.seconds + duration.nanos / 1e9)  # type: ignore[attr-defined]


def _reader(target: Descriptor | None) -> Callable[[Message], Scalar] | None:
    if target is None:
        return None
    if target.full_name in _WRAPPERS:
        return lambda message: cast(Scalar, getattr(message, "value"))  # noqa: B009
    return _seconds if target.full_name == _DURATION else None


def _worth_walking(target: Descriptor | None, is_map: bool) -> bool:
    if target is None:
        return False
    if is_map:
        return _carries_rules(target.fields_by_name["value"].message_type, frozenset())
    return _carries_rules(target, frozenset())


def _carries_rules(target: Descriptor | None, above: frozenset[str]) -> bool:
    """Whether a message of this type has a rule in it or in what it holds; `above` ends circles."""
    if target is None or target.full_name in above:
        return False
    if target.full_name == _ANY or target.full_name in FAULTS:
        return True
    if any(_oneof_required(oneof) for oneof in target.oneofs):
        return True
    above |= {target.full_name}
    return any(_has_rules(f) or _carries_rules(f.message_type, above) for f in target.fields)


@cache
def _has_rules(field: FieldDescriptor) -> bool:
    return bool(cast(FieldRules, _option("FieldOptions", field.GetOptions(), "rules")).ListFields())


@cache
def _oneof_required(oneof: OneofDescriptor) -> bool:
    return bool(_option("OneofOptions", oneof.GetOptions(), "required"))


def _option(kind: str, options: Message, name: str) -> object:
    """The extension `validate.<name>` of `options`.

    Read in our own pool: `GetOptions` uses the default one, where rules are bytes that nobody knows.
    """
    ours = message_class(f"google.protobuf.{kind}").FromString(options.SerializeToString())
    extensions = cast(Mapping[FieldDescriptor, object], ours.Extensions)
    return extensions[pool().FindExtensionByName(f"validate.{name}")]
