"""The container that leads a pod's traffic to its proxy before anything else runs."""

from __future__ import annotations

import msgspec

from isthmus.model.interception import TPROXY
from isthmus.sidecar.capture import DNS_PORT, CaptureSettings
from isthmus.sidecar.inject.annotations import IMAGE, read
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.pod_config import PodConfig
from isthmus.sidecar.inject.settings import PROXY_USER

INIT = "istio-init"
AGENT_PORT = 15020
SECCOMP = {"type": "RuntimeDefault"}


def capture_container(pod: Pod, own: PodConfig) -> Json:
    """Raises `InvalidCapture`, `InvalidAnnotation`."""
    container: Json = {
        "name": INIT,
        "image": read(pod, IMAGE, own.settings.image),
        "args": ["agent", "capture", *capture_arguments(_capture(pod, own))],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": False,
            "runAsUser": 0,
            "seccompProfile": SECCOMP,
        },
    }
    if own.settings.image_pull_policy:
        container["imagePullPolicy"] = own.settings.image_pull_policy
    return container


def _capture(pod: Pod, own: PodConfig) -> CaptureSettings:
    settings, port = own.settings, own.proxy.status_port
    capture = settings.capture.with_annotations(pod.annotations)
    if port not in {0, AGENT_PORT, *capture.exclude_inbound_ports}:
        passed = (*capture.exclude_inbound_ports, port)
        capture = msgspec.structs.replace(capture, exclude_inbound_ports=passed)
    if own.mode == TPROXY:
        capture = msgspec.structs.replace(capture, keeps_source=True)
    if settings.dns_capture:
        capture = msgspec.structs.replace(capture, dns_port=DNS_PORT)
    return msgspec.structs.replace(capture, user=PROXY_USER) if settings.by_user else capture


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
