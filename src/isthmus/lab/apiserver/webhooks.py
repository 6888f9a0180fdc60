"""Admission webhooks: which ones an attempt concerns, and what they say to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    options: Json | None = None  # of the request, as its kind has them
    warn: Callable[[str], object] = bool  # told what webhooks warn of

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
    warnings: tuple[str, ...] = ()


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
        """The object after all mutating webhooks, in the order of names; none may see another's future.

        Those that ask for it (reinvocationPolicy) are asked once more where another changed something after them.
        """
        asked: list[Json] = []
        again: dict[str, Json] = {}
        for webhook in self._concerned(_MUTATING, attempt):
            changed = await self._mutated(webhook, attempt)
            if changed is not attempt.new:
                attempt = replace(attempt, new=changed)
                again |= {each["name"]: each for each in asked}
            asked += [webhook] if webhook.get("reinvocationPolicy") == "IfNeeded" else []
        for webhook in again.values():
            attempt = replace(attempt, new=await self._mutated(webhook, attempt))
        return attempt.new

    async def _mutated(self, webhook: Json, attempt: Attempt) -> Json | None:
        answer = await self._ask(webhook, attempt)
        if answer is None or not answer.patch or attempt.new is None:
            return attempt.new
        return _patched(webhook, attempt.new, answer.patch)

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
            failed = f'failed calling webhook "{webhook["name"]}": {error}'
            raise ApiError(500, "InternalError", f"Internal error occurred: {failed}") from error
        for each in answer.warnings:
            attempt.warn(each)
        if answer.allowed:
            return answer
        status = answer.status
        words = status.get("message") or status.get("reason")
        why = f": {words}" if words else " without explanation"
        message = f'admission webhook "{webhook["name"]}" denied the request{why}'
        raise ApiError(max(status.get("code") or 0, 400), status.get("reason") or "", message)

    def _concerned(self, configurations: Any, attempt: Attempt) -> Iterator[Json]:
        # A webhook must not be able to lock its own configuration.
        if attempt.each.group == _GROUP:
            return
        found = self._objects.list(configurations)
        for configuration in sorted(found, key=lambda each: str(each["metadata"]["name"])):
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
