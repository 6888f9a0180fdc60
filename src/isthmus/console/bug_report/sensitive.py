"""Which names are those of secrets. Rather too many than too few; names of Secrets and of files are none."""

from __future__ import annotations

import re

GONE = "<redacted>"
"""What stands in the place of a secret."""
_WORDS = (
    r"pass(?:word|wd|phrase)|secret|token|api[-_]?key|private[-_]?key|access[-_]?key|client[-_]?key|key[-_]?data"
    r"|credential|cookie|session[-_]?ticket|signing[-_]?key|connection[-_]?string|encryption[-_]?key"
)
_ENDS = r"pwd|pw|pass|dsn|auth|authorization|bearer|pin|otp"
_SENSITIVE = re.compile(rf"(?i:{_WORDS}|(?:^|[\W_])(?:{_ENDS})$)", re.ASCII)
_PLAIN = re.compile(
    r"(?i:name|names|namespace|ref|refs|path|paths|file|files|mode|policy|type|kind|ttl|expir\w*|seconds|provider"
    r"|issuer|audiences?|review|count|rotation|url|uri|host|port|version|total|enabled|location"
    r"|sds_secret_configs?|token_?buckets?|max_?tokens|tokens_?per_?fill)$"
)
"""Ends of names that only speak of secrets, or count tokens: `secretName`, `token_path`, `max_tokens`."""
_LONGEST_END = 64
_PUBLIC = frozenset({"true", "false", "null", "none", "", "~"})


def is_sensitive(name: str) -> bool:
    """Whether what has this name is a secret."""
    return bool(_SENSITIVE.search(name)) and not _PLAIN.search(name[-_LONGEST_END:])


def is_public(value: str) -> bool:
    """Whether a value says nothing, whatever its name is; also where it is gone already."""
    said = value.strip().strip("\\\"'")
    return said.lower() in _PUBLIC or said == GONE
