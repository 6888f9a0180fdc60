"""Answers that say no, as Kubernetes words them: a `Status` with a reason a program can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.lab.apiserver.causes import Cause
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]


class ApiError(Exception):
    """A refusal: HTTP code, reason, words, and what is known of the object."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = details or {}

    def status(self) -> Json:
        """The answer's body."""
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        known = {"reason": self.reason, "details": self.details}
        return status | {key: value for key, value in known.items() if value}


def details(each: ResourceType, name: str, **more: object) -> Json:
    """Which object an answer is about."""
    known = {"name": name, "group": each.group}
    return {key: value for key, value in known.items() if value} | {"kind": each.plural, **more}


def not_found(each: ResourceType, name: str) -> ApiError:
    """There is no such object."""
    return ApiError(404, "NotFound", f'{each.resource} "{name}" not found', details(each, name))


def no_such_path() -> ApiError:
    """There is no such resource."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(each: ResourceType, name: str) -> ApiError:
    """The name is taken."""
    return ApiError(409, "AlreadyExists", f'{each.resource} "{name}" already exists', details(each, name))


def conflict(each: ResourceType, name: str, why: str) -> ApiError:
    """Somebody else was faster."""
    message = f'Operation cannot be fulfilled on {each.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, details(each, name))


def apply_conflict(message: str, causes: Sequence[Cause]) -> ApiError:
    """Fields of the applied configuration belong to others."""
    listed = [{"reason": each.reason, "message": each.message, "field": each.path} for each in causes]
    return ApiError(409, "Conflict", message, {"causes": listed})


def invalid(each: ResourceType, name: str, causes: Sequence[Cause]) -> ApiError:
    """The object breaks rules."""
    listed = [{"reason": c.reason, "message": c.message, "field": c.path} for c in causes]
    words = [f"{cause.path}: {cause.message}" for cause in causes]
    text = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    kind = f"{each.kind}.{each.group}" if each.group else each.kind
    about = details(each, name, causes=listed) | {"kind": each.kind}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', about)


def invalid_options(kind: str, cause: Cause) -> ApiError:
    """How a request is to be answered (`DeleteOptions`, `PatchOptions`) breaks a rule."""
    options = ResourceType("meta.k8s.io", "v1", kind, "", "")
    return invalid(options, "", [cause])


def unlike(each: ResourceType, version: str, kind: str, why: str) -> ApiError:
    """The body holds something that cannot be read as an object of the type."""
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {each.kind}: {why}')


def undeclared(each: ResourceType, place: str, path: str) -> ApiError:
    """An applied configuration has a field that nobody can own, since the type has none such."""
    what = f"{place}; {each.group}/{each.version}, Kind={each.kind}"
    words = f"failed to create typed patch object ({what}): .{path}: field not declared in schema"
    return ApiError(500, "", words)


def expired(message: str = "too old resource version") -> ApiError:
    """The history that is asked for is gone."""
    return ApiError(410, "Expired", message)


def bad_request(message: str) -> ApiError:
    """The request makes no sense."""
    return ApiError(400, "BadRequest", message)


def forbidden(each: ResourceType, name: str, why: str) -> ApiError:
    """It may not be done."""
    subject = f'{each.resource} "{name}"' if name else each.resource
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details(each, name))


def terminating(each: ResourceType, name: str, namespace: str) -> ApiError:
    """Nothing new comes into a namespace that is going."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = forbidden(each, name, why)
    message = f"namespace {namespace} is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
    error.details["causes"] = [cause]
    return error


def unauthorized() -> ApiError:
    """Nobody knows who asks."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """The resource does not do that."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def not_acceptable(supported: Sequence[str]) -> ApiError:
    """The answer cannot be given in a form that the client reads."""
    words = f"only the following media types are accepted: {', '.join(supported)}"
    return ApiError(406, "NotAcceptable", words)


def too_large(limit_bytes: int) -> ApiError:
    """The body is longer than what is read here."""
    return ApiError(413, "RequestEntityTooLarge", f"limit is {limit_bytes}")


def internal(why: str) -> ApiError:
    """This server met something that it should not have met."""
    return ApiError(500, "InternalError", f"Internal error occurred: {why}")


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    """The body is in a form that is not read here."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", message)
