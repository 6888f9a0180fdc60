"""What an Envoy counts, as its admin pages say it: statistics by name, upstreams by endpoint.

Source: Envoy's admin interface, `/stats`, `/stats/prometheus` and `/clusters?format=json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import re2

from isthmus.console.envoy_parts import ENDPOINTS
from isthmus.console.envoy_view import address_of
from isthmus.console.programs import ADMIN_PORT
from isthmus.kube.pods import Question

_AGENT_PORT = 15020
_METRICS = "/stats/prometheus"


class WrongStats(ValueError):
    """What was asked for does not go together; the message says what does."""


class UpstreamStats(msgspec.Struct, frozen=True, kw_only=True):
    """What an Envoy counts of one endpoint of an upstream."""

    upstream: str
    endpoint: str
    connections: int
    """Those that are open."""
    opened: int
    """Those that were ever begun."""
    failed: int
    """Those that could not be made."""
    requests: int
    """Those that were ever begun."""
    under_way: int
    errors: int
    timeouts: int


def question(kind: str, form: str, wanted: str) -> Question:
    """Where what is wanted stands: `server` or `clusters`, in a form of `isthmus proxy stats`. Raises `WrongStats`.

    `wanted` is a regular expression of names.
    """
    if kind == "clusters":
        if form in {"prometheus", "merged"}:
            raise WrongStats(f"-o {form} has no --type clusters (hint: -o table, wide, json or yaml)")
        return Question(ADMIN_PORT, f"/{ENDPOINTS}")
    if form == "merged":
        if wanted:
            raise WrongStats("-o merged has no --filter (hint: -o prometheus --filter REGEX)")
        return Question(_AGENT_PORT, _METRICS)
    query = {"filter": wanted} if wanted else {}
    match form:
        case "prometheus":
            return Question(ADMIN_PORT, _with(_METRICS, query))
        case "json" | "yaml":
            return Question(ADMIN_PORT, _with("/stats", {"format": "json"} | query))
        case "wide":
            return Question(ADMIN_PORT, _with("/stats", query))
    return Question(ADMIN_PORT, _with("/stats", query, "usedonly"))


def _with(path: str, query: dict[str, str], *flags: str) -> str:
    said = "&".join(filter(None, (*flags, urlencode(query))))
    return f"{path}?{said}" if said else path


def rows(said: str) -> list[tuple[str, str]]:
    """Names and values of what `/stats` says in text."""
    pairs = (line.partition(": ") for line in said.splitlines())
    return [(name, value) for name, colon, value in pairs if colon]


def upstreams(said: Any, wanted: str = "") -> Iterator[UpstreamStats]:
    """Of what `/clusters?format=json` says, a row for each endpoint of upstreams in whose names `wanted` is found."""
    for upstream in said.get("cluster_statuses", ()):
        name = str(upstream.get("name", ""))
        for host in upstream.get("host_statuses", ()) if re2.search(wanted, name) else ():
            counted = {each["name"]: int(each.get("value", 0)) for each in host.get("stats", ())}
            yield UpstreamStats(
                upstream=name,
                endpoint=address_of(host.get("address", {})),
                connections=counted.get("cx_active", 0),
                opened=counted.get("cx_total", 0),
                failed=counted.get("cx_connect_fail", 0),
                requests=counted.get("rq_total", 0),
                under_way=counted.get("rq_active", 0),
                errors=counted.get("rq_error", 0),
                timeouts=counted.get("rq_timeout", 0),
            )
