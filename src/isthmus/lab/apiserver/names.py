"""What objects, labels and ports may be called, and the words for those that may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.lab.apiserver.causes import Cause, invalid, required
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_MOST_LABEL, _MOST_SUBDOMAIN = 63, 253

_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start"
    " and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    f" '{_LABEL}')"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
    " character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for"
    f" validation is '{_LABEL_1035}')"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    f" '{_SUBDOMAIN}')"
)
_QUALIFIED_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    f" '{_QUALIFIED}')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used"
    f" for validation is '{_VALUE}')"
)
_LABELS_1035 = frozenset({"Service"})
_LABELS_1123 = frozenset({"Namespace"})
_RBAC = "rbac.authorization.k8s.io"


def label_fault(name: str) -> str:
    """Why `name` is no RFC 1123 label; empty if it is one."""
    return _fault(name, _LABEL, _MOST_LABEL, _LABEL_WORDS)


def subdomain_fault(name: str) -> str:
    """Why `name` is no RFC 1123 subdomain; empty if it is one."""
    return _fault(name, _SUBDOMAIN, _MOST_SUBDOMAIN, _SUBDOMAIN_WORDS)


def name_fault(each: ResourceType, name: str) -> str:
    """Why no object of the type may be called `name`; empty if one may."""
    if each.group == _RBAC:
        return _path_segment_fault(name)
    if each.kind in _LABELS_1035 and not each.group:
        return _fault(name, _LABEL_1035, _MOST_LABEL, _LABEL_1035_WORDS)
    if each.kind in _LABELS_1123 and not each.group:
        return label_fault(name)
    return subdomain_fault(name)


def metadata_broken(each: ResourceType, meta: Json) -> Iterator[Cause]:
    """What is wrong with an object's name, labels and annotations."""
    name = meta.get("name")
    if not name and not meta.get("generateName"):
        yield required("metadata.name", "name or generateName is required")
    elif name and (fault := name_fault(each, name)):
        yield invalid("metadata.name", name, fault)
    yield from labels_broken(meta.get("labels"), "metadata.labels")
    for key in meta.get("annotations") or {}:
        if fault := qualified_fault(key.lower()):
            yield invalid("metadata.annotations", key, fault)


def labels_broken(labels: object, path: str) -> Iterator[Cause]:
    """What is wrong with the labels' keys and values."""
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if fault := qualified_fault(key):
            yield invalid(path, key, fault)
        if isinstance(value, str) and (fault := _fault(value, _VALUE, _MOST_LABEL, _VALUE_WORDS)):
            yield invalid(path, value, fault)


def qualified_fault(key: str) -> str:
    """Why `key` is no name with an optional prefix (`app`, `istio.io/rev`); empty if it is one."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix or (slash and not prefix):
        return "a qualified name " + _QUALIFIED_WORDS.removeprefix("name part ") + " with an optional prefix"
    if prefix and (fault := subdomain_fault(prefix)):
        return f"prefix part {fault}"
    return _fault(name, _QUALIFIED, _MOST_LABEL, _QUALIFIED_WORDS)


def _path_segment_fault(name: str) -> str:
    if name in {".", ".."}:
        return f"may not be '{name}'"
    bad = next((each for each in "/%" if each in name), None)
    return f"may not contain '{bad}'" if bad else ""


def _fault(name: str, pattern: str, most: int, words: str) -> str:
    if len(name) > most:
        return f"must be no more than {most} characters"
    return "" if re.fullmatch(pattern, name) else words
