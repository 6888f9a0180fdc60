"""The container of an agent and its Envoy."""

from __future__ import annotations

import json
from decimal import Decimal

from isthmus.kit.quantity import quantity
from isthmus.model.proxy import ProxyKind
from isthmus.sidecar.inject.annotations import (
    AGENT_LOG_LEVEL,
    BOOTSTRAP,
    COMPONENT_LOG_LEVEL,
    IMAGE,
    LOG_LEVEL,
    MERGE_METRICS,
    RESOURCES,
    InvalidAnnotation,
    read,
)
from isthmus.sidecar.inject.capture_container import SECCOMP
from isthmus.sidecar.inject.led_probes import Led, probers
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.pod_config import DNS_CAPTURE, PodConfig, environment, readiness
from isthmus.sidecar.inject.settings import PROXY_USER, InjectSettings
from isthmus.sidecar.inject.volumes import BOOTSTRAP_FILE, mounts
from isthmus.sidecar.probe_paths import PROBERS

PROXY = "istio-proxy"
PROMETHEUS = "prometheus.io/"
_STARTED_WITHIN = 600
_DRAINS = "/drain_listeners?inboundonly&graceful&skip_exit"


def proxy_container(pod: Pod, own: PodConfig, kind: str, led: tuple[Led, ...] = ()) -> Json:
    """`kind` is `sidecar` or `router` (a gateway). Raises `InvalidAnnotation`."""
    settings = own.settings
    container: Json = {
        "name": PROXY,
        "image": read(pod, IMAGE, settings.image),
        "args": _arguments(pod, settings, kind),
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "env": [*_environment(pod, own, kind), *([{"name": PROBERS, "value": probers(led)}] if led else [])],
        **readiness(pod, own.proxy),
        "resources": _resources(pod, settings),
        "securityContext": _security(settings, kind),
        "volumeMounts": mounts(pod),
    }
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    if own.native:
        container |= _native()
    elif settings.hold_application:
        # Containers start in order, and the next one waits for this hook.
        container["lifecycle"] = {"postStart": {"exec": {"command": ["isthmus", "agent", "wait"]}}}
    return container


def _native() -> Json:
    """What comes after waits until it is ready; it ends last, and turns callers away from the pod's first moment on.

    Source: Kubernetes' "Sidecar Containers".
    """
    return {
        "restartPolicy": "Always",
        "startupProbe": {
            "httpGet": {"path": "/healthz/ready", "port": 15021},
            "periodSeconds": 1,
            "timeoutSeconds": 3,
            "failureThreshold": _STARTED_WITHIN,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["isthmus", "agent", "request", "POST", _DRAINS]}}},
    }


def _arguments(pod: Pod, settings: InjectSettings, kind: str) -> list[str]:
    level = read(pod, LOG_LEVEL, settings.log_level)
    arguments = [
        "agent",
        kind,
        f"--discovery-address={settings.discovery_address}",
        f"--log-level={level}",
        f"--concurrency={settings.concurrency}",
    ]
    if components := read(pod, COMPONENT_LOG_LEVEL, settings.component_log_level):
        arguments.append(f"--component-log-level={components}")
    own = read(pod, AGENT_LOG_LEVEL, level)
    return arguments if own == level else [*arguments, f"--agent-log-level={own}"]


