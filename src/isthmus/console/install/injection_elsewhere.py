"""What is wrong with settings by which a remote cluster asks an injector that runs elsewhere, by a URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from isthmus.api.errors import Problem
from isthmus.console.install.settings import Installation

_BEGIN = "-----BEGIN CERTIFICATE-----"
SHAPES = {
    "injectionURL": re.compile(r"https://[^\s\"'{}#?@/\\]+/?"),
    "injectionRoots": re.compile(rf"(?:.|\n)*{_BEGIN}(?:.|\n)*"),
}
"""What each value must look like at least, by its name."""
_SUCH = "hint: such as https://injector.example:15017"
_KEY = "PRIVATE KEY-----"
_PEM = "hint: in a settings file, below injectionRoots: |, certificates in PEM, one after the other"


def problems(found: Installation) -> Iterator[Problem]:
    """Everything that is wrong, by its path below `$`."""
    if found.injection_url and (why := _no_url(found.injection_url)):
        yield "$.injectionURL", f"cannot be {found.injection_url!r}: {why}"
    if not found.injection_roots:
        return
    if _KEY in found.injection_roots:
        yield "$.injectionRoots", f"holds a private key, which everybody could read ({_PEM})"
    from isthmus.kit import x509  # noqa: PLC0415 - what few need, and would cost everybody a tenth of his time

    try:
        x509.load_bundle(found.injection_roots.encode())
    except x509.InvalidPem as error:
        yield "$.injectionRoots", f"holds no roots: {error} ({_PEM})"


def _no_url(text: str) -> str:
    """Why API servers cannot ask there; empty where they can."""
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError as error:
        return f"{error} ({_SUCH})"
    if url.scheme != "https":
        return f"API servers ask by https alone ({_SUCH})"
    if not host:
        return f"it names no host ({_SUCH})"
    if url.path.strip("/") or url.query or url.fragment or "@" in url.netloc:
        return f"it is more than a host and a port: the path is made of cluster and network ({_SUCH})"
    return "" if SHAPES["injectionURL"].fullmatch(text) else f"it is no URL ({_SUCH})"
