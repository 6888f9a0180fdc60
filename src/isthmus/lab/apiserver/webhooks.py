"""Admission webhooks: which ones an attempt concerns, and what they say to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jsonpatch

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.lookup import Lookup
from isthmus.lab.apiserver.selectors import labels_match
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_MUTATING = builtin("mutatingwebhookconfigurations", _GROUP)
_VALIDATING = builtin("validatingwebhookconfigurations", _GROUP)


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

    @property
    def labelled(self) -> Json:
        """The object that it is about, after the operation if there is an after."""
        return self.new if self.new is not None else self.old or {}


class WebhookFailed(Exception):
    """A webhook that did not answer as it should: unreachable, late, not an AdmissionReview."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook said."""

    allowed: bool
    status: Json
    patch: list[Json]


class Caller(Protocol):
    """Asks webhooks."""

    async def ask(self, webhook: Json, attempt: Attempt) -> Answer:
        """The webhook's answer. Raises `WebhookFailed`."""
        ...


class Webhooks:
    """The webhooks of one cluster, as they are configured at the time of each attempt."""

    def __init__(self, objects: Lookup, caller: Caller) -> None:
        self._objects = objects
        self._caller = caller

    async def mutate(self, attempt: Attempt) -> Json | None:
        """The object after all mutating webhooks, in the order of names; none may see another's future."""
        for webhook in self._concerned(_MUTATING, attempt):
            answer = await self._ask(webhook, attempt)
            if answer is not None and answer.patch and attempt.new is not None:
                attempt = replace(attempt, new=_patched(webhook, attempt.new, answer.patch))
        return attempt.new

    async def review(self, attempt: Attempt) -> None:
        """Ask all validating webhooks. Raises `ApiError` where one refuses."""
        for webhook in self._concerned(_VALIDATING, attempt):
            await self._ask(webhook, attempt)

    async def _ask(self, webhook: Json, attempt: Attempt) -> Answer | None:
        """The answer that allows it, or `None` where a failure is to be ignored."""
        try:
            answer = await self._caller.ask(webhook, attempt)
        except WebhookFailed as error:
            if webhook.get("failurePolicy", "Fail") == "Ignore":
                return None
            words = f'failed calling webhook "{webhook["name"]}": {error}'
            raise ApiError(500, "InternalError", f"Internal error occurred: {words}") from error
        if answer.allowed:
            return answer
        status = answer.status
        words = status.get("message") or status.get("reason") or "no explanation was given"
        message = f'admission webhook "{webhook["name"]}" denied the request: {words}'
        code = status.get("code") or 403
        raise ApiError(code, status.get("reason") or ("Forbidden" if code == 403 else ""), message)

    def _concerned(self, configurations: Any, attempt: Attempt) -> Iterator[Json]:
        # A webhook must not be able to lock its own configuration.
        if attempt.each.group == _GROUP:
            return
        for configuration in self._objects.list(configurations):
            for webhook in configuration.get("webhooks") or ():
                if self._concerns(webhook, attempt):
                    yield webhook

    def _concerns(self, webhook: Json, attempt: Attempt) -> bool:
        if not any(_rule_fits(rule, attempt) for rule in webhook.get("rules") or ()):
            return False
        return self._namespace_fits(webhook, attempt) and _object_fits(webhook, attempt)

    def _namespace_fits(self, webhook: Json, attempt: Attempt) -> bool:
        wanted = webhook.get("namespaceSelector") or {}
        if attempt.each.kind == "Namespace" and not attempt.each.group:
            return labels_match(wanted, _labels(attempt.labelled))
        if not attempt.place[0]:
            return True
        namespace = self._objects.get(builtin("namespaces"), "", attempt.place[0])
        return labels_match(wanted, _labels(namespace or {}))


def _rule_fits(rule: Json, attempt: Attempt) -> bool:
    each = attempt.each
    scope = "Namespaced" if each.namespaced else "Cluster"
    return (
        _in(rule.get("operations"), attempt.operation)
        and _in(rule.get("apiGroups"), each.group)
        and _in(rule.get("apiVersions"), each.version)
        and rule.get("scope", "*") in {"*", scope}
        and any(_resource_fits(name, attempt) for name in rule.get("resources") or ())
    )


def _resource_fits(pattern: str, attempt: Attempt) -> bool:
    resource, _, subresource = pattern.partition("/")
    return resource in {"*", attempt.each.plural} and subresource in (
        {"*", attempt.subresource} if attempt.subresource else {"", "*"}
    )


def _object_fits(webhook: Json, attempt: Attempt) -> bool:
    """Either of the object before and after is enough, so that nothing slips out by losing a label."""
    wanted = webhook.get("objectSelector") or {}
    return any(labels_match(wanted, _labels(each)) for each in (attempt.new, attempt.old) if each is not None)


def _labels(obj: Json) -> Json:
    labels: Json = (obj.get("metadata") or {}).get("labels") or {}
    return labels


def _in(values: list[str] | None, wanted: str) -> bool:
    return any(each in {"*", wanted} for each in values or ())


def _patched(webhook: Json, obj: Json, patch: list[Json]) -> Json:
    try:
        result: Json = jsonpatch.apply_patch(obj, patch)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        words = f'admission webhook "{webhook["name"]}" answered with a patch that does not fit: {error}'
        raise ApiError(500, "InternalError", f"Internal error occurred: {words}") from error
    return result