def _environment(pod: Pod, own: PodConfig, kind: str) -> list[Json]:
    settings = own.settings
    downward = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "INSTANCE_IP": "status.podIP",
        "INSTANCE_IPS": "status.podIPs",
        "SERVICE_ACCOUNT": "spec.serviceAccountName",
        "HOST_IP": "status.hostIP",
    }
    owner = f"kubernetes://apis/{pod.workload_api}/namespaces/{pod.namespace}/{_plural(pod)}/{pod.workload}"
    values = {
        "CA_ADDR": settings.ca_address,
        "TRUST_DOMAIN": settings.trust_domain,
        "ISTIO_META_CLUSTER_ID": settings.cluster,
        "ISTIO_META_NETWORK": settings.network,
        "ISTIO_META_MESH_ID": settings.mesh_id,
        "ISTIO_META_INTERCEPTION_MODE": own.mode,
        DNS_CAPTURE: "true" if kind == ProxyKind.SIDECAR.value and settings.dns_capture else "",
        "ISTIO_META_WORKLOAD_NAME": pod.workload,
        "ISTIO_META_OWNER": owner,
        "ISTIO_META_POD_PORTS": json.dumps(pod.ports, separators=(",", ":")),
        "ISTHMUS_DOMAIN": settings.domain,
        "ISTHMUS_CONTROL_PLANE_NAMESPACE": settings.namespace,
        "ISTHMUS_MARK": str(settings.capture.mark) if _marks(settings, kind) else "",
        "TERMINATION_DRAIN_DURATION_SECONDS": str(settings.drain_s),
        **environment(own.proxy),
    }
    if settings.pilot_trust_domain:
        values["ISTHMUS_PILOT_TRUST_DOMAIN"] = settings.pilot_trust_domain
    scrape = {key: pod.annotations.get(PROMETHEUS + key, "") for key in ("port", "path")}
    if merges_metrics(pod, settings) and pod.annotations.get(PROMETHEUS + "scrape") == "true":
        values["ISTIO_PROMETHEUS_ANNOTATIONS"] = json.dumps({"scrape": "true", **scrape})
    if read(pod, BOOTSTRAP, ""):
        values["ISTIO_BOOTSTRAP_OVERRIDE"] = BOOTSTRAP_FILE
    if own.native:
        # Its application has ended before, so there is nothing to wait for but calls that are still answered.
        values = {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true", "MINIMUM_DRAIN_DURATION": "0s", **values}
    return [
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in downward.items()),
        *({"name": name, "value": value} for name, value in values.items()),
    ]


def merges_metrics(pod: Pod, settings: InjectSettings) -> bool:
    """Whether the agent shows the application's metrics beside Envoy's, where it is asked for both."""
    scrapes = pod.annotations.get(PROMETHEUS + "scrape", "true").strip().lower() != "false"
    return scrapes and read(pod, MERGE_METRICS, settings.merge_metrics)


def _resources(pod: Pod, settings: InjectSettings) -> Json:
    """What pods say goes over the mesh's limits: one below what a pod requests is no limit for it.

    Raises `InvalidAnnotation` where the pod's own limit is.
    """
    found: Json = {
        "requests": {"cpu": settings.cpu, "memory": settings.memory},
        "limits": {"cpu": settings.cpu_limit, "memory": settings.memory_limit},
    }
    said = {place: (name, text) for name, place in RESOURCES.items() if (text := read(pod, name, ""))}
    for (part, resource), (_, text) in said.items():
        found[part][resource] = text
    for resource in ("cpu", "memory"):
        request, limit = (_amount(found[part][resource]) for part in ("requests", "limits"))
        if request <= limit:
            continue
        if ("limits", resource) not in said:
            del found["limits"][resource]
        elif ("requests", resource) not in said:
            found["requests"][resource] = found["limits"][resource]
        else:
            name, text = said["limits", resource]
            raise InvalidAnnotation(
                f"{name}: {text!r} is less than what is requested (hint: as much, or more)"
            )
    return {part: texts for part, texts in found.items() if texts}


def _amount(text: str) -> Decimal:
    found = quantity(text)
    return Decimal(0) if found is None else found


def _security(settings: InjectSettings, kind: str) -> Json:
    context: Json = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": SECCOMP,
    }
    if _marks(settings, kind):
        root = {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
        return context | root | {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}
    own = {"runAsUser": PROXY_USER, "runAsGroup": PROXY_USER, "runAsNonRoot": True}
    return context | own | {"capabilities": {"drop": ["ALL"]}}


def _marks(settings: InjectSettings, kind: str) -> bool:
    """Whether the proxy marks its connections: nothing is captured in the pods of gateways."""
    return not settings.by_user and kind == ProxyKind.SIDECAR.value


def _plural(pod: Pod) -> str:
    return pod.workload_kind.lower() + "s"
