"""What an API server asks a webhook, and what it is answered. Source: Kubernetes API, admission.k8s.io/v1."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from isthmus.kit.unreadable import UNREADABLE

Json = dict[str, Any]

API_VERSION, KIND = "admission.k8s.io/v1", "AdmissionReview"
_WARNING_CHARACTERS = 256  # API servers cut what is longer
_MOST_WARNINGS = 16  # all warnings of an answer together are cut at 4,096


class InvalidReview(ValueError):
    """A body that is no AdmissionReview of the version that is spoken here; the message says what was expected."""


class TypeName(msgspec.Struct, frozen=True):
    """A resource in the words of the API."""

    group: str = ""
    version: str = ""
    resource: str = ""


class Asked(msgspec.Struct, frozen=True, rename="camel"):
    """What is about to be done to an object, which nobody has looked at yet."""

    uid: str
    operation: str = ""
    namespace: str = ""
    name: str = ""
    sub_resource: str = ""
    resource: TypeName = TypeName()
    object: Json | None = None
    old_object: Json | None = None


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: msgspec.Raw = msgspec.Raw(b"null")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it may be done. `causes` are the parts that are wrong, by path."""

    allowed: bool = True
    why: str = ""
    causes: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[Json, ...] = ()


def read_review(body: bytes) -> Asked:
    """What `body` asks. Raises `InvalidReview`."""
    try:
        review = msgspec.json.decode(body, type=_Review)
    except UNREADABLE as error:
        raise InvalidReview(f"the body is no {KIND}: {error} (hint: POST one, as JSON)") from error
    if review.kind != KIND or review.api_version != API_VERSION:
        said = " ".join(filter(None, (review.api_version, review.kind))) or "an object without a kind"
        hint = "admissionReviewVersions: [v1] in the webhook's configuration"
        raise InvalidReview(f"{said} is not answered here: {API_VERSION} {KIND} is (hint: {hint})")
    try:
        asked = msgspec.json.decode(review.request, type=Asked)
    except UNREADABLE as error:
        raise InvalidReview(f"the {KIND} asks nothing that can be understood: {error}") from error
    if not asked.uid:
        raise InvalidReview(f"the {KIND} has no request.uid, by which its answer is known")
    return asked


def written(answer: Answer, asked: Asked) -> bytes:
    """The AdmissionReview that answers `asked`."""
    response: Json = {"uid": asked.uid, "allowed": answer.allowed}
    if answer.patch and answer.allowed:
        response["patchType"] = "JSONPatch"
        response["patch"] = b64encode(msgspec.json.encode(answer.patch)).decode()
    if answer.warnings:
        response["warnings"] = _cut(answer.warnings)
    if not answer.allowed:
        response["status"] = _refusal(answer, asked)
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _refusal(answer: Answer, asked: Asked) -> Json:
    details: Json = {"name": asked.name, "group": asked.resource.group, "kind": asked.resource.resource}
    details["causes"] = [
        {"reason": "FieldValueInvalid", "field": path, "message": message} for path, message in answer.causes
    ]
    return {
        "status": "Failure",
        "code": 400,
        "reason": "BadRequest",
        "message": answer.why,
        "details": details,
    }


def _cut(warnings: tuple[str, ...]) -> list[str]:
    """The warnings, none longer than API servers hand on, and no more than that."""
    shown = [
        each if len(each) <= _WARNING_CHARACTERS else f"{each[: _WARNING_CHARACTERS - 1]}…"
        for each in warnings[:_MOST_WARNINGS]
    ]
    left = len(warnings) - len(shown)
    return [*shown, f"and {left} more (hint: isthmus validate)"] if left else shown
