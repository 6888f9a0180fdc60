"""Istio's annotations: on which kinds they stand, and what becomes of them here.

Source: Istio's "Resource Annotations" reference. `READ` are those that this release heeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.kit.ip import is_network
from isthmus.kit.quantity import quantity
from isthmus.kit.whole import whole
from isthmus.model.analyze.annotation_words import NO_EFFECT

POD, SERVICE, ANY = ("Pod",), ("Service",), ()

_BOOLS = frozenset({"true", "false", "y", "n", "yes", "no", "on", "off"})


class Known(NamedTuple):
    """An annotation: the kinds that it is for (none: any), how its value is read, and whether Istio gave it up."""

    kinds: tuple[str, ...]
    value: str = ""
    given_up: bool = False


def _of(prefix: str, names: str, known: Known) -> dict[str, Known]:
    return {f"{prefix}/{name}": known for name in names.split()}


KNOWN: Mapping[str, Known] = {
    "galley.istio.io/analyze-suppress": Known(ANY),
    "sidecar.istio.io/inject": Known(POD, "bool"),
    **_of("sidecar.istio.io", "proxyCPU proxyCPULimit proxyMemory proxyMemoryLimit", Known(POD, "quantity")),
    **_of(
        "sidecar.istio.io",
        "rewriteAppHTTPProbers enableCoreDump nativeSidecar statsCompression",
        Known(POD, "bool"),
    ),
    **_of(
        "sidecar.istio.io",
        "proxyImage proxyImageType logLevel componentLogLevel agentLogLevel status",
        Known(POD),
    ),
    **_of(
        "sidecar.istio.io",
        "bootstrapOverride extraStatTags interceptionMode userVolume userVolumeMount",
        Known(POD),
    ),
    **_of("sidecar.istio.io", "statsHistogramBuckets statsEvictionInterval", Known(POD)),
    **_of(
        "sidecar.istio.io",
        "statsInclusionPrefixes statsInclusionSuffixes statsInclusionRegexps controlPlaneAuthPolicy discoveryAddress",
        Known(POD, given_up=True),
    ),
    **_of(
        "traffic.sidecar.istio.io",
        "includeInboundPorts excludeInboundPorts includeOutboundPorts excludeOutboundPorts",
        Known(POD, "ports"),
    ),
    **_of(
        "traffic.sidecar.istio.io", "includeOutboundIPRanges excludeOutboundIPRanges", Known(POD, "ranges")
    ),
    **_of("traffic.sidecar.istio.io", "kubevirtInterfaces excludeInterfaces", Known(POD)),
    "istio.io/reroute-virtual-interfaces": Known(POD),
    "status.sidecar.istio.io/port": Known(POD, "ports"),
    **_of(
        "readiness.status.sidecar.istio.io",
        "initialDelaySeconds periodSeconds failureThreshold",
        Known(POD, "number"),
    ),
    "readiness.status.sidecar.istio.io/applicationPorts": Known(POD, "ports"),
    "prometheus.istio.io/merge-metrics": Known(POD, "bool"),
    **_of("proxy.istio.io", "config overrides", Known(POD)),
    "inject.istio.io/templates": Known(POD),
    **_of("ambient.istio.io", "redirection bypass-inbound-capture dns-capture", Known(POD)),
    "ambient.istio.io/waypoint-inbound-binding": Known(("Gateway.gateway.networking.k8s.io", "GatewayClass")),
    "networking.istio.io/exportTo": Known(SERVICE),
    "networking.istio.io/traffic-distribution": Known(("Service", "ServiceEntry", "Namespace")),
    "traffic.istio.io/nodeSelector": Known(SERVICE),
    **_of("networking.istio.io", "service-type address-type", Known(("Gateway.gateway.networking.k8s.io",))),
    **_of(
        "gateway.istio.io", "controller-version name-override service-account tls-terminate-mode", Known(ANY)
    ),
    "topology.istio.io/controlPlaneClusters": Known(("Namespace",)),
    "security.istio.io/autoMTLS": Known(ANY, given_up=True),
    "istio.io/rev": Known(POD),
    "istio.io/dry-run": Known(("AuthorizationPolicy",), "bool"),
    **_of(
        "istio.io",
        "autoRegistrationGroup workloadController connectedAt disconnectedAt",
        Known(("WorkloadEntry",)),
    ),
    "proxy.istio.io/health-checks-enabled": Known(("WorkloadEntry",), "bool"),
    **_of("install.operator.istio.io", "chart-owner owner-generation version", Known(ANY)),
    **_of("internal.istio.io", "parents route-semantics parent service-account-names", Known(ANY)),
    **_of(
        "alpha.istio.io",
        "kubernetes-serviceaccounts canonical-serviceaccounts",
        Known(SERVICE, given_up=True),
    ),
    "alpha.istio.io/identity": Known(POD, given_up=True),
}

LABELS = frozenset(
    {
        "istio.io/rev", "istio.io/tag", "istio.io/dataplane-mode", "istio.io/use-waypoint", "istio-injection",
        "istio.io/use-waypoint-namespace", "istio.io/waypoint-for", "istio.io/ingress-use-waypoint",
        "istio.io/global", "istio.io/service-scope", "topology.istio.io/network", "topology.istio.io/cluster",
        "topology.istio.io/subzone", "topology.istio.io/locality", "service.istio.io/canonical-name",
        "service.istio.io/canonical-revision", "service.istio.io/workload-name", "security.istio.io/tlsMode",
        "networking.istio.io/tunnel", "networking.istio.io/gatewayPort", "gateway.istio.io/managed",
        "networking.istio.io/enable-autoallocate-ip",
    }
)  # fmt: skip
"""What is a label, and no annotation."""

READ = frozenset(
    {
        "istio.io/dry-run",
        "galley.istio.io/analyze-suppress", "prometheus.istio.io/merge-metrics", "proxy.istio.io/config",
        "networking.istio.io/exportTo", "networking.istio.io/traffic-distribution", "traffic.istio.io/nodeSelector",
        "networking.istio.io/service-type", "gateway.istio.io/name-override",
        "alpha.istio.io/kubernetes-serviceaccounts", "alpha.istio.io/canonical-serviceaccounts",
        *(name for name in KNOWN if name.startswith("sidecar.istio.io/") and name not in NO_EFFECT),
        *(name for name in KNOWN if name.startswith("traffic.sidecar.istio.io/")),
        *(name for name in KNOWN if name.startswith("readiness.status.sidecar.istio.io/") and name not in NO_EFFECT),
        "status.sidecar.istio.io/port", "istio.io/reroute-virtual-interfaces", "inject.istio.io/templates",
        # Written by control planes, for themselves and for people.
        *(name for name in KNOWN if name.partition("/")[0] in {"internal.istio.io", "install.operator.istio.io"}),
        "istio.io/autoRegistrationGroup", "istio.io/workloadController", "istio.io/connectedAt",
        "istio.io/disconnectedAt", "proxy.istio.io/overrides", "istio.io/rev",
        "proxy.istio.io/health-checks-enabled",
    }
)  # fmt: skip
"""Those that have their effect here, or need none; tests/unit/model holds it against what the code names."""

_UNREAD_ON = {"networking.istio.io/traffic-distribution": frozenset({"ServiceEntry", "Namespace"})}


def has_effect(name: str, kind: str) -> bool:
    """Whether the annotation does something on objects of a kind that it is for."""
    return name in READ and kind not in _UNREAD_ON.get(name, ())


def wrong_value(known: Known, text: str) -> str:
    """What is wrong with the value of an annotation; empty where nothing is."""
    match known.value:
        case "bool" if text.strip().lower() not in _BOOLS:
            return f'{text!r} is neither true nor false (hint: "true" or "false", in quotes)'
        case "quantity" if quantity(text.strip()) is None:
            return f"{text!r} is no quantity (hint: 100m, 128Mi)"
        case "number" if whole(text.strip()) is None:
            return f"{text!r} is no number"
        case "ports":
            return next((f"{one!r} is no port" for one in _listed(text) if not _is_port(one)), "")
        case "ranges":
            hint = "hint: 10.0.0.0/8, or * for all"
            return next((f"{one!r} is no range ({hint})" for one in _listed(text) if not is_network(one)), "")
        case _:
            return ""


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip() and one.strip() != "*"]


def _is_port(text: str) -> bool:
    return whole(text, 65535) is not None
