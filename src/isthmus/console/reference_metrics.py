"""The page of metrics: what Pilot and Citadel tell Prometheus of themselves, made from where metrics are declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from isthmus.kit import metrics

_HEAD = """\
# Metrics

What the control plane tells of itself at `/metrics`: Pilot at port 15014, Citadel at 15016, or 15014 where it runs
apart. Made by `make docs` from `kit/metrics.py`; do not edit. Names that Istio has are Istio's, with its meaning; those
that begin with `isthmus_` are ours. All are declared in both programs: what another one counts stays 0, or has no
sample. What agents tell: [certificates](../guides/look-at-certificates.md).

Rules that record and alert are in `monitoring/rules.yaml`, with [a page for each alert](../runbooks/README.md), and a
Grafana dashboard is `monitoring/dashboard.json`.
"""
_GROUPS = {
    "Proxies": ("pilot_xds", "pilot_total_xds", "pilot_proxy", "isthmus_xds", "isthmus_proxies"),
    "Changes": (
        "pilot_debounce",
        "pilot_push",
        "pilot_inbound",
        "pilot_k8s",
        "isthmus_mesh",
        "isthmus_status",
    ),
    "Clusters": ("istiod_managed", "istiod_remote", "remote_cluster", "isthmus_cluster"),
    "Configuration": (
        "pilot_services",
        "pilot_virt",
        "pilot_eds",
        "pilot_endpoint",
        "endpoint_no",
        "pilot_destrule",
        "pilot_vservice",
        "pilot_conflict",
        "isthmus_findings",
    ),
    "Citadel": ("citadel_",),
    "Programs": ("",),
}


_ABSENT = {
    "pilot_no_ip": "A pod is a workload from when on it has an address; nothing waits for those without.",
    "pilot_conflict_outbound_listener_*": (
        "Which of two services has an address and port differs by what a proxy sees: `isthmus translate` and "
        "`isthmus explain` tell it of one, as ISM0022."
    ),
    "pilot_duplicate_envoy_clusters": (
        "Upstreams are made by service, port and subset, each once; one that an EnvoyFilter adds again is withheld: "
        "`isthmus_xds_withheld_total`."
    ),
    "citadel_server_id_extraction_err_count": (
        "Names in a signing request are never read, so that none can fail to be: who asks is proven by the token or "
        "the certificate, `citadel_server_authentication_failure_count`."
    ),
    "pilot_jwks_resolver_network_fetch_*": "By outcome: `isthmus_issuer_key_fetches_total`.",
}
"""Metrics of Istio's that are not told here, and why."""


class Metric(NamedTuple):
    """A metric as it is scraped."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def declared() -> list[Metric]:
    """All metrics of the house, in the order in which they are declared."""
    return [_metric(each) for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]


def _metric(found: MetricWrapperBase) -> Metric:
    (told,) = found.describe()
    name = metrics.told_as(f"{told.name}_total") if told.type == "counter" else told.name
    labels = tuple(found._labelnames)  # noqa: SLF001 - the library tells labels of samples, and not all have one
    return Metric(name, told.type, labels, told.documentation)


def page() -> str:
    """The page, a table for each group."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    left = declared()
    for title, beginnings in _GROUPS.items():
        here = [each for each in left if each.name.startswith(beginnings)]
        left = [each for each in left if each not in here]
        yield f"## {title}\n\n| metric | type | labels | says |\n|---|---|---|---|"
        for each in here:
            labels = ", ".join(f"`{label}`" for label in each.labels)
            yield f"| `{each.name}` | {each.type} | {labels} | {each.help} |"
        yield ""
    yield "## What Istio tells and this does not\n\n| metric | why |\n|---|---|"
    for name, why in _ABSENT.items():
        yield f"| `{name}` | {why} |"
    yield ""
