"""What a sidecar is made of: containers, volumes, labels; pure functions of the pod and the settings."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from isthmus.sidecar.inject.annotations import InvalidAnnotation, wrong
from isthmus.sidecar.inject.capture_container import AGENT_PORT, INIT, capture_container
from isthmus.sidecar.inject.custom import GATEWAY, SIDECAR, chosen, parts
from isthmus.sidecar.inject.led_probes import at_agent, led_probes, needs_agent_first
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.pod_config import PodConfig, pod_config
from isthmus.sidecar.inject.proxy_container import PROMETHEUS, PROXY, merges_metrics, proxy_container
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.volumes import volumes

__all__ = ["INIT", "PROXY", "Addition", "addition", "canonical_name", "router_spec"]

TLS_MODE = "security.istio.io/tlsMode"
CANONICAL_NAME = "service.istio.io/canonical-name"
CANONICAL_REVISION = "service.istio.io/canonical-revision"


class Addition(NamedTuple):
    """What injection adds to one pod."""

    init_containers: list[Json]
    containers: list[Json]
    volumes: list[Json]
    labels: dict[str, str]
    annotations: dict[str, str]
    status: Json
    proxy_first: bool = False
    is_native: bool = False
    handlers: dict[str, Json] = {}  # of probes and hooks, by their paths at the agent
    spec: Json = {}  # other fields, where the pod has none
    parts: tuple[Json, ...] = ()  # of templates of the operator's own, to be laid over all of it


def addition(pod: Pod, settings: InjectSettings) -> Addition:
    """The sidecar of `pod`. Raises `InvalidAnnotation` with all that is wrong, `capture.InvalidCapture`."""
    if problems := "; ".join(wrong(pod)):
        raise InvalidAnnotation(problems)
    names = chosen(pod, settings.injector)
    own = pod_config(pod, settings)
    if GATEWAY in names:
        added = _gateway(pod, own)
    else:
        added = _sidecar(pod, own) if SIDECAR in names else Addition([], [], [], {}, {}, {})
    status: Json = {
        "version": _version(own.settings),
        "revision": own.settings.revision,
        **added.status,
    }
    return added._replace(status=status, parts=tuple(parts(pod, names, settings.injector)))


def _sidecar(pod: Pod, own: PodConfig) -> Addition:
    led = led_probes(pod) if own.settings.rewrite_probes else ()
    if needs_agent_first(led):
        own = own._replace(settings=msgspec.structs.replace(own.settings, hold_application=True))
    init = [capture_container(pod, own)] if own.mode != "NONE" else []
    proxy = [proxy_container(pod, own, "sidecar", led)]
    return Addition(
        init_containers=[*init, *(proxy if own.native else [])],
        containers=[] if own.native else proxy,
        volumes=volumes(pod),
        labels=_labels(pod, own),
        annotations=_annotations(pod, own),
        status={"probes": {each.path: each.before for each in led}} if led else {},
        proxy_first=own.settings.hold_application,
        is_native=own.native,
        handlers=at_agent(led, own.proxy.status_port or AGENT_PORT),
    )


def _gateway(pod: Pod, own: PodConfig) -> Addition:
    """An Envoy by itself, which may listen at 80 and 443 as whoever it runs."""
    sysctls = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return Addition(
        init_containers=[],
        containers=[proxy_container(pod, own._replace(native=False), "router")],
        volumes=volumes(pod),
        labels=_labels(pod, own),
        annotations=_annotations(pod, own),
        status={},
        spec={"securityContext": {"sysctls": sysctls}},
    )


def _labels(pod: Pod, own: PodConfig) -> dict[str, str]:
    """Those that are not there yet."""
    labels = {
        # Without capture nobody ends TLS before the application.
        TLS_MODE: "disabled" if own.mode == "NONE" else "istio",
        CANONICAL_NAME: canonical_name(pod),
        CANONICAL_REVISION: pod.labels.get("version") or "latest",
    }
    return {name: value for name, value in labels.items() if name not in pod.labels}


def _annotations(pod: Pod, own: PodConfig) -> dict[str, str]:
    """Beside those of the ConfigMap: where all metrics are, for who looks for those of the application."""
    found = own.settings.injector.injected_annotations
    found = {name: text for name, text in found.items() if name not in pod.annotations}
    if merges_metrics(pod, own.settings):
        port = str(own.proxy.status_port or AGENT_PORT)
        page = {"scrape": "true", "port": port, "path": "/stats/prometheus"}
        found |= {PROMETHEUS + name: text for name, text in page.items()}
    return found


def canonical_name(pod: Pod) -> str:
    """The service that the workload stands for, by its labels or else by its own name."""
    for label in (CANONICAL_NAME, "app.kubernetes.io/name", "app"):
        if pod.labels.get(label):
            return pod.labels[label]
    return pod.workload


def router_spec(pod: Pod, settings: InjectSettings) -> Json:
    """`containers` and `volumes` of a gateway's pod: an Envoy of its own, and no capture.

    Raises `InvalidAnnotation`.
    """
    own = pod_config(pod, settings)._replace(native=False)
    return {"containers": [proxy_container(pod, own, "router")], "volumes": volumes(pod)}


def _version(settings: InjectSettings) -> str:
    return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()
