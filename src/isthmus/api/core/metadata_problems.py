"""What API servers refuse in an object's metadata: for objects in files, which none of them has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.api.core.deployment import DaemonSet, Deployment, StatefulSet
from isthmus.api.core.label_problems import is_domain_label, is_subdomain, label_name, labels
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.service import Service
from isthmus.api.errors import Problem
from isthmus.api.resource import Meta, Object

_WORD_HINT = "(hint: up to 63 lower case letters, digits and -)"
_NAME_HINT = "(hint: lower case letters, digits, - and dots, a letter or a digit first and last)"


def problems(found: Object) -> Iterator[Problem]:
    """Everything wrong with the metadata of an object, and with that of the pods that are made of it."""
    yield from _names(found)
    yield from _marks("$.metadata", found.metadata)
    if isinstance(found, Deployment | StatefulSet | DaemonSet):
        yield from _marks("$.spec.template.metadata", found.spec.template.metadata)


def _names(found: Object) -> Iterator[Problem]:
    name, namespace = found.metadata.name, found.metadata.namespace
    is_word = isinstance(found, Namespace | Service)
    if name and not (is_domain_label(name) if is_word else is_subdomain(name)):
        yield "$.metadata.name", f"{name!r} is no name {_WORD_HINT if is_word else _NAME_HINT}"
    if namespace and not is_domain_label(namespace):
        yield "$.metadata.namespace", f"{namespace!r} is no name of a namespace {_WORD_HINT}"


def _marks(at: str, meta: Meta) -> Iterator[Problem]:
    yield from labels(f"{at}.labels", meta.labels)
    yield from _annotations(f"{at}.annotations", meta.annotations)


def _annotations(at: str, given: Mapping[str, str]) -> Iterator[Problem]:
    for name in given:
        domain, slash, rest = name.rpartition("/")
        yield from label_name(at, f"{domain.lower()}{slash}{rest}")
