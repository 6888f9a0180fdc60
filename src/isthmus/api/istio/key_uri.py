"""From where keys of issuers are fetched."""

from __future__ import annotations

from urllib.parse import urlsplit

SCHEMES = ("https", "http")


def wrong_uri(uri: str) -> str:
    """Why keys cannot be fetched from `uri`; empty where they can."""
    try:
        parts = urlsplit(uri)
        port = parts.port  # where it is no number
    except ValueError as error:
        return f"{uri!r} is no URL: {str(error).lower()}"
    if parts.scheme not in SCHEMES:
        return f"{uri!r} is not fetched (hint: https://HOST/PATH)"
    if not parts.hostname or port == 0 or not uri.isprintable() or " " in uri:
        return f"{uri!r} names no host (hint: https://HOST/PATH)"
    if parts.username is not None or parts.password is not None:
        return "has a user's name in it, which is not sent (hint: keys are public)"
    return ""
