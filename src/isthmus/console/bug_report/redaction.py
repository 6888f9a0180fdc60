"""What is secret is taken out of what is given away: of trees by the names of fields, of text by its form.

Rather too much than too little: what has the name of a secret goes, whatever it is. Names of Secrets and of files, and
certificates, which are public, stay.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import msgspec
import yaml

from isthmus.kit.unreadable import UNREADABLE

GONE = "<redacted>"
_WORDS = (
    r"pass(?:word|wd|phrase)|secret|token|api[-_]?key|private[-_]?key|access[-_]?key|client[-_]?key|key[-_]?data"
    r"|credential|cookie|session[-_]?ticket|signing[-_]?key|connection[-_]?string|encryption[-_]?key"
)
_ENDS = r"(?:^|[\W_])(?:pwd|pass|dsn|auth|authorization|bearer|pin|otp)$"
_SENSITIVE = re.compile(rf"(?i:{_WORDS}|{_ENDS})", re.ASCII)
_PLAIN = re.compile(
    r"(?i:name|names|namespace|ref|refs|path|paths|file|files|mode|policy|type|kind|ttl|expir\w*|seconds|provider"
    r"|issuer|audiences?|review|count|rotation|url|uri|host|port|version|total|enabled|location)$"
)
"""Ends of names that only speak of secrets: `secretName`, `token_path`, `credentialName`."""
_PAIR = re.compile(
    rf"""(?P<name>["']?[\w.\-]*(?i:{_WORDS}|pwd|pass|dsn|auth|bearer|pin|otp)[\w.\-]*\\?["']?[ \t]*[:=][ \t]*)"""
    r"""(?P<value>\\?"(?:[^"\\]|\\.)*\\?"|'[^']*'|[^\s,;&}\])]+)""",
    re.ASCII,
)
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        GONE,
    ),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?", re.ASCII), GONE),
    (re.compile(r"(?i)\b(bearer|basic|digest|negotiate)(\s+)[\w.~+/=:-]{4,}", re.ASCII), rf"\1\2{GONE}"),
    (re.compile(r"(://)[^/\s\"'@]*:[^/\s\"'@]*@"), rf"\1{GONE}@"),
    (
        re.compile(
            r"(--?[\w-]*(?i:password|passwd|token|secret|api-?key|private-key)[\w-]*)(\s+)[^\s-][^\s]*"
        ),
        rf"\1\2{GONE}",
    ),
    (
        re.compile(
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bxox[abprs]-[\w-]{10,}|\b[sr]k_live_\w{10,}"
        ),
        GONE,
    ),
)
_BLOCK = re.compile(
    r"^(?P<head>(?:\d{4}-\S+Z )?(?P<indent>[ \t]*)(?:-[ ]+)*(?P<name>[\w.\-\"']+)[ \t]*:[ \t]*)"
    r"[|>][0-9+-]*[ \t]*(?:\#.*)?"
    r"(?P<body>(?:\n(?:\d{4}-\S+Z )?(?:(?P=indent)[ \t]+\S.*|[ \t]*(?=\n)))+)",
    re.MULTILINE | re.ASCII,
)
"""A block scalar of YAML, within a log too whose lines begin with the time."""
_BASE64 = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_\-\\n]*")
_SAID_BY = ("name", "key", "header", "header_name", "headerName", "alias")
_VALUES = (
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
)
_PUBLIC = frozenset({"true", "false", "null", "none", "", "~"})


def redact_text(text: str) -> str:
    """The text of a log, a page, a message, without what looks like a secret."""
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    text = _BLOCK.sub(_block, text)
    text = _BASE64.sub(_without_keys, text)
    return _PAIR.sub(_pair, text)


def redact(value: Any) -> Any:
    """A tree without its secrets: data of Secrets, values of fields and variables that are called so."""
    match value:
        case dict():
            return _mapping(value)
        case list() | tuple():
            return _sequence(list(value))
        case str():
            return _string(value)
        case bytes():
            return GONE
    return value


def is_sensitive(name: str) -> bool:
    """Whether what has this name is a secret."""
    return bool(_SENSITIVE.search(name)) and not _PLAIN.search(name)


def _mapping(value: dict[Any, Any]) -> dict[Any, Any]:
    if value.get("kind") == "Secret":
        value = {key: each for key, each in value.items() if key not in {"data", "stringData"}}
    named = any(isinstance(value.get(key), str) and is_sensitive(value[key]) for key in _SAID_BY)
    return {
        _key(key): _all_gone(each)
        if (isinstance(key, str) and is_sensitive(key)) or (named and key in _VALUES)
        else redact(each)
        for key, each in value.items()
    }


def _key(key: Any) -> Any:
    return redact_text(key) if isinstance(key, str) else key


def _all_gone(value: Any) -> Any:
    match value:
        case dict():
            return {key: _all_gone(each) for key, each in value.items()}
        case list() | tuple():
            return [_all_gone(each) for each in value]
        case None | bool():
            return value
    return GONE


def _sequence(values: list[Any]) -> list[Any]:
    """Its parts; what follows a flag that is called so, in a command, is its value."""
    made = []
    follows = False
    for each in values:
        made.append(GONE if follows and isinstance(each, str) else redact(each))
        follows = (
            isinstance(each, str)
            and each.startswith("-")
            and "=" not in each
            and is_sensitive(each.strip("-"))
        )
    return made


def _string(text: str) -> str:
    return _embedded(text) or redact_text(text)


def _embedded(text: str) -> str:
    """A document within a string, such as the annotation of `kubectl apply` or a file of a ConfigMap; else nothing."""
    start = text.lstrip()[:1]
    if start in {"{", "["}:
        return _document(text, msgspec.json.decode, lambda tree: msgspec.json.encode(tree).decode())
    if "\n" in text and ":" in text:
        return _document(text, yaml.safe_load, lambda tree: str(yaml.safe_dump(tree, sort_keys=False)))
    return ""


def _document(text: str, read: Callable[[str], Any], write: Callable[[Any], str]) -> str:
    try:
        tree = read(text)
    except (*UNREADABLE, yaml.YAMLError, ValueError):
        return ""
    return redact_text(write(redact(tree))) if isinstance(tree, dict | list) else ""


def _without_keys(found: re.Match[str]) -> str:
    text = re.sub(r"\\n|[^A-Za-z0-9+/_-]", "", found.group())
    try:
        said = base64.b64decode(text[: len(text) // 4 * 4].replace("-", "+").replace("_", "/"))
    except ValueError:
        return GONE
    return GONE if b"PRIVATE KEY" in said or b"CERTIFICATE" not in said else found.group()


def _block(found: re.Match[str]) -> str:
    return f"{found['head']}{GONE}" if is_sensitive(found["name"].strip("\"'")) else found.group()


def _pair(found: re.Match[str]) -> str:
    name = found["name"].strip(" \t:=\"'\\")
    if not is_sensitive(name) or found["value"].strip("\\\"'").lower() in _PUBLIC or GONE in found["value"]:
        return found.group()
    quote = (
        found["value"][0] if found["value"][0] in "\"'" else '\\"' if found["value"].startswith('\\"') else ""
    )
    return f"{found['name']}{quote}{GONE}{quote}"
