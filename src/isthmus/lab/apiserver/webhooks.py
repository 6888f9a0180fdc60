"""Admission webhooks: which ones an attempt concerns, and what they say to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import jsonpatch

from isthmus.lab.apiserver.attempt import Attempt
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.lookup import Lookup
from isthmus.lab.apiserver.match_conditions import conditions_hold
from isthmus.lab.apiserver.selectors import labels_match
from isthmus.lab.apiserver.shaping import in_version
from isthmus.lab.apiserver.types import ResourceType, Types

Json = dict[str, Any]

_GROUP = "admissionregistration.k8s.io"
_MUTATING = builtin("mutatingwebhookconfigurations", _GROUP)
_VALIDATING = builtin("validatingwebhookconfigurations", _GROUP)


class WebhookFailed(Exception):
    """A webhook that did not answer as it should: unreachable, late, not an AdmissionReview."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook said."""

    allowed: bool
    status: Json
    patch: list[Json]
    warnings: tuple[str, ...] = ()


class _Concern(NamedTuple):
    """A webhook that is to be asked, and the version of the type that its rules name."""

    webhook: Json
    each: ResourceType

    def told(self, attempt: Attempt) -> Attempt:
        """The attempt as the webhook is told it."""
        if self.each == attempt.each:
            return attempt
        new, old = (one and in_version(one, self.each) for one in (attempt.new, attempt.old))
        return replace(attempt, new=new, old=old, told_as=self.each)


class Caller(Protocol):
    """Asks webhooks."""

    async def ask(self, webhook: Json, attempt: Attempt) -> Answer:
        """The webhook's answer. Raises `WebhookFailed`."""
        ...


class Webhooks:
    """The webhooks of one cluster, as they are configured at the time of each attempt."""

    def __init__(self, objects: Lookup, caller: Caller, types: Types) -> None:
        self._objects, self._caller, self._types = objects, caller, types

    async def mutate(self, attempt: Attempt) -> Json | None:
        """The object after all mutating webhooks, in the order of names; none may see another's future.

        Those that ask for it (reinvocationPolicy) are asked once more where another changed something after them.
        """
        asked: list[_Concern] = []
        again: dict[str, _Concern] = {}
        for concern in self._concerned(_MUTATING, attempt):
            changed = await self._mutated(concern, attempt)
            if changed is not attempt.new:
                attempt = replace(attempt, new=changed)
                again |= {each.webhook["name"]: each for each in asked}
            asked += [concern] if concern.webhook.get("reinvocationPolicy") == "IfNeeded" else []
        for concern in again.values():
            attempt = replace(attempt, new=await self._mutated(concern, attempt))
        return attempt.new

    async def _mutated(self, concern: _Concern, attempt: Attempt) -> Json | None:
        told = concern.told(attempt)
        answer = await self._ask(concern.webhook, told)
        if answer is None or not answer.patch or told.new is None:
            return attempt.new
        return in_version(_patched(concern.webhook, told.new, answer.patch), attempt.each)

    async def review(self, attempt: Attempt) -> None:
        """Ask all validating webhooks. Raises `ApiError` where one refuses."""
        for concern in self._concerned(_VALIDATING, attempt):
            await self._ask(concern.webhook, concern.told(attempt))

    async def _ask(self, webhook: Json, attempt: Attempt) -> Answer | None:
        """The answer that allows it, or `None` where nothing is asked or a failure is to be ignored."""
        if not conditions_hold(webhook, attempt):
            return None
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

    def _concerned(self, configurations: Any, attempt: Attempt) -> Iterator[_Concern]:
        # A webhook must not be able to lock its own configuration.
        if attempt.each.group == _GROUP:
            return
        found = self._objects.list(configurations)
        for configuration in sorted(found, key=lambda each: str(each["metadata"]["name"])):
            for webhook in configuration.get("webhooks") or ():
                told_as = self._told_as(webhook, attempt)
                if told_as and self._namespace_fits(webhook, attempt) and _object_fits(webhook, attempt):
                    yield _Concern(webhook, told_as)

    def _told_as(self, webhook: Json, attempt: Attempt) -> ResourceType | None:
        """In which version of the type it is to be asked: that of the request before others, unless it is `Exact`."""
        each, rules = attempt.each, webhook.get("rules") or ()
        others = self._types.versions(each.group, each.plural)
        tried = [each, *others] if webhook.get("matchPolicy", "Equivalent") == "Equivalent" else [each]
        return next(
            (one for one in tried if any(_rule_fits(rule, one, attempt) for rule in rules)),
            None,
        )

    def _namespace_fits(self, webhook: Json, attempt: Attempt) -> bool:
        wanted = webhook.get("namespaceSelector") or {}
        if attempt.each.kind == "Namespace" and not attempt.each.group:
            return labels_match(wanted, _labels(attempt.labelled))
        if not attempt.place[0]:
            return True
        namespace = self._objects.get(builtin("namespaces"), "", attempt.place[0])
        return labels_match(wanted, _labels(namespace or {}))


def _rule_fits(rule: Json, each: ResourceType, attempt: Attempt) -> bool:
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
