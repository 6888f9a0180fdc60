"""Why a webhook is asked about a pod, or is not: its selectors and conditions, held against pod and namespace. Pure.

Source: Kubernetes, "Dynamic Admission Control": namespaceSelector, objectSelector, matchConditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from isthmus.api.core.label_selector import LabelSelector, Requirement
from isthmus.console.injectors import Injector
from isthmus.kit.cel import evaluated

Json = dict[str, Any]
_NAME = "kubernetes.io/metadata.name"
_LACKS = " lacks "
_POSITIVE = {"In", "Exists"}


class New(NamedTuple):
    """A pod that is about to be made, as an API server shows it to webhooks, and the labels of its namespace."""

    pod: Json
    namespace: str
    labels: Mapping[str, str]

    @property
    def own(self) -> Mapping[str, str]:
        """The pod's labels."""
        return (self.pod.get("metadata") or {}).get("labels") or {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one webhook is asked; None: that cannot be told from here. And why, or why not."""

    webhook: str
    asked: bool | None
    why: tuple[str, ...]


def answers(injector: Injector, new: New) -> list[Answer]:
    """What becomes of each of its webhooks."""
    return [_answer(each, new) for each in injector.hooks]


def why_not(injector: Injector, found: Sequence[Answer]) -> str:
    """Why none of its webhooks is asked: what hinders all, else what those lack that lack the least."""
    if injector.silent:
        return "asks about no pod, since another revision is the default"
    everywhere = [why for why in found[0].why if all(why in each.why for each in found)]
    if everywhere:
        return "; ".join(everywhere)
    least = min(len(each.why) for each in found)
    near = list(dict.fromkeys(each.why for each in found if len(each.why) == least))
    if all(len(why) == 1 and _LACKS in why[0] for why in near):
        return _needed([why[0] for why in near])
    return ", or ".join("; ".join(why) for why in near)


def _needed(lacking: Sequence[str]) -> str:
    """Of several labels of which one would do, those of the namespace and those of the pod."""
    by_owner: dict[str, list[str]] = {}
    for each in lacking:
        whose, label = each.split(_LACKS)
        by_owner.setdefault(whose, []).append(label)
    return ", or ".join(f"{whose} needs {' or '.join(labels)}" for whose, labels in by_owner.items())


def _answer(hook: Json, new: New) -> Answer:
    name = str(hook.get("name", ""))
    unmet, met = [], []
    for whose, key, labels in (
        ("namespace", "namespaceSelector", new.labels),
        ("pod", "objectSelector", new.own),
    ):
        for each in _requirements(hook.get(key) or {}):
            if not each.holds(labels):
                unmet.append(f"{whose} {_unmet(each, labels)}")
            elif each.operator in _POSITIVE:
                met.append(f"{whose} has {_label(each.key, labels)}")
    if unmet:
        return Answer(webhook=name, asked=False, why=tuple(unmet))
    state, said = _conditions(hook, new)
    if state is not True:
        return Answer(webhook=name, asked=state, why=tuple(said))
    return Answer(webhook=name, asked=True, why=tuple(met) or ("neither namespace nor pod says a word",))


def _requirements(selector: Json) -> Iterator[Requirement]:
    found = msgspec.convert(selector, LabelSelector)
    for key, value in found.match_labels.items():
        yield Requirement(key=key, operator="In", values=(value,))
    yield from found.match_expressions


def _label(key: str, labels: Mapping[str, str]) -> str:
    return f"{key}={labels[key]}"


def _unmet(each: Requirement, labels: Mapping[str, str]) -> str:
    if each.key not in labels:
        wanted = " or ".join(each.values)
        return f"{_LACKS.lstrip()}{each.key}{f'={wanted}' if wanted else ''}"
    return f"is {labels[each.key]}" if each.key == _NAME else f"has {_label(each.key, labels)}"


def _conditions(hook: Json, new: New) -> tuple[bool | None, list[str]]:
    """Whether all conditions hold; one that does not settles it, else one that cannot be told leaves it open."""
    named = hook.get("matchConditions") or ()
    told = {"object": new.pod, "oldObject": None, "request": _request(new)}
    said = [(each, evaluated(str(each.get("expression", "")), told)) for each in named]
    if no := [f"condition {each.get('name')} does not hold" for each, value in said if value is False]:
        return False, no
    unknown = [f"condition {each.get('name')}: {value}" for each, value in said if value is not True]
    return (None, unknown) if unknown else (True, [])


def _request(new: New) -> Json:
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    name = str((new.pod.get("metadata") or {}).get("name", ""))
    return {
        "kind": kind,
        "requestKind": kind,
        "resource": resource,
        "requestResource": resource,
        "name": name,
        "namespace": new.namespace,
        "operation": "CREATE",
        "dryRun": False,
    }
