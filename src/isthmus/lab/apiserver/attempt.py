"""What somebody is about to do with an object, and the question that webhooks are asked about it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is about to be done: an operation and the object before and after it."""

    operation: str  # CREATE, UPDATE, DELETE or CONNECT
    each: ResourceType
    user: User
    new: Json | None  # None for DELETE
    old: Json | None = None  # None for CREATE
    dry_run: bool = False
    subresource: str = ""
    place: tuple[str, str] = ("", "")  # namespace and name
    options: Json | None = None  # of the request, as its kind has them
    warn: Callable[[str], object] = bool  # told what webhooks warn of
    told_as: ResourceType | None = None  # another version of the type, in which a webhook is asked

    @property
    def labelled(self) -> Json:
        """The object that it is about, after the operation if there is an after."""
        return self.new if self.new is not None else self.old or {}


def question(attempt: Attempt) -> Json:
    """The request of an AdmissionReview."""
    each, asked = attempt.told_as or attempt.each, attempt.each
    request: Json = {
        "uid": str(uuid.uuid4()),
        "kind": _of_type(each, "kind", each.kind),
        "resource": _of_type(each, "resource", each.plural),
        "requestKind": _of_type(asked, "kind", asked.kind),
        "requestResource": _of_type(asked, "resource", asked.plural),
        "name": attempt.place[1],
        "namespace": attempt.place[0],
        "operation": attempt.operation,
        "userInfo": attempt.user.as_json(),
        "object": attempt.new,
        "oldObject": attempt.old,
        "dryRun": attempt.dry_run,
        "options": attempt.options,
    }
    if attempt.subresource:
        request |= {"subResource": attempt.subresource, "requestSubResource": attempt.subresource}
    return request


def _of_type(each: ResourceType, word: str, name: str) -> Json:
    return {"group": each.group, "version": each.version, word: name}
