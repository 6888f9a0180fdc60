"""What is secret is taken out of what is given away: of trees by the names of fields, of their texts as of others.

Rather too much than too little: what has the name of a secret goes, whatever it is. Names of Secrets and of files, and
certificates, which are public, stay.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import msgspec

from isthmus.api.not_yaml import NotYaml
from isthmus.api.yaml import documents
from isthmus.console.bug_report.redacted_text import redact_text
from isthmus.console.bug_report.sensitive import GONE, is_sensitive
from isthmus.console.shown import show_yaml
from isthmus.kit.unreadable import UNREADABLE

_SAID_BY = ("name", "key", "header", "header_name", "headerName", "alias")
_VALUES = frozenset(
    {
        "value",
        "values",
        "exact",
        "prefix",
        "suffix",
        "regex",
        "string_value",
        "stringValue",
        "raw_value",
        "contains",
    }
)
_OF_KEYS = frozenset({"d", "dp", "dq", "k", "oth", "p", "q", "qi"})
"""Members of a JSON Web Key that are its secret. Source: RFC 7518, 6."""


_DEEPEST = 100
"""So many levels are looked through, and what is below is gone; an Envoy's configuration has about forty."""
_A_DOCUMENT = 20
"""So many levels a document within a string counts for: each is read as often as others are around it."""
_ALIAS = re.compile(r"(?:^|[\s\[{,:\-])\*[\w\-]")
"""What may stand for very much in YAML."""


def redact(value: Any) -> Any:
    """A tree without its secrets: data of Secrets, values of fields and variables that are called so."""
    return _redacted(value, _DEEPEST)


def _redacted(value: Any, levels: int) -> Any:
    match value:
        case str():
            return _embedded(value, levels - _A_DOCUMENT) or redact_text(value)
        case dict() | list() | tuple() if levels <= 0:
            return GONE
        case dict():
            return _mapping(value, levels - 1)
        case list() | tuple():
            return _sequence(list(value), levels - 1)
        case bytes():
            return GONE
    return value


def _mapping(value: dict[Any, Any], levels: int) -> dict[Any, Any]:
    kind = value.get("kind")
    if kind == "Secret":
        value = {key: each for key, each in value.items() if key not in {"data", "stringData"}}
    if kind == "SecretList":  # whose items need not say what they are
        value = {**value, "items": GONE}
    named = any(isinstance(value.get(key), str) and is_sensitive(value[key]) for key in _SAID_BY)
    gone = (_VALUES if named else frozenset()) | (_OF_KEYS if "kty" in value else frozenset())
    return {
        _key(key): _all_gone(each, levels)
        if isinstance(key, str) and (is_sensitive(key) or key in gone)
        else _redacted(each, levels)
        for key, each in value.items()
    }


def _key(key: Any) -> Any:
    return redact_text(key) if isinstance(key, str) else key


def _all_gone(value: Any, levels: int) -> Any:
    """The form of a value, without what it says."""
    match value:
        case dict() if levels > 0:
            return {_key(key): _all_gone(each, levels - 1) for key, each in value.items()}
        case list() | tuple() if levels > 0:
            return [_all_gone(each, levels - 1) for each in value]
        case None | bool():
            return value
    return GONE


def _sequence(values: list[Any], levels: int) -> list[Any]:
    """Its parts; what follows a flag that is called so, in a command, is its value."""
    made = []
    follows = False
    for each in values:
        flag, sign, _ = (
            each.partition("=") if isinstance(each, str) and each.startswith("-") else ("", "", "")
        )
        is_secret = is_sensitive(flag.strip("-"))
        if is_secret and sign:
            made.append(f"{flag}={GONE}")
        else:
            made.append(GONE if follows and isinstance(each, str) else _redacted(each, levels))
        follows = is_secret and not sign
    return made


def _embedded(text: str, levels: int) -> str:
    """A document within a string, such as the annotation of `kubectl apply` or a file of a ConfigMap; else nothing."""
    if levels <= 0:
        return ""
    is_flow = text.lstrip()[:1] in {"{", "["}
    if is_flow:
        with suppress(*UNREADABLE):
            return redact_text(msgspec.json.encode(_redacted(msgspec.json.decode(text), levels)).decode())
    if (is_flow or "\n" in text) and ":" in text and not _ALIAS.search(text):
        with suppress(NotYaml, *UNREADABLE):
            trees = [each.value for each in documents(text)]
            if all(isinstance(each, dict | list) for each in trees):
                return redact_text("---\n".join(f"{show_yaml(_redacted(each, levels))}\n" for each in trees))
    return ""
