"""Conditions in CEL under which webhooks are asked: all of them must hold.

Source: Kubernetes, "Dynamic Admission Control": matchConditions. Nobody can ask about rights here (`authorizer`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.kit.cel import compiled, evaluated
from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.attempt import Attempt, question
from isthmus.lab.apiserver.causes import Cause, duplicate, invalid, required

Json = dict[str, Any]
_NAMES = ("object", "oldObject", "request")
_MOST = 64


def conditions_broken(webhook: Json, path: str) -> Iterator[Cause]:
    """What is wrong with a webhook's conditions."""
    found = webhook.get("matchConditions") or ()
    if len(found) > _MOST:
        yield Cause(
            f"{path}.matchConditions",
            "FieldValueTooMany",
            f"Too many: {len(found)}: must have at most {_MOST} items",
        )
    names: list[str] = []
    for index, each in enumerate(found):
        place, name = f"{path}.matchConditions[{index}]", str(each.get("name") or "")
        if not name:
            yield required(f"{place}.name")
        if name in names:
            yield duplicate(f"{place}.name", name)
        names.append(name)
        expression = str(each.get("expression") or "")
        if not expression.strip():
            yield required(f"{place}.expression")
        elif isinstance(why := compiled(expression, _NAMES), str):
            yield invalid(f"{place}.expression", expression, why)


def conditions_hold(webhook: Json, attempt: Attempt) -> bool:
    """Whether the webhook is to be asked. Raises `ApiError` where nobody can say, unless failures are ignored."""
    conditions = webhook.get("matchConditions") or ()
    if not conditions:
        return True
    request = question(attempt)
    told = {"object": request.pop("object"), "oldObject": request.pop("oldObject"), "request": request}
    said = [(str(each["expression"]), evaluated(str(each["expression"]), told)) for each in conditions]
    if any(value is False for _, value in said):
        return False
    failed = [f"expression '{text}' resulted in error: {why}" for text, why in said if why is not True]
    if failed and webhook.get("failurePolicy", "Fail") == "Fail":
        raise errors.forbidden(attempt.each, attempt.place[1], "; ".join(failed))
    return not failed
