"""The paths at which webhooks are asked, as Istio's."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

INJECT, VALIDATE = "/inject", "/validate"
_SLASH = "--slash--"
"""Istio's word for a slash within a name: the path of a Service's webhook takes no other escape."""
_KEYS = {"cluster": "cluster", "net": "network"}


class UnknownPath(LookupError):
    """A path at which nothing is answered; the message says at which something is."""


class Where(NamedTuple):
    """In which cluster and network a pod is, where the path of the question says so."""

    cluster: str = ""
    network: str = ""


def where_of(path: str) -> Where:
    """What `/inject/cluster/NAME/net/NETWORK` says; either may be missing. Raises `UnknownPath`."""
    parts = [unquote(part).replace(_SLASH, "/") for part in path.removeprefix(INJECT).split("/") if part]
    said = dict(zip(parts[::2], parts[1::2], strict=False))
    if len(said) * 2 != len(parts) or not said.keys() <= _KEYS.keys():
        raise UnknownPath(f"{path}: pods are asked about at {INJECT} and {INJECT}/cluster/NAME/net/NETWORK")
    return Where(**{_KEYS[key]: value for key, value in said.items()})
