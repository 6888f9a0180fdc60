"""What is wrong with an object by itself, as somebody wrote it: for `isthmus validate` and for who admits objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.api import KINDS, LOOKED_AT, kind_of
from isthmus.api.core import metadata_problems
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.resource import Object, Ref
from isthmus.model import authorization_findings
from isthmus.model.codes import code_of_problem
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.from_gateway_api.http_filters import incompatible

GROUPS = {*(kind.group for kind in KINDS if kind.is_config), "security.istio.io"}
"""API groups of which an unknown kind is a mistake, or one that has no effect here."""
_OF_KUBERNETES = {"NetworkPolicy", "IPAddress", "ServiceCIDR"}
"""Kinds that stand in one of these groups, and are nothing to a mesh."""
_OF_CASES = {"Case", "Cluster", "Expect"}
"""Kinds of documents that say something of manifests, and are none."""


def alone(value: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with an object, whatever else is there. Of any shape: nobody has checked it before."""
    api_version, name, ref = str(value.get("apiVersion", "")), str(value.get("kind", "")), ref_of(value)
    if not api_version:
        if name and _meta(value) and name not in _OF_CASES:
            yield of_schema(ref, "$.apiVersion", f"is missing (hint: {_version_meant(value)})")
        return
    try:
        yield from _of_object(ref, decode(kind_of(api_version, name), value))
    except UnknownKind as error:
        if api_version.rpartition("/")[0] in GROUPS and name not in _OF_KUBERNETES:
            message = f"{error}: it has no effect"
            yield Finding(
                ref=ref, path="$.kind", message=message, severity=Severity.WARNING, code=Code.SCHEMA
            )
    except InvalidConfig as error:
        for path, message in error.problems:
            yield of_schema(ref, path, message)


def ref_of(value: object) -> Ref:
    """What a document says it is called."""
    tree = value if isinstance(value, Mapping) else {}
    kind, meta = str(tree.get("kind", "")), _meta(tree)
    namespace, name = str(meta.get("namespace") or "default"), str(meta.get("name") or "")
    try:
        known = kind_of(str(tree.get("apiVersion", "")), kind)
    except UnknownKind:
        return Ref(kind, namespace, name)
    return Ref(known.ref_kind, namespace if known.namespaced else "", name)


def of_schema(ref: Ref, path: str, message: str) -> Finding:
    """An object that is not as its kind has it."""
    return Finding(ref=ref, path=path, message=message, code=code_of_problem(path, message))


def _of_object(ref: Ref, found: Object) -> Iterator[Finding]:
    """What is wrong with an object that is as its kind has it."""
    for path, message in metadata_problems.problems(found):
        yield of_schema(ref, path, message)
    if isinstance(found, HTTPRoute):
        for doubt in incompatible(found):
            yield Finding(ref=ref, path=doubt.path, message=doubt.message, code=doubt.code)
    if isinstance(found, AuthorizationPolicy):
        yield from authorization_findings.by_itself(found)


def _meta(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = value.get("metadata")
    return found if isinstance(found, dict) else {}


def _version_meant(value: Mapping[str, Any]) -> str:
    """What helps where an object does not say the version of its kind."""
    for name in value:
        if name.lower() == "apiversion":
            return f"apiVersion, in place of {name}"
    named = [kind.api_version for kind in (*KINDS, *LOOKED_AT) if kind.name == value["kind"]]
    return " or ".join(f"apiVersion: {each}" for each in named) or "apiVersion: GROUP/VERSION"
