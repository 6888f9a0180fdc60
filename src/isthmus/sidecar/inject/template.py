"""What a sidecar is made of: containers, volumes, labels; pure functions of the pod and the settings."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import msgspec

from isthmus.model.proxy import ProxyKind
from isthmus.model.signing import AUDIENCE
from isthmus.sidecar.app_probes import PROBERS
from isthmus.sidecar.capture import DNS_PORT, CaptureSettings
from isthmus.sidecar.inject.led_probes import Led, at_agent, led_probes, needs_agent_first, probers
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.pod_config import (
    DNS_CAPTURE,
    InvalidAnnotation,
    PodConfig,
    environment,
    pod_config,
    probe,
)
from isthmus.sidecar.inject.settings import PROXY_USER, InjectSettings
from isthmus.sidecar.inject.user_volumes import user_mounts, user_volumes

INIT, PROXY = "istio-init", "istio-proxy"
STATUS = "sidecar.istio.io/status"
TLS_MODE = "security.istio.io/tlsMode"
CANONICAL_NAME = "service.istio.io/canonical-name"
CANONICAL_REVISION = "service.istio.io/canonical-revision"

_SIDECAR = "sidecar.istio.io/"
_PROMETHEUS = "prometheus.io/"
_MERGE = "prometheus.istio.io/merge-metrics"
_TOKEN_LIFE_S = 43_200
AGENT_PORT = 15020
_SECCOMP = {"type": "RuntimeDefault"}


class Addition(NamedTuple):
    """What injection adds to one pod."""

    init_containers: list[Json]
    containers: list[Json]
    volumes: list[Json]
    labels: dict[str, str]
    annotations: dict[str, str]
    proxy_first: bool
    handlers: dict[str, Json]  # of probes and hooks, by their paths at the agent


def addition(pod: Pod, settings: InjectSettings) -> Addition:
    """The sidecar of `pod`. Raises `InvalidAnnotation`, `capture.InvalidCapture`."""
    _must_be_redirect(pod)
    own = pod_config(pod, settings)
    led = led_probes(pod) if own.settings.rewrite_probes else ()
    if needs_agent_first(led):
        own = own._replace(settings=msgspec.structs.replace(own.settings, hold_application=True))
    init = [_init_container(pod, own)]
    containers = [_proxy_container(pod, own, "sidecar", led)]
    volumes = [*proxy_volumes(), *user_volumes(pod)]
    status: Json = {
        "version": _version(own.settings),
        "initContainers": [each["name"] for each in init],
        "containers": [each["name"] for each in containers],
        "volumes": [each["name"] for each in volumes],
    }
    if led:
        status["probes"] = {each.path: each.before for each in led}
    labels = {
        TLS_MODE: pod.labels.get(TLS_MODE) or "istio",
        CANONICAL_NAME: canonical_name(pod),
        CANONICAL_REVISION: pod.labels.get(CANONICAL_REVISION) or pod.labels.get("version") or "latest",
    }
    status["labels"] = [name for name in labels if name not in pod.labels]
    annotations = {STATUS: json.dumps(status, separators=(",", ":"))}
    handlers = at_agent(led, own.proxy.status_port or AGENT_PORT)
    return Addition(init, containers, volumes, labels, annotations, own.settings.hold_application, handlers)


def canonical_name(pod: Pod) -> str:
    """The service that the workload stands for, by its labels or else by its own name."""
    for label in (CANONICAL_NAME, "app.kubernetes.io/name", "app"):
        if pod.labels.get(label):
            return pod.labels[label]
    return pod.workload


def proxy_container(pod: Pod, settings: InjectSettings, kind: str = "sidecar") -> Json:
    """The container of the agent and its Envoy; `kind` is `sidecar` or `router` (a gateway).

    Raises `InvalidAnnotation`.
    """
    return _proxy_container(pod, pod_config(pod, settings), kind)


def _proxy_container(pod: Pod, own: PodConfig, kind: str, led: tuple[Led, ...] = ()) -> Json:
    settings = own.settings
    container: Json = {
        "name": PROXY,
        "image": pod.annotations.get(_SIDECAR + "proxyImage", settings.image),
        "args": [
            "agent",
            kind,
            f"--discovery-address={settings.discovery_address}",
            f"--log-level={pod.annotations.get(_SIDECAR + 'logLevel', settings.log_level)}",
            f"--concurrency={settings.concurrency}",
        ],
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "env": [*_environment(pod, own, kind), *([{"name": PROBERS, "value": probers(led)}] if led else [])],
        "readinessProbe": probe(own.proxy),
        "resources": _resources(pod, settings),
        "securityContext": _security(settings, kind),
        "volumeMounts": [*proxy_mounts(), *user_mounts(pod)],
    }
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    if settings.hold_application:
        # Containers start in order, and the next one waits for this hook.
        container["lifecycle"] = {"postStart": {"exec": {"command": ["isthmus", "agent", "wait"]}}}
    return container


def router_spec(pod: Pod, settings: InjectSettings) -> Json:
    """`containers` and `volumes` of a gateway's pod: an Envoy of its own, and no capture."""
    return {
        "containers": [proxy_container(pod, settings, "router")],
        "volumes": [*proxy_volumes(), *user_volumes(pod)],
    }


