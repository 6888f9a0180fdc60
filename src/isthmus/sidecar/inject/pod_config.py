"""What holds for the proxy of one pod: the mesh's settings, ProxyConfigs, and what the pod says itself."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.proxy_config import ProxyConfig
from isthmus.kit import duration
from isthmus.model.interception import REDIRECT, TPROXY
from isthmus.model.proxy_config import ANNOTATION, merged, of_objects, read_proxy_config, said
from isthmus.model.proxy_config_problems import proxy_problems
from isthmus.sidecar.inject.annotations import (
    DISCOVERY,
    IMAGE_TYPE,
    INTERCEPTION,
    NATIVE,
    READINESS,
    REWRITE_PROBES,
    STATUS_PORT,
    InvalidAnnotation,
    read,
)
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.settings import InjectSettings

DNS_CAPTURE = "ISTIO_META_DNS_CAPTURE"
"""By which `proxyMetadata` says whether the agent answers the pod's DNS."""


class PodConfig(NamedTuple):
    """The injection's settings as they are for one pod, and all that holds for its proxy."""

    settings: InjectSettings
    proxy: ProxyConfig
    native: bool = False  # whether the proxy is a native sidecar: an init container that goes on
    mode: str = REDIRECT  # how traffic is captured; NONE: not at all


def pod_config(pod: Pod, settings: InjectSettings) -> PodConfig:
    """Source: Istio's order, the nearest wins. Raises `InvalidAnnotation` with all that is wrong."""
    objects = of_objects(settings.proxy_configs, settings.namespace, pod.namespace, pod.labels)
    config = merged(merged(settings.proxy, objects), _own(pod))
    mode = read(pod, INTERCEPTION, config.interception_mode or REDIRECT)
    if mode == TPROXY and settings.by_user:
        why = "TPROXY takes CAP_NET_ADMIN in the sidecar, which byUser leaves it without"
        raise InvalidAnnotation(f"interceptionMode: {why} (hint: REDIRECT, or byUser: false)")
    port = read(pod, STATUS_PORT, -1)
    rewrites = read(pod, REWRITE_PROBES, settings.rewrite_probes) and port != 0
    if port > 0:
        config = msgspec.structs.replace(config, status_port=port)
        for _, problem in proxy_problems(config, STATUS_PORT):
            raise InvalidAnnotation(f"{STATUS_PORT}: {problem}")
    applied = _applied(msgspec.structs.replace(settings, rewrite_probes=rewrites), config, pod)
    return PodConfig(applied, config, read(pod, NATIVE, settings.has_native_sidecars), mode)


def _own(pod: Pod) -> ProxyConfig:
    text = str(pod.annotations.get(ANNOTATION, ""))
    try:
        return read_proxy_config(text)[0]  # Pilot says what of it has no effect
    except InvalidConfig as error:
        wrong = "; ".join(": ".join(each) for each in error.problems)
        raise InvalidAnnotation(f"{ANNOTATION}: {wrong}") from error


def _applied(settings: InjectSettings, config: ProxyConfig, pod: Pod) -> InjectSettings:
    drain, hold = config.termination_drain_duration, config.hold_application_until_proxy_starts
    dns = config.proxy_metadata.get(DNS_CAPTURE)
    kind = read(pod, IMAGE_TYPE, config.image.image_type if config.image is not None else "")
    return msgspec.structs.replace(
        settings,
        image=_image(settings.image, kind),
        concurrency=settings.concurrency if config.concurrency is None else config.concurrency,
        drain_s=round(duration.parse(drain)) if drain else settings.drain_s,
        hold_application=settings.hold_application if hold is None else hold,
        mesh_id=config.mesh_id or settings.mesh_id,
        discovery=read(pod, DISCOVERY, config.discovery_address or settings.discovery),
        dns_capture=settings.dns_capture if dns is None else dns.lower() == "true",
    )


def _image(image: str, kind: str) -> str:
    """The image of another build: its tag says so."""
    if kind in {"", "default"} or "@" in image:
        return image
    return f"{image}-{kind}" if ":" in image.rpartition("/")[2] else f"{image}:{kind}"


def readiness(pod: Pod, config: ProxyConfig) -> Json:
    """`readinessProbe`: as usual, but for what mesh and pod say; none where there is no status port."""
    if read(pod, STATUS_PORT, -1) == 0:
        return {}
    usual: Json = {
        "httpGet": {"path": "/healthz/ready", "port": 15021},
        "periodSeconds": 2,
        "timeoutSeconds": 3,
        "failureThreshold": 30,
    }
    own = dict(config.readiness_probe or {})
    if own.keys() & {"exec", "tcpSocket", "grpc"}:
        del usual["httpGet"]
    said = {field: read(pod, name, 0) for name, field in READINESS.items() if pod.annotations.get(name)}
    return {"readinessProbe": usual | own | said}


def environment(config: ProxyConfig) -> dict[str, str]:
    """The variables that the configuration puts into the proxy's container."""
    found = {name: value for name, value in config.proxy_metadata.items() if name != DNS_CAPTURE}
    if config != ProxyConfig():
        found["PROXY_CONFIG"] = msgspec.json.encode(said(config), order="sorted").decode()
    return found