def proxy_mounts() -> list[Json]:
    return [
        {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
        {"name": "istio-podinfo", "mountPath": "/etc/istio/pod", "readOnly": True},
        {"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": True},
        {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": True},
    ]


def proxy_volumes() -> list[Json]:
    """The volumes that the agent reads: its token, the roots, the pod's labels; and one in memory to write to."""
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_LIFE_S, "path": "istio-token"}
    podinfo = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}} for name in ("labels", "annotations")
    ]
    return [
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-podinfo", "downwardAPI": {"items": podinfo}},
        {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
    ]


def capture_arguments(settings: CaptureSettings) -> list[str]:
    """Arguments of `isthmus agent capture` that lead to `settings`: those that are not its defaults."""
    usual = CaptureSettings()
    arguments = []
    for field in msgspec.structs.fields(CaptureSettings):
        value = getattr(settings, field.name)
        if value != getattr(usual, field.name):
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            arguments.append(f"--{field.name.replace('_', '-')}={text}")
    return arguments


def _init_container(pod: Pod, own: PodConfig) -> Json:
    settings, port = own.settings, own.proxy.status_port
    capture = settings.capture.with_annotations(pod.annotations)
    if port not in {0, AGENT_PORT, *capture.exclude_inbound_ports}:
        passed = (*capture.exclude_inbound_ports, port)
        capture = msgspec.structs.replace(capture, exclude_inbound_ports=passed)
    if settings.dns_capture:
        capture = msgspec.structs.replace(capture, dns_port=DNS_PORT)
    if settings.by_user:
        capture = msgspec.structs.replace(capture, user=PROXY_USER)
    container: Json = {
        "name": INIT,
        "image": pod.annotations.get(_SIDECAR + "proxyImage", settings.image),
        "args": ["agent", "capture", *capture_arguments(capture)],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": False,
            "runAsUser": 0,
            "seccompProfile": _SECCOMP,
        },
    }
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    return container


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
        "ISTIO_META_INTERCEPTION_MODE": "REDIRECT",
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
    merges = pod.annotations.get(_MERGE, "true" if settings.merge_metrics else "false") != "false"
    if merges and pod.annotations.get(_PROMETHEUS + "scrape") == "true":
        scrape = {key: pod.annotations.get(_PROMETHEUS + key, "") for key in ("port", "path")}
        values["ISTIO_PROMETHEUS_ANNOTATIONS"] = json.dumps({"scrape": "true", **scrape})
    return [
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in downward.items()),
        *({"name": name, "value": value} for name, value in values.items()),
    ]


def _resources(pod: Pod, settings: InjectSettings) -> Json:
    def chosen(annotation: str, usual: str) -> str:
        return pod.annotations.get(_SIDECAR + annotation, usual)

    return {
        "requests": {
            "cpu": chosen("proxyCPU", settings.cpu),
            "memory": chosen("proxyMemory", settings.memory),
        },
        "limits": {
            "cpu": chosen("proxyCPULimit", settings.cpu_limit),
            "memory": chosen("proxyMemoryLimit", settings.memory_limit),
        },
    }


def _security(settings: InjectSettings, kind: str) -> Json:
    context: Json = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": _SECCOMP,
    }
    if _marks(settings, kind):
        return context | {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}
    own = {"runAsUser": PROXY_USER, "runAsGroup": PROXY_USER, "runAsNonRoot": True}
    return context | own | {"capabilities": {"drop": ["ALL"]}}


def _marks(settings: InjectSettings, kind: str) -> bool:
    """Whether the proxy marks its connections: nothing is captured in the pods of gateways."""
    return not settings.by_user and kind == ProxyKind.SIDECAR.value


def _must_be_redirect(pod: Pod) -> None:
    mode = pod.annotations.get(_SIDECAR + "interceptionMode", "REDIRECT")
    if mode != "REDIRECT":
        name = _SIDECAR + "interceptionMode"
        raise InvalidAnnotation(f"{name}: {mode!r} is not supported (hint: REDIRECT is)")


def _plural(pod: Pod) -> str:
    return pod.workload_kind.lower() + "s"


def _version(settings: InjectSettings) -> str:
    return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()
